"""The journal holds what is said during trials, each line on disk before the next one is taken."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady
from lingbot_eval.lines import LineReader, LineWriter
from lingbot_eval.plausible import MOST
from lingbot_eval.trials.rubric import Rubric
from lingbot_eval.trials.scoring import points_of

Kind = Literal["start", "step", "intervention", "retry", "note", "video", "undo"]


class Event(msgspec.Struct, frozen=True):
    """Something said during a trial."""

    kind: Kind
    at: float
    """The trial's clock showed so many seconds."""
    step: int = 0
    """Steps count from 1."""
    points: float = 0.0
    text: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of the journal."""

    trial: int
    """Trials count from 1 in the order of the plan."""
    attempt: int
    event: Event


@dataclass(frozen=True)
class State:
    """Holds what the events of a trial come to."""

    points: tuple[float, ...]
    """There are points for each step."""
    interventions: int
    retries: int
    notes: tuple[str, ...]
    videos: tuple[str, ...]


REMEDY = "restore the line, or cut the file off before it"


class Journal:
    """Keeps what is said in ``path``, where nobody else writes meanwhile."""

    def __init__(self, path: Path, rubrics: Sequence[Rubric]) -> None:
        """Read it, or begin it; a torn last line is the keystroke that was in flight, and is cut off. ``rubrics`` are
        those of the trials, in the order of the plan.

        Raises CorruptRecords, also for what nobody can have said; NotReady where nothing can be written.
        """
        self.path, self._rubrics = path, rubrics
        self._standing: Counter[tuple[int, int]] = Counter()
        """So many things were said of a trial and attempt, and not taken back, in the lines read until now."""
        known = LineReader(path, self._decode, REMEDY)
        self.lines: list[Line] = []
        self.warnings: list[str] = []
        """Each sentence says what was lost, or cannot be checked."""
        with contextlib.suppress(FileNotFoundError):
            self.lines += known.added()
        self.warnings += known.torn_sentence("is lost: it was said last")
        if known.bare:
            self.warnings.append(f"{path}: {known.bare} lines without checksums, as version 0.1.0 wrote them")
        try:
            self._file = LineWriter(path, after=known)
        except OSError as error:
            raise files.unwritable(path, error) from None

    def _decode(self, encoded: bytes) -> Line:
        line = _LINES.decode(encoded)
        if words := self._impossible(line):
            raise CorruptRecords(f"cannot have been said ({words}); {REMEDY}")
        if line.event.kind != "start":
            self._standing[line.trial, line.attempt] += -1 if line.event.kind == "undo" else 1
        return line

    def _impossible(self, line: Line) -> str:
        """Say what of ``line`` cannot be true; nothing where all can."""
        event = line.event
        if not 1 <= line.trial <= len(self._rubrics):
            return f"trial {line.trial}; the plan has 1..{len(self._rubrics)}"
        if line.attempt < 1:
            return f"attempt {line.attempt}"
        if not 0 <= event.at <= MOST:
            return f"at {event.at} seconds"
        if event.kind == "undo" and not self._standing[line.trial, line.attempt]:
            return "undo, with nothing before it"
        if event.kind == "step":
            try:
                points_of(self._rubrics[line.trial - 1], event.step, event.points)
            except BadInput as error:
                return str(error)
        return ""

    def append(self, line: Line) -> None:
        """Write ``line``, which is on disk when this returns. Raises NotReady where there is no room for it; then
        nothing of it is there."""
        try:
            self._file.append(msgspec.json.encode(line))
        except OSError as error:
            raise files.unwritable(self.path, error) from None
        self.lines.append(line)

    def close(self) -> None:
        self._file.close()


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While this lasts nobody else may score in ``folder``; the kernel lets go of it however we end.

    Raises NotReady where another process does, or nothing can be written.
    """
    taken = NotReady(f"another process has {folder} open, in a terminal or with --web; end it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.unwritable(folder, error) from None
    with files.alone(folder / ".lock", taken, "score on a local disk"):
        yield


def standing(events: Sequence[Event]) -> list[Event]:
    """List what was said and not taken back, the start left out."""
    said: list[Event] = []
    for event in events:
        if event.kind == "undo":
            said.pop()
        elif event.kind != "start":
            said.append(event)
    return said


def state(events: Sequence[Event], steps: int) -> State:
    """Say what ``events`` come to, of a rubric with so many ``steps``."""
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


_LINES = msgspec.json.Decoder(Line)
