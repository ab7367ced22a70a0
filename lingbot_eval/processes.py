"""What our child processes have in common: how they talk, and that none outlives its parent.

Messages are JSON lines over a socket pair. A child may be another Python with other libraries, and a socket is no place
to unpickle from.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import sys
import time
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
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                raise TimeoutError
            try:
                piece = self._socket.recv(1 << 16)
            except OSError:
                raise Closed from None
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
    if os.getppid() != parent:  # it ended before the request was in place
        os._exit(1)
