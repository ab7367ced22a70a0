"""Open, read, write and lock files, when anybody may have put anything in their place.

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

from lingbot_eval.errors import BadInput, CorruptRecords, LingbotEvalError, NotReady

LARGEST = 64 * 2**20
"""No file that is read whole has more bytes; UMT5's tokenizer.json, the largest, has 17 million."""

DEEPEST = 64
"""JSON is read with so many objects and lists within one another; a run's settings have six."""

DIGITS = 16
"""A checksum has so many hexadecimal digits. They tell accidents and careless hands, not somebody who computes them
anew."""

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Unfit(OSError):
    """What lies there is no ordinary file, or a larger one than is read; ``strerror`` says which."""


def regular(file: Path) -> BinaryIO:
    """Open ``file`` to be read; a link is followed.

    Raises OSError: FileNotFoundError where there is nothing, Unfit where there is anything but a file.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # or a FIFO would be waited for
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise Unfit(errno.EINVAL, f"{KINDS.get(kind, 'no file')}, not a file", str(file))
    return os.fdopen(descriptor, "rb", buffering=2**18)


def bounded(file: Path, most: int = LARGEST) -> bytes:
    """Return all of ``file``.

    Raises OSError as :func:`regular` does, and Unfit for more than ``most`` bytes.
    """
    with regular(file) as stream:
        return _bounded(stream, file, most)


def opened(file: Path) -> BinaryIO:
    """Open a ``file`` of ours to be read.

    Raises OSError: FileNotFoundError where there is nothing; CorruptRecords where there is anything but a file.
    """
    try:
        return regular(file)
    except FileNotFoundError:
        if file.is_symlink():
            raise CorruptRecords(f"{file} is a link to nothing") from None
        raise
    except Unfit as error:
        raise CorruptRecords(f"{file} is {error.strerror}") from None


def read(file: Path, again: bool = True) -> bytes | None:
    """Return all of a ``file`` of ours; None where there is none, or none any more. With ``again`` it is read a second
    time where NFS says ESTALE, as it does of a file that another machine replaced or removed after we had opened it.

    Raises CorruptRecords for what is no file, is larger than LARGEST or cannot be read.
    """
    try:
        with opened(file) as stream:
            content = _bounded(stream, file, LARGEST)
    except FileNotFoundError:
        return None
    except Unfit as error:
        raise CorruptRecords(f"{file} is {error.strerror}: it is not what this package writes") from None
    except OSError as error:
        if error.errno == errno.ESTALE and again:
            return read(file, again=False)
        raise unreadable(file, error) from None
    return content


def unreadable(file: Path, error: OSError) -> CorruptRecords:
    return CorruptRecords(f"{file} cannot be read: {error.strerror or error}")


def unwritable(place: Path, error: OSError, remedy: str = "") -> NotReady:
    return NotReady(f"cannot write to {place}: {error.strerror}" + f"; {remedy}" * bool(remedy))


def parsed(content: bytes, file: Path, newest: int | None = None) -> dict[str, Any]:
    """Return the JSON object in ``content``, which was read from ``file``.

    Raises CorruptRecords for anything else, for a ``checksum`` that is not right, and for a ``schema`` over ``newest``.
    """
    try:
        found = json_object(content)
        schema = found.get("schema", 1)
        if newest is not None and isinstance(schema, int) and schema > newest:
            raise CorruptRecords(
                f"{file} was written by a newer version of lingbot_eval (schema {schema}, this one reads up to "
                f"{newest}): update this one"
            )
        if "checksum" in found and found["checksum"] != (real := checksum(found)):
            raise CorruptRecords(
                f"{file} was changed: its content has checksum {real}, not {found['checksum']}. Restore it; or, where "
                'the change is meant, take out its "checksum": then it is read, and said to have none'
            )
    except ValueError as error:
        raise CorruptRecords(f"{file}: {error}") from None
    return found


def json_object(content: bytes | str, **numbers: Any) -> dict[str, Any]:
    """Return the JSON object in ``content``. ``numbers``: as ``json.loads`` takes them (``parse_int`` and so on).

    Raises ValueError for anything else, also for what is nested more than DEEPEST levels deep.
    """
    deep = f"more than {DEEPEST} objects in one another"
    try:
        found = json.loads(content, **numbers)
    except RecursionError:
        raise ValueError(deep) from None
    if not isinstance(found, dict):
        raise ValueError("it holds no JSON object")
    if _deeper(found, DEEPEST):
        raise ValueError(deep)
    return found


def with_checksum(content: Mapping[str, Any]) -> bytes:
    """Return ``content`` as the JSON that :func:`parsed` reads; values that JSON has no type for become text."""
    plain = json.loads(json.dumps(content, default=str))
    return json.dumps({**plain, "checksum": checksum(plain)}, indent=2).encode() + b"\n"


def checksum(content: Mapping[str, Any]) -> str:
    """Compute the checksum of ``content`` without its own ``checksum``, however its JSON is spaced and ordered."""
    said = {name: value for name, value in content.items() if name != "checksum"}
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:DIGITS]


@contextlib.contextmanager
def as_any_new(file: Path) -> Iterator[None]:
    """Give what is written to ``file`` within the permissions of any new file, also where a library's are narrower
    (safetensors makes files that nobody but their owner reads)."""
    file.touch()
    mode = stat.S_IMODE(file.stat().st_mode)
    yield
    file.chmod(mode)


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock on ``file``, which is made where there is none and never changed. The kernel lets go of it however we
    end.

    Raises BlockingIOError where another process holds it, OSError where it cannot be made or is no file.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)  # but for the umask
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(file))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(lock: Path, taken: LingbotEvalError, remedy: str) -> Iterator[None]:
    """Hold ``lock`` as :func:`locked` does.

    Raises ``taken`` where another process does, NotReady with ``remedy`` where there can be no lock.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock))
        except BlockingIOError:
            raise taken from None
        except OSError as error:  # also of a file system without locks
            raise NotReady(f"cannot lock {lock}: {error.strerror}; {remedy}") from None
        yield


def made(folder: Path) -> None:
    """Make ``folder`` where it is not there.

    Raises OSError, also where it is a link: what is written there would take the place of somebody else's files.
    """
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise OSError(errno.ELOOP, "it is a link; remove it", str(folder))


def listed(folder: Path, ending: str = "") -> list[Path]:
    """List what is in ``folder`` and ends in ``ending``, by name; nothing where there is no such folder. Hidden files
    are left out: they are ours while they are written, or other systems' (``._name``, ``.nfs0123``, ``.DS_Store``).

    Raises CorruptRecords where it is anything else.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        if folder.is_symlink():
            raise CorruptRecords(f"{folder} is a link to nothing") from None
        return []
    except OSError as error:
        raise CorruptRecords(f"{folder} cannot be read: {error.strerror}") from None
    return [folder / name for name in sorted(names) if name.endswith(ending) and not name.startswith(".")]


def write_whole(file: Path, content: bytes) -> None:
    """Write ``file`` whole or not at all."""
    part = _part(file, content)
    try:
        part.replace(file)
    except OSError:  # a folder lies there
        part.unlink(missing_ok=True)
        raise


def synced(file: Path) -> None:
    """Have the disk hold what another program, or library, wrote."""
    with regular(file) as stream:
        os.fsync(stream.fileno())


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
    """Return where a file may grow until it is :func:`placed`: in $TMPDIR, under a name that nobody can guess."""
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


@contextlib.contextmanager
def folder_whole(target: Path, ours: str = "") -> Iterator[Path]:
    """Give a hidden folder beside ``target`` to be filled, which then takes its place; what raises leaves neither it
    nor a trace. A folder with a file of the name ``ours`` in it is one that we wrote, and is replaced.

    Raises BadInput for any other that is not empty, NotReady where nothing can be written.
    """
    known = bool(ours) and (target / ours).is_file()
    if os.path.lexists(target) and not known and not _empty(target):
        whose = " was not written by this command" if ours else " is not empty"
        raise BadInput(f"{target} is there, and{whose}; name a new folder")
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        part.mkdir(parents=True)
        yield part
        old = part.with_name(f"{part.name}.old")
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)
        part.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise unwritable(target, error) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _bounded(stream: BinaryIO, file: Path, most: int) -> bytes:
    content = stream.read(most + 1)
    if len(content) > most:
        raise Unfit(errno.EFBIG, f"larger than {most >> 20} MiB", str(file))
    return content


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
