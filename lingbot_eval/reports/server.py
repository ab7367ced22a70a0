"""A run's page over HTTP on this machine alone, made anew whenever it is asked for."""

from __future__ import annotations

import os
import re
import threading
import time
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote

import msgspec

from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.reports import page
from lingbot_eval.runs import contents
from lingbot_eval.runs.contents import Reader
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.web.serving import QuietHandler, QuietServer, span

ADDRESS = "127.0.0.1"
PAGE = "/report/index.html"
"""The page's place in the run directory, so that the videos' relative paths hold here too."""

POLL_SECONDS = 2.0
"""After which an open page asks again (page.js)."""

REST = 10
"""Times as long as it took to make a page, it is shown before it is made anew."""


class Server(QuietServer):
    """Serves the page, its data and its videos until it is shut down. ``port`` 0: any free one."""

    def __init__(self, folder: RunDirectory, port: int) -> None:
        self.folder = folder
        self._reader, self._turn_to_read = Reader(folder), threading.Lock()
        self._book: page.Book | None = None
        self._scripts: dict[tuple[str, int], bytes] = {}
        """The book's parts that were asked for, by its version and their number: several pages look for words in all.
        """
        self._made = self._took = 0.0
        """When the book was made, on the monotonic clock, and how many seconds that took."""
        self._films: set[str] = set()
        self._records = 0
        """How many records there were when ``_films`` were looked for."""
        super().__init__((ADDRESS, port), _Handler)

    def book(self) -> page.Book:
        """The page as the run stands; or, where it takes long to make, as the run stood a while ago: a large run that
        goes on must not have a processor for being looked at.

        Raises BadInput and CorruptRecords.
        """
        with self._turn_to_read:
            now = time.monotonic()
            rests = now - self._made < REST * self._took - POLL_SECONDS
            if self._book is None or (not rests and contents.version(self.folder) != self._book.page.version):
                self._book, self._scripts = page.Book(self._reader.read()), {}
                self._made, self._took = time.monotonic(), time.monotonic() - now
            return self._book

    def is_named(self, film: str) -> bool:
        """Whether a record of a trial names it. Raises BadInput and CorruptRecords."""
        with self._turn_to_read:
            self._reader.plan()  # whose episodes the records share
            records = self._reader.records().all
            for record in records[self._records :]:
                self._films.update(record.trial.videos if record.trial else ())
            self._records = len(records)
            return film in self._films

    def part(self, number: int) -> bytes | None:
        """The script of a part of the book; None where it has no such part. Raises as :meth:`book`."""
        book = self.book()
        if number >= book.listing.parts:
            return None
        key = (book.page.version, number)
        if (made := self._scripts.get(key)) is None:
            made = self._scripts[key] = book.part(number).encode()
        return made

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}{PAGE}"


class _Handler(QuietHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        """The page; its data where they have changed; a part; a video, or the range of it that a player asks for."""
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}:
            # A foreign site's name that was pointed at this address: its scripts must not read the run.
            return self._say(HTTPStatus.FORBIDDEN, f"open {self.server.url}")
        path, _, query = self.path.partition("?")
        try:
            if path == "/":
                return self._send(HTTPStatus.FOUND, b"", "text/plain", Location=PAGE)
            if path == PAGE:
                content = page.html(self.server.book().page, grows=True).encode()
                return self._send(HTTPStatus.OK, content, "text/html; charset=utf-8")
            if path == "/report/data.json":
                shown = self.server.book().page
                if parse_qs(query).get("after") == [shown.version]:
                    return self._send(HTTPStatus.NO_CONTENT, b"", "application/json")
                return self._send(HTTPStatus.OK, msgspec.json.encode(shown), "application/json")
            part = re.fullmatch(rf"/report/{page.PARTS}/([0-9]{{1,9}})\.js", path)
            if part and (script := self.server.part(int(part[1]))) is not None:
                return self._send(HTTPStatus.OK, script, "text/javascript; charset=utf-8")
            video = self._video(unquote(path, errors="surrogateescape"))
        except LingbotEvalError as error:
            return self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        if video is None:
            return self._say(HTTPStatus.NOT_FOUND, "no such page or video")
        return self._film(video)

    def _video(self, path: str) -> Path | None:
        """The run's video of that name, if it is still there.

        A link is followed to an mp4 that a record of a trial names, as the session that scored it made it; to nothing
        else, wherever it or a folder on the way leads. Raises CorruptRecords.
        """
        run = os.path.realpath(self.server.folder.path)
        if not re.fullmatch(r"/videos/[^/\0]+/[^/\0]+\.mp4", path) or not os.path.isfile(run + path):
            return None
        file = os.path.realpath(run + path)
        if file != run + path and not (file.endswith(".mp4") and self.server.is_named(file)):
            return None
        return Path(file)

    def _film(self, video: Path) -> None:
        """Send a film in pieces: a trial's may be gigabytes."""
        try:
            file = video.open("rb")
        except OSError:
            return self._say(HTTPStatus.NOT_FOUND, "this video cannot be read")
        with file:
            size = os.fstat(file.fileno()).st_size
            part = span(self.headers.get("Range", ""), size)
            if part is not None and not part.length:
                status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                return self._send(status, b"", "video/mp4", Content_Range=f"bytes */{size}")
            first, length = part or (0, size)
            status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
            place = {"Content_Range": f"bytes {first}-{first + length - 1}/{size}"} if part else {}
            self._head(status, length, "video/mp4", Accept_Ranges="bytes", **place)
            if length and self.connection.sendfile(file, first, length) < length:
                self.close_connection = True  # it was cut short meanwhile; what would follow is no part of it

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._send(status, words.encode(errors="backslashreplace"), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, **headers: str) -> None:
        self._head(status, len(content), kind, **headers)
        self.wfile.write(content)

    def _head(self, status: HTTPStatus, length: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
        # The last: no other site's page may load a part as its own script, and so read it.
        ours = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        ours["Cross-Origin-Resource-Policy"] = "same-origin"
        for name, value in {**ours, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
