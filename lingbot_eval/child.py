"""Start a process of another interpreter, ask it one question at a time, and watch it: :class:`Child` is our end of it,
:func:`host` is what runs there.

It dies with us, and all that it started with it. One that raises, ends, gives no answer in time, takes too much memory
or says what cannot be is killed, and is an error of its kind (:class:`Kind`); whoever wants to go on starts another.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import msgspec

from lingbot_eval.errors import BadAction, BadInput, ChildError, LingbotEvalError, NotReady, UnstableScene
from lingbot_eval.processes import (
    Closed,
    Connection,
    Garbled,
    Kin,
    Log,
    decoded,
    die_with_parent,
    how_it_ended,
    keep_orphans,
    resident_bytes,
    words_of,
)
from lingbot_eval.shared_memory import anonymous_memory

WATCH_SECONDS = 0.5
"""How often a child's memory is looked at."""

SURVIVED: dict[str, type[LingbotEvalError]] = {
    "BadAction": BadAction,
    "BadInput": BadInput,
    "UnknownName": BadInput,  # made of other things than its message
    "NotReady": NotReady,
    "UnstableScene": UnstableScene,
}
"""A child may raise these and go on; the key is the name that it gives. When it raises anything else, it is not asked
again."""


class Request(msgspec.Struct, forbid_unknown_fields=True, tag_field="op"):
    """A child may be asked this. Each kind of child has a closed union of requests, and takes nothing else."""

    @property
    def op(self) -> str:
        """Return the name of the request, as errors say it."""
        return str(self.__struct_config__.tag)


class Close(Request, tag="close"):
    """This is the last request: the child ends."""


class Answer(msgspec.Struct, forbid_unknown_fields=True, tag_field="answer", tag=str.lower):
    """A child may answer this. The tag is the name of the class in lower case; anything else ends the child."""


class Done(Answer):
    """The request was carried out, and there is nothing to say about it."""


class Failed(Answer):
    error: str
    kind: str
    """The name of the exception's class."""


A = TypeVar("A", bound=Answer)
R_contra = TypeVar("R_contra", bound=Request, contravariant=True)
R = TypeVar("R", bound=Request)


class Answers(Protocol[R_contra]):
    """This is what answers requests in the child's process."""

    def answer(self, asked: R_contra) -> Mapping[str, object]:
        """Return the fields of an Answer, with its tag."""


@dataclass(frozen=True)
class Kind:
    """A kind of child has an interpreter to be started with, a name, and errors that say what became of it."""

    module: str
    """The module that its interpreter runs, which calls :func:`host`."""
    who: str
    setting: str
    """The setting that names its interpreter."""
    raised: type[ChildError]
    died: type[ChildError]
    hung: type[ChildError]
    impossible: type[ChildError]
    folders: Mapping[str, str] = field(default_factory=lambda: {"TMPDIR": "tmp"})
    """Environment variables that lead to folders of its own, which vanish with it."""
    memory_limit: str = ""
    """The setting that limits its memory."""


class Child:
    """The process, its socket and its memory.

    It dies with the *thread* that started it (Linux ties the request to the thread): make it in one that lasts.
    """

    def __init__(self, kind: Kind, python: str, log: Path | None = None, gigabytes: float | None = None) -> None:
        """Start it. ``log``: the file to which its prints are appended. ``gigabytes``: the memory that it may take.

        Raises NotReady where it cannot be started, or its log not be written.
        """
        ours, theirs = socket.socketpair()
        self.connection, self.memory = Connection(ours), anonymous_memory()
        self.ended = False
        self._kind, self._gigabytes, self._watched = kind, gigabytes, time.monotonic()
        self._scratch = Path(tempfile.mkdtemp(prefix="lingbot_eval-"))
        self._kin, self._log = Kin(), Log(log or self._scratch / "log")
        command = [python, "-m", kind.module, "--socket", str(theirs.fileno())]
        command += ["--memory", str(self.memory), "--parent", str(os.getpid())]
        try:
            output = self._log.open()
        except OSError as error:
            theirs.close()
            self._forget()
            raise NotReady(f"cannot write to {self._log.path}: {error.strerror}") from None
        try:
            with output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(), self.memory),
                    start_new_session=True,  # so that Ctrl-C reaches us alone, and killing it kills what it started
                    env={**os.environ, **_private(self._scratch, kind.folders), **self._kin.environment()},
                )
        except OSError as error:
            self._forget()
            raise NotReady(f"{kind.setting}={python} cannot be started: {error.strerror}") from None
        finally:
            theirs.close()

    def ask(self, answer: type[A], request: Request, seconds: float, within: str = "") -> A:
        """Return what it answers to ``request``. ``within`` says in words what limits ``seconds``.

        Raises the errors of its kind, after which it has ended; and those that it survives (SURVIVED).
        """
        end, kind, op = time.monotonic() + seconds, self._kind, request.op
        try:
            self.connection.send(request, seconds)
            said: A | Failed = decoded(self._receive(op, end), answer | Failed)
        except TimeoutError:
            self.end()
            raise kind.hung(
                f"{kind.who} gave no answer to {op!r} within {within or f'{seconds:g} s'} and was killed"
            ) from None
        except Closed:
            how = self._how_it_ended()
            self.end()
            raise kind.died(f"{kind.who}'s process {how} during {op!r}") from None
        except Garbled as error:
            raise self.impossible(op, str(error)) from None
        if not isinstance(said, Failed):
            return said
        if survived := SURVIVED.get(said.kind):
            raise survived(said.error)
        self.end()
        raise kind.raised(f"{op!r} raised in {kind.who}'s process:\n{said.error}")

    def impossible(self, op: str, words: str) -> ChildError:
        """Kill the child, and return the error for an answer to ``op`` that cannot be."""
        self.end()
        return self._kind.impossible(f"{self._kind.who}'s answer to {op!r} cannot be, and it was killed: {words}")

    def end(self) -> None:
        """Kill it and everything it started."""
        if not self.ended:
            self.ended = True
            self.connection.close()
            self._kin.end(self._process, patience=0.5)
            self._forget()

    def _receive(self, op: str, end: float) -> bytes:
        """Return the answer to ``op``, and look at the child's memory every WATCH_SECONDS, also over many short answers
        and in the middle of a long one.

        Raises Closed, Garbled, its kind's ``died``, and TimeoutError at ``end``.
        """
        while True:
            if (now := time.monotonic()) >= self._watched + WATCH_SECONDS:
                self._watched = now
                if words := self._excess():
                    self.end()
                    raise self._kind.died(f"{self._kind.who}'s process was ended during {op!r}: {words}")
            if now >= end:
                raise TimeoutError
            with contextlib.suppress(TimeoutError):
                return self.connection.receive(min(end, self._watched + WATCH_SECONDS) - now)

    def _excess(self) -> str:
        """Say in words what it has too much of; empty where there is nothing."""
        limit = self._gigabytes
        if limit is not None and (held := resident_bytes(self._process.pid)) > limit * 1e9:
            return f"it had {held / 1e9:.3g} GB of memory, and {self._kind.memory_limit}={limit:g} allows no more"
        words = self._log.excess()
        return words and f"it {words}"

    def _how_it_ended(self) -> str:
        """Say in words how it ended, with the last lines that it printed."""
        how, tail = how_it_ended(self._process, 5.0), self._log.last_words()
        return how + (f" (its last words: {' | '.join(tail)})" if tail else "")

    def _forget(self) -> None:
        self.ended = True
        self.connection.close()
        os.close(self.memory)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _private(scratch: Path, folders: Mapping[str, str]) -> dict[str, str]:
    """Make ``folders`` in ``scratch``, and return the variables that lead to them, and one that keeps Python from
    holding back what it prints."""
    for folder in folders.values():
        (scratch / folder).mkdir()
    return {"PYTHONUNBUFFERED": "1", **{name: str(scratch / folder) for name, folder in folders.items()}}


def host(make: Callable[[int], Answers[R]], requests: object) -> None:
    """Be a child: what ``make`` gives, for the descriptor of the memory that is shared, answers each request.
    ``requests`` is the union of those that it knows; any other raises.

    An exception that is not one of ours is told to the parent and ends the process. The parent's death ends it too.
    """
    parser = argparse.ArgumentParser()
    for name in ("socket", "memory", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    given = parser.parse_args()
    die_with_parent(given.parent)
    keep_orphans()
    connection = Connection(socket.socket(fileno=given.socket))

    def last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        print(text, file=sys.stderr)
        connection.send({"answer": "failed", "error": words_of(text), "kind": kind.__name__})

    sys.excepthook = last_words
    _serve(connection, make(given.memory), requests)
    sys.stdout.flush()
    os._exit(0)  # not through the interpreter's teardown, where GL contexts print exceptions and drivers crash


def _serve(connection: Connection, answers: Answers[R], requests: object) -> None:
    """Answer until the parent asks to close, or is gone."""
    while True:
        try:
            asked: R = decoded(connection.receive(None), requests)
        except Closed:
            return
        answer: Mapping[str, object]
        try:
            answer = answers.answer(asked)
        except LingbotEvalError as error:
            answer = {"answer": "failed", "error": words_of(str(error)), "kind": type(error).__name__}
        connection.send(answer)
        if isinstance(asked, Close):
            return
