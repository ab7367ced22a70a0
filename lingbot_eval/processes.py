"""What our child processes have in common: how they talk, and that none outlives its parent.

Messages are JSON lines over a socket pair. A child may be another Python with other libraries, and a socket is no place
to unpickle from.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Closed(Exception):
    """The other end is gone."""


class Line:
    """JSON lines over a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket, self._rest = connection, b""

    def send(self, message: dict[str, Any]) -> None:
        """Raises Closed."""
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise Closed from None

    def receive(self, seconds: float | None) -> dict[str, Any]:
        """The next message.

        Raises Closed, and TimeoutError after ``seconds``.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._rest:
            self._socket.settimeout(None if end is None else max(1e-6, end - time.monotonic()))
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
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when ``parent`` (its pid) ends, however it ends.

    Elsewhere than on Linux a child notices only at its next read.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        print(
            f"process {parent} started this one but is not its parent: it has ended, or the interpreter is a script "
            "that should `exec` the real one",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


def resident_bytes(pid: int) -> int:
    """Memory that process ``pid`` and all that it started hold; what they share is counted for each. 0 elsewhere than
    on Linux, and for one that has ended."""
    process = Path("/proc") / str(pid)
    try:
        pages = int((process / "statm").read_text().split()[1])
        children = [child for task in (process / "task").iterdir() for child in _children(task)]
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident_bytes, children))


def _children(task: Path) -> list[int]:
    """Pids of what a thread has started."""
    try:
        return [int(pid) for pid in (task / "children").read_text().split()]
    except OSError:  # the thread has ended
        return []
