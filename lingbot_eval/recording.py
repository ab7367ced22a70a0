"""Read an episode's commands, which a run keeps in ``RUN/actions`` (envs/wrappers.py writes them)."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.types import Actions

HOW = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""numpy packs in no other way."""

DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, MemoryError, OverflowError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError),
)
"""zipfile and numpy raise these over bytes that nobody wrote so."""


def recording(file: Path) -> tuple[str, Actions]:
    """Return the episode's id and its actions (actions, K, D), float32. Raises CorruptRecords for what is no such
    file."""
    if (content := files.read(file)) is None:
        raise CorruptRecords(f"{file} is gone: it was removed or moved")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as kept:
            episode, actions = _array(kept, "episode"), _array(kept, "actions")
        if episode.dtype.kind != "U" or episode.ndim:
            raise ValueError(f"its episode is {episode.dtype} {episode.shape}")
        if actions.dtype.kind != "f" or actions.ndim != 3 or not actions.size:
            raise ValueError(f"its actions are {actions.dtype} {actions.shape}")
    except DAMAGED as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise CorruptRecords(f"{file} cannot be read ({words}); restore it, or play the episode again") from None
    return str(episode), actions.astype(np.float32, copy=False)


def _array(kept: zipfile.ZipFile, name: str) -> np.ndarray[Any, Any]:
    """Return one array. Raises some of DAMAGED. No more is unpacked than the archive says, and that is bounded."""
    entry = kept.getinfo(f"{name}.npy")
    if entry.compress_type not in HOW or entry.file_size > files.LARGEST:
        raise ValueError(
            f"{entry.filename} unpacks to {entry.file_size} bytes (method {entry.compress_type}), which no "
            "recording does"
        )
    found = np.load(io.BytesIO(kept.read(entry)), allow_pickle=False)
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{entry.filename} is not a numpy array")
    return found
