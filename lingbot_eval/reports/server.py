"""A run's page over HTTP on this machine alone, made anew whenever it is asked for."""

from __future__ import annotations

import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.reports import page
from lingbot_eval.serving import QuietServer
from lingbot_eval.suites.store import RunDirectory

ADDRESS = "127.0.0.1"
PAGE = "/report/index.html"
"""Where it lies in the run directory, so that the videos' relative paths hold here too."""


class Server(QuietServer):
    """Serves the page, its data and its videos until it is shut down. ``port`` 0: any free one."""

    def __init__(self, folder: RunDirectory, port: int) -> None:
        self.folder = folder
        super().__init__((ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}{PAGE}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page; its data where they have changed; a video, or the range of it that a player asks for."""
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}:
            # A foreign site's name that was pointed at this address: its scripts must not read the run.
            return self._say(HTTPStatus.FORBIDDEN, f"open {self.server.url}")
        url = urlsplit(self.path)
        try:
            if url.path == "/":
                return self._send(HTTPStatus.FOUND, b"", "text/plain", Location=PAGE)
            if url.path == PAGE:
                content = page.html(page.read(self.server.folder)).encode()
                return self._send(HTTPStatus.OK, content, "text/html; charset=utf-8")
            if url.path == "/report/data.json":
                if parse_qs(url.query).get("after") == [page.version(self.server.folder)]:
                    return self._send(HTTPStatus.NO_CONTENT, b"", "application/json")
                content = msgspec.json.encode(page.read(self.server.folder))
                return self._send(HTTPStatus.OK, content, "application/json")
        except LingbotEvalError as error:
            return self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        video = self._video(unquote(url.path))
        if video is None:
            return self._say(HTTPStatus.NOT_FOUND, "no such page or video")
        return self._film(video)

    def _video(self, path: str) -> Path | None:
        """The run's video of that name, if it is still there (a trial's is a link); compared, not opened, so that no
        path leads elsewhere."""
        videos = (file for file in self.server.folder.path.glob("videos/*/*.mp4") if file.is_file())
        return next(
            (file for file in videos if f"/{file.relative_to(self.server.folder.path).as_posix()}" == path), None
        )

    def _film(self, video: Path) -> None:
        content = video.read_bytes()  # a few megabytes: minutes at most, at the size of cameras
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(asked[1]) if asked else 0
        if asked is None or first >= len(content):
            return self._send(HTTPStatus.OK, content, "video/mp4", Accept_Ranges="bytes")
        part = content[first : int(asked[2]) + 1] if asked[2] else content[first:]
        place = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return self._send(HTTPStatus.PARTIAL_CONTENT, part, "video/mp4", Accept_Ranges="bytes", Content_Range=place)

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._send(status, words.encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        for name, value in {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing: the page asks every two seconds."""
