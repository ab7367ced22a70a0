"""Hashes of large files, remembered: 25 GB take a minute to read, and every start of a run asks."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec


class Known(msgspec.Struct, frozen=True):
    """What a file was like when it was hashed."""

    size: int
    mtime_ns: int
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def sha256(path: Path) -> bytes:
    """Of the content; read again when size or time of change are others than when it was last read.

    A cache that cannot be read or written costs time and nothing else.
    """
    path, cache = path.resolve(), cache_file()
    now = path.stat()
    known = _known(cache).get(str(path))
    if known and (known.size, known.mtime_ns) == (now.st_size, now.st_mtime_ns):
        return bytes.fromhex(known.sha256)
    with path.open("rb") as file:
        digest = _digest(file)
    others = {other: entry for other, entry in _known(cache).items() if os.path.exists(other)}
    _remember(cache, {**others, str(path): Known(now.st_size, now.st_mtime_ns, digest.hex())})
    return digest


def cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lingbot_eval" / "sha256.json"


def _known(cache: Path) -> dict[str, Known]:
    """By path; empty where ``cache`` is not there or holds anything else."""
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, Known])
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(cache: Path, known: dict[str, Known]) -> None:
    part = cache.with_name(f".{cache.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(msgspec.json.format(msgspec.json.encode(known)))
        part.replace(cache)


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
