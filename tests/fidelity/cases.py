"""Reads case files: a JSON file with the tensors beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lingbot_eval.errors import BadInput


def read(path: Path, kind: Any, what: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """A case as the struct ``kind``, which people call ``what``, and its tensors.

    Raises BadInput.
    """
    beside = path.with_suffix(".safetensors")
    for file in (path, beside):
        if not file.is_file():
            raise BadInput(f"there is no file {file}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind), load_file(beside)
    except msgspec.DecodeError as error:
        raise BadInput(f"no recorded {what}: {error}") from None
    except SafetensorError as error:
        raise BadInput(f"{beside} cannot be read: {error}") from None


def given(tensors: Mapping[str, torch.Tensor], name: str, *shape: int | None) -> torch.Tensor:
    """A tensor that a case is replayed from; None in ``shape``: any size.

    Raises BadInput.
    """
    tensor = tensors.get(name)
    if tensor is None:
        raise BadInput(f"it lacks the tensor {name}, from which it is replayed")
    fits = len(shape) == tensor.ndim and all(size in (None, own) for size, own in zip(shape, tensor.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise BadInput(f"its tensor {name} is {tuple(tensor.shape)}, its configuration says ({wanted})")
    return tensor
