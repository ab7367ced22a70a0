"""The local pages' servers have this in common: what a stranger sends, or does not send, costs little and ends soon."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

MOST = 64
"""There are at most so many connections at once; a browser opens six. One more is closed again."""

SECONDS = 30.0
"""Within so many seconds a request must have arrived whole, and an answer must have moved on."""


class QuietServer(ThreadingHTTPServer):
    """Starts a thread for each connection, of which there are at most MOST; none outlives the process."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[QuietHandler]) -> None:
        self._open: dict[socket.socket, float | None] = {}
        """The request has to be there by this time on the monotonic clock; None: it is, and being answered."""
        self._turn = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._turn:
            full = len(self._open) >= MOST
            if not full:
                self._open[request] = time.monotonic() + SECONDS
        if full:
            return self.shutdown_request(request)
        super().process_request(request, client_address)

    def awaits(self, request: socket.socket, seconds: float | None) -> None:
        """Note that a request is to arrive on this connection in so many seconds; None: it has arrived."""
        with self._turn:
            self._open[request] = None if seconds is None else time.monotonic() + seconds

    def shutdown_request(self, request: Any) -> None:
        with self._turn:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off, between requests, who dribbles in a request byte by byte, like who is silent."""
        now = time.monotonic()
        with self._turn:
            late = [request for request, until in self._open.items() if until is not None and until < now]
            for request in late:  # its thread reads an end, and closes
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a tablet that fell asleep, or a player that has seen enough of a video: it is nobody's error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class QuietHandler(BaseHTTPRequestHandler):
    server: QuietServer
    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def handle_one_request(self) -> None:
        self.server.awaits(self.connection, SECONDS)
        super().handle_one_request()

    def parse_request(self) -> bool:
        whole = super().parse_request()
        if self.command != "POST":  # what has a body says itself when that is there
            self.server.awaits(self.connection, None)
        return whole

    def log_message(self, *_: Any) -> None:
        """Log nothing: a page asks every second."""


class Span(NamedTuple):
    """Bytes of a file; ``length`` 0: none that it has (status 416)."""

    first: int
    length: int


def span(asked: str, size: int) -> Span | None:
    """Return which of ``size`` bytes the Range header ``asked`` names.

    It is None where the whole is to be sent: RFC 9110, section 14, lets a server ignore several ranges at once, and has
    it ignore what is no range of bytes.
    """
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", asked.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = (_number(text) for text in match.groups())
    if first is None:  # the last so many
        length = min(size, last or 0)
        return Span(size - length, length)
    if last is not None and last < first:
        return None
    return Span(first, max(0, (size if last is None else min(size, last + 1)) - first))


def _number(digits: str) -> int | None:
    """Return the number; None where there are no digits. Where there are more than any file's size has, the first ones
    do as well."""
    return int(digits.lstrip("0")[:20] or 0) if digits else None
