"""What is said during trials, each line on disk before the next one is taken."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lingbot_eval.errors import CorruptRecords, NotReady

Kind = Literal["start", "step", "intervention", "retry", "note", "video", "undo"]


class Event(msgspec.Struct, frozen=True):
    """Something said during a trial."""

    kind: Kind
    at: float
    """Seconds on the trial's clock."""
    step: int = 0
    """From 1."""
    points: float = 0.0
    text: str = ""


class Line(msgspec.Struct, frozen=True):
    """Of the journal."""

    trial: int
    """From 1 in the order of the plan."""
    attempt: int
    event: Event


@dataclass(frozen=True)
class State:
    """What the events of a trial come to."""

    points: tuple[float, ...]
    """By step."""
    interventions: int
    retries: int
    notes: tuple[str, ...]
    videos: tuple[str, ...]


class Journal:
    """``path``, while nobody else writes there."""

    def __init__(self, path: Path) -> None:
        """Read it, or begin it. Raises CorruptRecords, NotReady where nothing can be written."""
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            self.lines = self._whole_lines()
        except BaseException:
            self.close()
            raise

    def _whole_lines(self) -> list[Line]:
        """A torn last line is the keystroke that was in flight, and is cut off."""
        content = self.path.read_bytes()
        *lines, torn = content.split(b"\n")
        os.ftruncate(self._file, len(content) - len(torn))
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(msgspec.json.decode(line, type=Line))
            except msgspec.DecodeError as error:
                raise CorruptRecords(f"{self.path}:{number}: {error}") from None
        return found

    def append(self, line: Line) -> None:
        """On disk when this returns. Raises NotReady where there is no room for it; then nothing of it is there."""
        before, data = os.fstat(self._file).st_size, memoryview(msgspec.json.encode(line) + b"\n")
        try:
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, before)
            raise _unwritable(self.path, error) from None
        self.lines.append(line)

    def close(self) -> None:
        os.close(self._file)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While this lasts nobody else may score in ``folder``; the kernel lets go of it however we end.

    Raises NotReady where another process does, or nothing can be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise _unwritable(folder, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(f"another process has {folder} open, in a terminal or with --web; end it first") from None
        except OSError as error:  # a file system without locks
            raise NotReady(f"cannot lock {folder}: {error.strerror}; score on a local disk") from None
        yield


def standing(events: Sequence[Event]) -> list[Event]:
    """What was said and not taken back, the start left out."""
    said: list[Event] = []
    for event in events:
        if event.kind == "undo":
            said.pop()
        elif event.kind != "start":
            said.append(event)
    return said


def state(events: Sequence[Event], steps: int) -> State:
    """``steps``: how many the rubric has."""
    said = standing(events)
    points = [0.0] * steps
    for event in said:
        if event.kind == "step":
            points[event.step - 1] = event.points
    return State(
        points=tuple(points),
        interventions=sum(event.kind == "intervention" for event in said),
        retries=sum(event.kind == "retry" for event in said),
        notes=tuple(event.text for event in said if event.kind == "note"),
        videos=tuple(event.text for event in said if event.kind == "video"),
    )


def _unwritable(path: Path, error: OSError) -> NotReady:
    return NotReady(f"cannot write to {path}: {error.strerror}")
