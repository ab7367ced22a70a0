"""This process serves a page for a tablet beside the robot over HTTP, and alone writes the trial session.

Every tap names the version of the trial session that it was made on. Whatever was done since gave it another one, so a
tap that comes twice, late, from a second tablet or after a restart is refused, and never recorded twice.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
import threading
from http import HTTPStatus
from importlib import resources
from urllib.parse import parse_qs

import msgspec

from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady
from lingbot_eval.trials.session import TrialSession
from lingbot_eval.trials.tablet import View, obey, view
from lingbot_eval.trials.verbs import Order
from lingbot_eval.web.serving import QuietHandler, QuietServer

ADDRESS = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104
PORT = 8420
"""It is the same after a restart, so that an open page goes on."""

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}")
"""``secrets.token_urlsafe`` draws them so: too long to be guessed, and it stands in an address as it is."""

LARGEST_TAP = 65536
"""A tap has no more bytes; its longest texts need fewer."""

STATIC = {
    "/": ("trials/page/tablet.html", "text/html; charset=utf-8"),
    "/tablet.css": ("trials/page/tablet.css", "text/css; charset=utf-8"),
    "/tablet.js": ("trials/page/tablet.js", "text/javascript; charset=utf-8"),
    "/dom.js": ("web/dom.js", "text/javascript; charset=utf-8"),
}
"""These are served without a token: nothing of the trial session is in them."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


class Tap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: str
    """It was made on the Answer with this version."""
    order: Order


class Answer(msgspec.Struct, frozen=True):
    said: str
    """It says what was done, or why nothing was."""
    version: str = ""
    view: View | None = None
    """The trial session as it stands; None: it is not for you."""


class Server(QuietServer):
    """Serves ``session``, which is open, until it is shut down. ``port`` 0 stands for any free one."""

    def __init__(self, session: TrialSession, address: str = ADDRESS, port: int = PORT, token: str = "") -> None:
        """Who does not have ``token`` sees and says nothing; it may be empty for this machine alone.

        Raises BadInput, NotReady where nobody can listen there.
        """
        self.local = _is_local(address)
        if token and not TOKEN.fullmatch(token):
            raise BadInput(f"a token is 16 or more of A-Z, a-z, 0-9, _ and -; for example {secrets.token_urlsafe(16)}")
        if not token and not self.local:
            raise BadInput(
                f"{address} lets others on the network score: it needs --token, for example {secrets.token_urlsafe(16)}"
            )
        self.token = token
        self._session, self._lock = session, threading.Lock()
        self._process, self._taps = secrets.token_hex(4), 0
        try:
            super().__init__((address, port), _Handler)
        except (OSError, OverflowError) as error:
            raise NotReady(f"cannot listen on {address}:{port}: {error}; choose with --bind and --port") from None

    @property
    def url(self) -> str:
        """Name the address to open, with the token behind #, which browsers keep to themselves."""
        address = str(self.server_address[0])
        place = socket.gethostname() if address == EVERYWHERE else address
        return f"http://{place}:{self.server_port}/" + (f"#{self.token}" if self.token else "")

    def changed(self, known: str) -> Answer | None:
        """Return None where nothing has changed since version ``known``."""
        with self._lock:
            return None if known == self._version else self._answer("")

    def tap(self, tap: Tap) -> tuple[HTTPStatus, Answer]:
        with self._lock:
            if tap.version != self._version:
                return HTTPStatus.CONFLICT, self._answer("nothing was recorded: something else came first. Look again")
            try:
                said, status = obey(self._session, tap.order), HTTPStatus.OK
            except BadInput as error:
                said, status = str(error), HTTPStatus.UNPROCESSABLE_ENTITY
            except LingbotEvalError as error:
                said, status = str(error), HTTPStatus.INTERNAL_SERVER_ERROR
            finally:
                self._taps += 1
            return status, self._answer(said)

    @property
    def _version(self) -> str:
        return f"{self._process}-{self._taps}"

    def _answer(self, said: str) -> Answer:
        return Answer(said, self._version, view(self._session))


class _Handler(QuietHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        path, _, query = self.path.partition("?")
        if self._foreign():
            return self._say(HTTPStatus.FORBIDDEN, "open the address that the terminal shows")
        if path in STATIC:
            name, kind = STATIC[path]
            content = (resources.files("lingbot_eval") / name).read_bytes()
            return self._send(HTTPStatus.OK, content, kind)
        if path != "/state":
            return self._say(HTTPStatus.NOT_FOUND, "no such page")
        if not self._trusted():
            return self._say(HTTPStatus.FORBIDDEN, "open the whole address that the terminal shows, # included")
        answer = self.server.changed(parse_qs(query).get("after", [""])[0])
        if answer is None:
            return self._send(HTTPStatus.NO_CONTENT, b"", "application/json")
        return self._send(HTTPStatus.OK, msgspec.json.encode(answer), "application/json")

    def do_POST(self) -> None:  # noqa: N802
        self.close_connection = True  # until the body is read, what follows is not a request
        if self._foreign() or self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            return self._say(HTTPStatus.FORBIDDEN, "another site's page may not score here")
        if not self._trusted():
            return self._say(HTTPStatus.FORBIDDEN, "open the whole address that the terminal shows, # included")
        if self.path != "/tap":
            return self._say(HTTPStatus.NOT_FOUND, "no such page")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > LARGEST_TAP:
            return self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_TAP} bytes, and say how many")
        body = self.rfile.read(int(length))
        self.server.awaits(self.connection, None)
        try:
            tap = msgspec.json.decode(body, type=Tap)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self._say(HTTPStatus.BAD_REQUEST, str(error))
        self.close_connection = False
        status, answer = self.server.tap(tap)
        return self._send(status, msgspec.json.encode(answer), "application/json")

    def _foreign(self) -> bool:
        """Say whether the request came by a foreign site's name that was pointed at this machine. Where others may
        connect, the token keeps it out instead."""
        names = {f"{name}:{self.server.server_port}" for name in (str(self.server.server_address[0]), "localhost")}
        return self.server.local and self.headers.get("Host") not in names

    def _trusted(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), self.server.token.encode()) or not self.server.token

    def _say(self, status: HTTPStatus, words: str) -> None:
        self._send(status, msgspec.json.encode(Answer(words)), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)


def _is_local(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        raise BadInput(f"{address!r} is no IPv4 address to listen on, such as {ADDRESS} or {EVERYWHERE}") from None
