"""Hashes of large files, remembered: 25 GB take a minute to read, and every start of a run asks."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from lingbot_eval.errors import NotReady
from lingbot_eval.files import LARGEST, bounded, write_whole

SETTLED_NS = 2_000_000_000
"""A file's state stands for its content once the last change is so long ago: a second change within one tick of the
file system's clock (NFS, FAT: up to 2 s) would leave the same state."""


class Known(msgspec.Struct, frozen=True):
    """The state of a file when it was hashed. It has ctime, which no tool sets at will: archives and container images
    give every file the same mtime, by which two files of one size look the same."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

    def is_of(self, state: os.stat_result) -> bool:
        return _identity(state) == (self.size, self.mtime_ns, self.ctime_ns, self.inode, self.device)


def sha256(path: Path, fresh: bool = False) -> bytes:
    """Return the SHA-256 of a file's content. The file is read again unless it is in the same state as when it was last
    read, and anyway where ``fresh`` asks for it.

    A cache that cannot be read or written costs time and nothing else. Raises OSError, and NotReady for a file that
    changes while it is read.
    """
    cache = cache_file()
    with path.open("rb") as file:
        name, before = os.path.realpath(path), os.fstat(file.fileno())
        known = None if fresh else _known(cache).get(name)
        if known and known.is_of(before):
            return bytes.fromhex(known.sha256)
        digest, after = _digest(file), os.fstat(file.fileno())
    if _identity(before) != _identity(after):
        raise NotReady(f"{path} was changed while it was read; try again when it is whole")
    if time.time_ns() - after.st_ctime_ns > SETTLED_NS:
        others = {other: entry for other, entry in _known(cache).items() if os.path.exists(other)}
        _remember(cache, {**others, name: Known(*_identity(after), digest.hex())})
    return digest


def together_sha256(paths: Sequence[Path]) -> bytes:
    """Return a SHA-256 over the SHA-256 of each of many files, in their order. What is known of them is kept in a file
    of its own, which is read and written once: 24,000 files of latents would make the common one slow.

    Raises as :func:`sha256`.
    """
    names = [os.path.realpath(path) for path in paths]
    which = hashlib.sha256("\0".join(names).encode(errors="surrogateescape")).hexdigest()[:16]
    cache = cache_file().with_name(f"together-{which}.json")
    known, learnt, whole = _known(cache), {}, hashlib.sha256()
    for name in names:
        with open(name, "rb") as file:
            before, entry = os.fstat(file.fileno()), known.get(name)
            digest = bytes.fromhex(entry.sha256) if entry and entry.is_of(before) else _digest(file)
            after = os.fstat(file.fileno())
        if _identity(before) != _identity(after):
            raise NotReady(f"{name} was changed while it was read; try again when it is whole")
        whole.update(digest)
        if time.time_ns() - after.st_ctime_ns > SETTLED_NS:
            learnt[name] = Known(*_identity(after), digest.hex())
    if learnt != known:
        _remember(cache, learnt)
    return whole.digest()


def cache_file() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lingbot_eval" / "sha256.json"


def _identity(state: os.stat_result) -> tuple[int, int, int, int, int]:
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev


def _known(cache: Path) -> dict[str, Known]:
    """Return what ``cache`` holds, by path; empty where it is not there or holds anything else, as that of an older
    version does."""
    try:
        return msgspec.json.decode(bounded(cache, LARGEST), type=dict[str, Known])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _remember(cache: Path, known: dict[str, Known]) -> None:
    with contextlib.suppress(OSError, UnicodeEncodeError):  # a name that is no text is not remembered
        content = msgspec.json.format(msgspec.json.encode(known))
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_whole(cache, content)


def _digest(file: BinaryIO) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()
