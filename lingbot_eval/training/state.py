"""States from which a training goes on: what ``torch.distributed.checkpoint`` writes, as safetensors, in a folder each.

    state/step-00000200/    every process's part of the tensors, and state.json; it appears whole or not at all
    state/step-00000400/

Any number of processes may go on from it. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load as load_sharded
from torch.distributed.checkpoint.state_dict_saver import save as save_sharded

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords, NotReady
from lingbot_eval.training.ranks import Ranks

NAME = re.compile(r"step-(\d{8})")

KEPT = 2
"""So many states are kept, the newest ones."""


@dataclass(frozen=True)
class Saved:
    """A state on disk."""

    folder: Path
    step: int
    """So many optimizer steps are done."""
    lines: int
    """So many lines of the curve belong to it."""


def saved(folder: Path) -> list[Saved]:
    """Return the states in ``folder``, the newest first. Raises CorruptRecords for one that was changed."""
    return [_read(one) for one in reversed(files.listed(folder)) if NAME.fullmatch(one.name)]


def save(folder: Path, step: int, lines: int, tensors: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Write a state of ``step`` done steps; all processes call this. Older ones but the last are removed then.

    Raises NotReady where it cannot be written; what was there before is there still.
    """
    part, target = folder / f".step-{step:08d}.part", folder / f"step-{step:08d}"
    failed = ""
    try:
        if ranks.first:
            _fresh(folder, part)
    except OSError as error:
        failed = error.strerror or str(error)
    try:
        if ranks.told(failed):  # the others would wait for the first one
            raise OSError(failed)
        with _alone_or_not() as alone:
            writer = HuggingFaceStorageWriter(path=str(part), save_distributed=True)
            save_sharded(dict(tensors), storage_writer=writer, no_dist=alone)
        ranks.meet()
        if ranks.first:
            _published(part, target, step, lines)
    except CheckpointException as error:
        failed = "; ".join(_words(one) for one in error.failures.values())
    except OSError as error:
        failed = error.strerror or str(error)
    if any(ranks.summed([float(bool(failed))])):
        shutil.rmtree(part, ignore_errors=True)
        raise NotReady(
            f"cannot write {target}: {failed or 'another process failed'}; make room and give the same command again: "
            f"it goes on from the state before"
        )
    if ranks.first:
        for old in saved(folder)[KEPT:]:
            _remove(old.folder)


def load(state: Saved, tensors: dict[str, Tensor]) -> None:
    """Fill ``tensors``, in place, with those of ``state``. Raises CorruptRecords for a damaged one."""
    try:
        with _alone_or_not() as alone:
            reader = HuggingFaceStorageReader(path=str(state.folder))
            load_sharded(tensors, storage_reader=reader, no_dist=alone)
    except (CheckpointException, SafetensorError, OSError, ValueError) as error:
        words = " ".join(str(error).split())[:300]
        raise CorruptRecords(
            f"{state.folder} cannot be read ({words}); remove it, and the same command goes on from the state before it"
        ) from None


@contextlib.contextmanager
def _alone_or_not() -> Iterator[bool]:
    """Give whether this process has no group, which is warned of although it is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield not dist.is_initialized()


def _fresh(folder: Path, part: Path) -> None:
    folder.mkdir(exist_ok=True)
    for left in folder.glob(".step-*"):  # of a process that was killed
        shutil.rmtree(left)
    part.mkdir()


def _published(part: Path, target: Path, step: int, lines: int) -> None:
    sizes: dict[str, Any] = {}
    for file in sorted(part.iterdir()):
        _flush(file)
        sizes[file.name] = file.stat().st_size
    files.write_whole(part / "state.json", files.with_checksum({"step": step, "lines": lines, "sizes": sizes}))
    _flush(part)
    part.rename(target)
    _flush(target.parent)


def _remove(folder: Path) -> None:
    """Remove a state, of which nothing is left half: what is hidden is none."""
    hidden = folder.with_name(f".{folder.name}.old")
    folder.rename(hidden)
    shutil.rmtree(hidden)


def _words(failure: object) -> str:
    """Return what one process's failure says: an exception, or a pair of it and where it was raised."""
    return " ".join(str(failure[0] if isinstance(failure, tuple) else failure).split())


def _flush(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(folder: Path) -> Saved:
    file = folder / "state.json"
    content = files.read(file)
    if content is None:
        raise CorruptRecords(f"{folder} has no state.json; remove it")
    said = files.parsed(content, file)
    for name, size in said["sizes"].items():
        found = (folder / name).stat().st_size if (folder / name).is_file() else 0
        if found != size:
            raise CorruptRecords(f"{folder / name} has {found} bytes, but had {size}; remove {folder}")
    return Saved(folder, said["step"], said["lines"])
