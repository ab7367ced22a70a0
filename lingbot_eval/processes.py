"""Talk with child processes, and let none outlive its parent.

Messages are JSON lines over a socket pair. A child may be another Python with other libraries, and a socket is no place
to unpickle from. What comes is decoded into the one type that is expected, or refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h

MESSAGE_BYTES = 4 << 20
"""No message is longer. The longest honest ones are a traceback of WORDS characters, which JSON writes with at most
twelve bytes each; an action of 1000 commands has 0.4 MB, everything else less than 0.1 MB."""

WORDS = 100_000
"""So many characters of an error's words are passed on."""

PRINTED_BYTES = 1_000_000_000
"""A child that prints more is ended: it would fill the disk."""

WAITED_SECONDS = 1e6
"""Whoever would wait longer on a socket waits for ever: the kernel's clock has no room for infinity."""

CLOSED = "closed its connection"

KIN = "LINGBOT_EVAL_KIN"
"""This environment variable has a mark for each of our processes above, by which what they have started is found."""


class Closed(Exception):
    """The other end is gone."""


class Garbled(Exception):
    """What came is not the message that was expected. The error says what it is."""


class Connection:
    """A connection carries JSON lines over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._come, self._searched = connection, bytearray(), 0

    def send(self, message: Any, seconds: float | None = None) -> None:
        """Send a struct, a dataclass, or plain data, in which numpy's scalars may be. NaN and infinity arrive as null.

        Raises Closed, and TimeoutError where it is not taken within ``seconds``; part of it may be then.
        """
        self._socket.settimeout(_bounded(seconds))
        try:
            self._socket.sendall(msgspec.json.encode(message, enc_hook=_plain) + b"\n")
        except TimeoutError:
            raise
        except OSError:
            raise Closed from None
        finally:
            self._socket.settimeout(None)

    def receive(self, seconds: float | None) -> bytes:
        """Return the next message, for :func:`decoded`.

        Raises Closed, Garbled for one that is too long, and TimeoutError where it is not whole after ``seconds``: what
        has come of it is kept.
        """
        end = None if seconds is None else time.monotonic() + seconds
        left = seconds
        while (at := self._come.find(b"\n", self._searched)) < 0:
            self._searched = len(self._come)
            if self._searched > MESSAGE_BYTES:
                raise Garbled(f"more than {MESSAGE_BYTES} bytes without an end: {excerpt(self._come)}")
            if left is not None and left < 0.0:
                raise TimeoutError
            self._socket.settimeout(_bounded(left))
            try:
                piece = self._socket.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError:
                raise Closed from None
            finally:
                self._socket.settimeout(None)
            if not piece:
                raise Closed
            self._come += piece
            left = None if end is None else end - time.monotonic()
        message = bytes(self._come[:at])
        del self._come[: at + 1]
        self._searched = 0
        return message

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def _bounded(seconds: float | None) -> float | None:
    """Return ``seconds`` as a socket takes them: 0 would mean not to wait at all, and to say so in another way."""
    return None if seconds is None or seconds > WAITED_SECONDS else max(1e-6, seconds)


def decoded(message: bytes, kind: Any) -> Any:
    """Return ``message`` as a ``kind`` of struct or dataclass. Raises Garbled."""
    try:
        return _decoder(kind).decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbled(f"{str(error).replace('`', '')}: {excerpt(message)}") from None


@functools.cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def excerpt(message: bytes | bytearray) -> str:
    """Return the beginning of ``message``, for a person."""
    return repr(bytes(message[:200]).decode(errors="replace")) + " …" * (len(message) > 200)


def words_of(text: str) -> str:
    """Return ``text`` as it can be sent and written: not too long, the middle left out, and encodable."""
    if len(text) > WORDS:
        text = f"{text[: WORDS // 2]}\n[{len(text) - WORDS} characters left out]\n{text[-WORDS // 2 :]}"
    return text.encode(errors="backslashreplace").decode()


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` (its pid) ends, however it ends.

    Elsewhere than on Linux a child notices only at its next read.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        print(
            f"process {parent} started this one but is not its parent: it has ended, or the interpreter is a script "
            "that should `exec` the real one",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


def keep_orphans() -> None:
    """Ask the kernel to give this process the orphans among its descendants, so that they are found below it.

    Nobody waits for those of them that end: the kernel lists them until this process ends, too.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(option, value)


class Kin:
    """A process to be started and all that it will have started, also in sessions of their own, and also when it is
    gone."""

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)

    def environment(self) -> Mapping[str, str]:
        """Return the variables that the process needs besides ours."""
        return {KIN: f"{os.environ.get(KIN, '')} {self._mark}".strip()}

    def kill(self, pid: int | None) -> None:
        """Kill all of them. ``pid`` is the process, if it was not waited for yet.

        They stand still first, or one could start another while we look.
        """
        known: set[int] = set()
        while new := self._alive(pid) - known:
            known |= new
            _signal(new, signal.SIGSTOP)
        _signal(known, signal.SIGKILL)

    def end(self, process: subprocess.Popen[bytes], patience: float) -> None:
        """Kill ``process`` and all of them, if it has not ended itself after ``patience`` seconds; it is waited for."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        self.kill(process.pid if process.returncode is None else None)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: of a group that has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _alive(self, pid: int | None) -> set[int]:
        """Return the pids of those that live, found by descent and by mark."""
        family = set() if pid is None else {pid, *descendants(pid)}
        for environment in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                if self._mark.encode() in environment.read_bytes():
                    family.add(int(environment.parent.name))
        return family - {os.getpid()}


class Log:
    """The file to which a child's prints are appended."""

    def __init__(self, path: Path) -> None:
        self.path, self._start = path, 0

    def open(self) -> BinaryIO:
        """Open the file; from here on what is appended to it is the child's.

        Raises OSError, also for a link, which may lead to anybody's file, and for what is no file.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        stream = os.fdopen(os.open(self.path, flags, 0o666), "ab")
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            stream.close()
            raise OSError(errno.EINVAL, "it is not a file", str(self.path))
        self._start = found.st_size
        return stream

    def excess(self) -> str:
        """Say in words that too much was printed; empty where it was not."""
        if self.path.stat().st_size - self._start > PRINTED_BYTES:
            return f"has printed more than {PRINTED_BYTES / 1e9:g} GB to {self.path}"
        return ""

    def last_words(self) -> list[str]:
        """Return the last lines, at most five."""
        with self.path.open("rb") as file:
            file.seek(max(self._start, file.seek(0, os.SEEK_END) - 2000))
            return file.read().decode(errors="replace").strip().splitlines()[-5:]


def how_it_ended(process: subprocess.Popen[bytes], patience: float) -> str:
    """Say how ``process`` ended, in words that follow its name; CLOSED where it has not after ``patience`` seconds."""
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        return CLOSED
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """Return the pids of what ``pid`` has started, and of what they have; none elsewhere than on Linux."""
    found, unread = list[int](), [pid]
    while unread:
        for task in _tasks(unread.pop()):
            children = _children(task)
            found += children
            unread += children
    return found


def resident_bytes(pid: int) -> int:
    """Return how many bytes of memory process ``pid`` and all that it started hold; what they share is counted for
    each. It is 0 elsewhere than on Linux, and for a process that has ended."""
    try:
        held = _resident_bytes(pid)
    except (OSError, IndexError):
        return 0
    for descendant in descendants(pid):
        with contextlib.suppress(OSError, IndexError):
            held += _resident_bytes(descendant)
    return held


def _resident_bytes(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _tasks(pid: int) -> list[Path]:
    """Return the folders of its threads in /proc."""
    try:
        return list((Path("/proc") / str(pid) / "task").iterdir())
    except OSError:  # it has ended
        return []


def _children(task: Path) -> list[int]:
    """Return the pids of what a thread has started."""
    try:
        return [int(pid) for pid in (task / "children").read_text().split()]
    except OSError:  # the thread has ended
        return []
