"""Files of latents as LingBot-VA's post-training has them: ``torch.save`` of a dict per segment and camera.

Source of the keys: Robbyant/lingbot-va @ 7c6ffa9, README.md (custom dataset preparation). They are read with
``weights_only`` alone: what holds anything but tensors, numbers and words is refused, and nothing in it is run.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import regular, write_whole

EMPTY = "empty_emb.pt"
"""The text of "" lies under this name in the dataset's folder, or in the one that holds several."""

TEXT_ROWS = 512
"""The original's cross-attention takes exactly so many rows; those behind the real tokens are zero."""


@dataclass(frozen=True)
class Latents:
    """One file."""

    latent: Tensor
    """(F, h, w, 48) normalised."""
    text: Tensor
    """(512, text_dim), of the segment's sentence."""
    frame_ids: list[int]
    """The rows, counted in the episode, whose pictures were encoded."""
    said: dict[str, Any]
    """All else that the file says, by the original's keys."""


def read_tensors(file: Path) -> Any:
    """Return what ``torch.save`` wrote to ``file``; tensors are mapped, and read when they are used.

    Raises NotReady for a file that is missing, BadInput for one that is damaged, or holds objects.
    """
    try:
        regular(file).close()
        return torch.load(os.fspath(file), map_location="cpu", mmap=True, weights_only=True)
    except FileNotFoundError:
        raise NotReady(f"{file} is missing") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # torch raises nothing narrower for what is damaged or refused
        reason = "it holds more than tensors, numbers and words" if "weights_only" in str(error) else "it is damaged"
        raise BadInput(f"{file} is not read: {reason} ({type(error).__name__})") from error


def read_latents(file: Path) -> Latents:
    """Raises NotReady and BadInput as :func:`read_tensors`, and BadInput for what is not such a dict."""
    said = read_tensors(file)
    if not isinstance(said, dict):
        raise BadInput(f"{file} holds no dict of latents")
    latent, text, ids = said.get("latent"), said.get("text_emb"), said.get("frame_ids")
    sizes = tuple(said.get(f"latent_{name}") for name in ("num_frames", "height", "width"))
    if not _matrix(latent) or not _matrix(text):
        raise BadInput(f"{file}: latent and text_emb must be matrices of floating-point numbers")
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise BadInput(f"{file}: latent_num_frames, _height, _width are {sizes}, not sizes")
    if sizes[0] * sizes[1] * sizes[2] != len(latent):  # type: ignore[operator]
        raise BadInput(f"{file}: latent has {len(latent)} rows, not {sizes[0]} x {sizes[1]} x {sizes[2]}")
    if isinstance(ids, Tensor):
        ids = ids.tolist()
    if not isinstance(ids, list) or len(ids) < 2 or not all(type(one) is int and one >= 0 for one in ids):
        raise BadInput(f"{file}: frame_ids is no list of at least two rows")
    rest = {key: value for key, value in said.items() if not isinstance(value, Tensor)}
    return Latents(latent.view(*sizes, -1), text, ids, rest)  # type: ignore[arg-type]


def _matrix(value: Any) -> TypeGuard[Tensor]:
    dense = isinstance(value, Tensor) and value.layout == torch.strided
    return dense and value.dim() == 2 and value.is_floating_point()


def write_tensors(file: Path, content: Any) -> None:
    """Write ``content`` whole or not at all; its tensors are copied first, so that none brings the storage that it is
    a part of. Raises OSError."""
    stream = io.BytesIO()
    torch.save(_own(content), stream)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, stream.getvalue())


def padded(text: Tensor) -> Tensor:
    """(n, text_dim) real tokens -> (512, text_dim) bfloat16 with zeros behind them."""
    full = torch.zeros(TEXT_ROWS, text.shape[1], dtype=torch.bfloat16)
    full[: len(text)] = text.to("cpu", torch.bfloat16)
    return full


def real_tokens(text: Tensor) -> Tensor:
    """(L, text_dim) -> (n, text_dim): without the zeros behind; at least one row. It is a copy."""
    filled = text.ne(0).any(dim=1).nonzero()
    return text[: int(filled[-1]) + 1 if len(filled) else 1].clone()


def together(views: Sequence[Tensor], layout: str) -> Tensor:
    """(F, h, w, 48) of each camera, in the layout's order -> (48, F, h, w) of all: side by side, or (tshape) the wrists
    side by side above the head.

    Raises BadInput where their sizes do not fit.
    """
    try:
        if layout == "tshape":
            whole = torch.cat([torch.cat(list(views[1:]), dim=2), views[0]], dim=1)
        else:
            whole = torch.cat(list(views), dim=2)
    except RuntimeError:
        sizes = ", ".join(" x ".join(map(str, view.shape[:3])) for view in views)
        raise BadInput(f"the cameras' latents do not fit together as layout {layout} has them: {sizes}") from None
    return whole.permute(3, 0, 1, 2)


def _own(content: Any) -> Any:
    if isinstance(content, Tensor):
        return content.detach().cpu().clone().contiguous()
    return {key: _own(value) for key, value in content.items()} if isinstance(content, dict) else content
