"""Files as they are opened, read whole and locked, when anybody may have put anything in their place.

What is read is a file of ordinary size, not a folder, a FIFO or a device, and a link only where it leads to one. What
is written is never reached through a link: who can write beside us must not choose which file of ours is overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lingbot_eval.errors import CorruptRecords

LARGEST = 64 * 2**20
"""Bytes of a file that is read whole; a session's, the largest, has a few thousand."""

DEEPEST = 64
"""Objects and lists within one another; a run's settings have six."""

DIGITS = 16
"""Hexadecimal, of a checksum. They tell accidents and careless hands, not somebody who computes them anew."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def opened(file: Path) -> BinaryIO:
    """``file`` to be read.

    Raises OSError: FileNotFoundError where there is nothing; CorruptRecords where there is anything but a file.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # or a FIFO would be waited for
    except FileNotFoundError:
        if file.is_symlink():
            raise CorruptRecords(f"{file} is a link to nothing") from None
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise CorruptRecords(f"{file} is {KINDS.get(kind, 'no file')}, not a file")
    return os.fdopen(descriptor, "rb", buffering=2**18)


def read(file: Path, again: bool = True) -> bytes | None:
    """All of ``file``; None where there is none, or none any more. ``again``: NFS says ESTALE of one that another
    machine replaced or removed after we had opened it; asked once more, it knows.

    Raises CorruptRecords for what is no file, is larger than LARGEST or cannot be read.
    """
    try:
        with opened(file) as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ESTALE and again:
            return read(file, again=False)
        raise unreadable(file, error) from None
    if len(content) > LARGEST:
        raise CorruptRecords(f"{file} is larger than {LARGEST >> 20} MiB: it is not what this package writes")
    return content


def unreadable(file: Path, error: OSError) -> CorruptRecords:
    return CorruptRecords(f"{file} cannot be read: {error.strerror or error}")


def parsed(content: bytes, file: Path, newest: int | None = None) -> dict[str, Any]:
    """The JSON object in ``content``; where it has a ``checksum``, that is right. ``newest``: the largest ``schema``.

    Raises CorruptRecords, with ``file``.
    """
    try:
        found = json.loads(content)
        if not isinstance(found, dict) or _deeper(found, DEEPEST):
            raise CorruptRecords(f"{file} is not what this package writes: {_what_it_is(found)}")
        schema = found.get("schema", 1)
        if newest is not None and isinstance(schema, int) and schema > newest:
            raise CorruptRecords(f"{file} has schema {schema}; this version of lingbot_eval reads up to {newest}")
        if "checksum" in found and found["checksum"] != (real := checksum(found)):
            raise CorruptRecords(
                f"{file} was changed: its content has checksum {real}, not {found['checksum']}. Restore it; or, where "
                'the change is meant, take out its "checksum": then it is read, and said to have none'
            )
    except (ValueError, RecursionError) as error:
        raise CorruptRecords(f"{file}: {error}") from None
    return found


def _what_it_is(found: Any) -> str:
    return f"more than {DEEPEST} objects in one another" if isinstance(found, dict) else "it holds no JSON object"


def with_checksum(content: Mapping[str, Any]) -> bytes:
    """``content`` as the JSON that :func:`parsed` reads; what JSON has not becomes text."""
    plain = json.loads(json.dumps(content, default=str))
    return json.dumps({**plain, "checksum": checksum(plain)}, indent=2).encode() + b"\n"


def checksum(content: Mapping[str, Any]) -> str:
    """Of what it says besides, however it is spaced and ordered."""
    said = {name: value for name, value in content.items() if name != "checksum"}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """While this lasts nobody else is in here with ``file``, which is made where there is none and never changed; the
    kernel lets go of it however we end.

    Raises BlockingIOError where another process is, OSError where it cannot be made or is no file.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)  # but for the umask
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(file))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def made(folder: Path) -> None:
    """Make ``folder`` where it is not there.

    Raises OSError, also where it is a link: what is written there would take the place of somebody else's files.
    """
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link; remove it", str(folder))


def write_whole(file: Path, content: bytes) -> None:
    """Write ``file`` whole or not at all."""
    part = _part(file, content)
    try:
        part.replace(file)
    except OSError:  # a folder lies there
        part.unlink(missing_ok=True)
        raise


def publish(file: Path, content: bytes) -> bool:
    """Create ``file``, whole, unless it is there already; return whether we did. This is atomic on NFS, too."""
    if file.exists():  # saves work; what decides is link()
        return False
    part = _part(file, content)
    try:
        os.link(part, file)
    except FileExistsError:
        return part.stat().st_nlink == 2  # NFS may say so of our own link, when its answer was lost and it asked again
    finally:
        part.unlink()
    return True


def scratch(name: str) -> Path:
    """Where a file may grow until it is :func:`placed`: in $TMPDIR, as nobody can guess."""
    start, dot, ending = name.partition(".")
    return Path(tempfile.gettempdir()) / f"{start}-{secrets.token_hex(8)}{dot}{ending}"


def placed(part: Path, target: Path) -> None:
    """Move a finished file to its place, where it appears whole. A link there is replaced, and not what it leads to."""
    try:
        part.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        shutil.move(part, beside)
        beside.replace(target)


def _deeper(value: Any, left: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(left == 0 or _deeper(one, left - 1) for one in inside)


def _part(file: Path, content: bytes) -> Path:
    """Write a hidden file beside ``file``, to the disk; what cannot be written leaves none."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part
