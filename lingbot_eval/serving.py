"""What the local pages' servers have in common."""

from __future__ import annotations

import sys
from http.server import ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """A thread for each request, none of which outlives the process."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A tablet that fell asleep, or a player that has seen enough of a video, is nobody's error."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
