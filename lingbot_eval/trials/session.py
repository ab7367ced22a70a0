"""A trial session is one sitting at the robot: it takes what is said of the trial at hand, and makes its record.

    SESSION/plan.json        the TrialPlan
    SESSION/journal.jsonl    everything said during trials, each line on disk before the next is taken
    SESSION/.lock            held by the process that scores here
    SESSION/<method>/        a run directory (runs/directory.py): ``lingbot-eval report SESSION/<method>``

Nothing but the line being written is lost when the process dies: the next one goes on within the same trial.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from types import TracebackType

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, RunMismatch
from lingbot_eval.names import safe_name, stem
from lingbot_eval.plausible import MOST, impossible
from lingbot_eval.runs.checks import compare
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.settings import as_struct, to_dict
from lingbot_eval.trials.journal import Event, Journal, Kind, Line, State, alone, standing, state
from lingbot_eval.trials.plan import Slot, TrialPlan
from lingbot_eval.trials.rubric import Rubric
from lingbot_eval.trials.scoring import points_of, scored
from lingbot_eval.types import Correction, EpisodeRecord, Outcome, Provenance, Trial


class TrialSession:
    """Plans, or goes on with, the trial session in ``folder``; within this context manager nobody else writes there.

    >>> import tempfile
    >>> from lingbot_eval.trials import TrialPlan, load_rubric
    >>> plan = TrialPlan((load_rubric("fold_pants"),), ("a", "b"), 1, "alternating", 7, "", "unstated")
    >>> with TrialSession(tempfile.mkdtemp(), plan, operator="me") as session:
    ...     session.step_reached(1)
    ...     record = session.failure("dropped")
    ...     print(record.progress, record.max_progress, session.current.method)
    1.0 3.0 b
    """

    def __init__(
        self,
        folder: Path | str,
        plan: TrialPlan | None = None,
        *,
        operator: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without a ``plan`` it goes on with the one that is there. Raises BadInput, CorruptRecords, RunMismatch."""
        self.folder, self.operator = Path(folder), operator
        self.plan = _planned(self.folder, plan)
        self.slots = self.plan.slots()
        self._clock = clock
        self._held = contextlib.ExitStack()
        self._runs = {method: RunDirectory(self.folder / safe_name(method)) for method in self.plan.methods}
        self._files: dict[str, RecordFile] = {}
        self._final: dict[str, dict[str, EpisodeRecord]] = {method: {} for method in self._runs}
        self.warnings: list[str] = []
        """A reader of the records should know each of these sentences, as of the last reading."""
        self._journal: Journal | None = None
        """It is None outside of the context."""
        self._events: list[Event] = []
        self._began = 0.0
        """The trial at hand began then, on our clock."""

    def __enter__(self) -> TrialSession:
        """Raises NotReady where another process has the session open or nothing can be written."""
        with contextlib.ExitStack() as held:
            held.enter_context(alone(self.folder))
            episodes = self.plan.episodes()
            for method, run in self._runs.items():
                run.open(self.plan.experiment(method), episodes)
            if not (self.folder / "plan.json").exists():
                try:
                    content = msgspec.json.format(msgspec.json.encode(self.plan)) + b"\n"
                    files.write_whole(self.folder / "plan.json", content)
                except OSError as error:
                    raise files.unwritable(self.folder, error) from None
            rubrics = [self.plan.rubric(slot.episode.task) for slot in self.slots]
            self._journal = Journal(self.folder / "journal.jsonl", rubrics)
            held.callback(self._journal.close)
            self.read()
            self.warnings += self._journal.warnings
            self._resume()
            self._held = held.pop_all()
        return self

    def read(self) -> None:
        """Read what is recorded by now, also while another process has the trial session open.

        Raises BadInput where none is, CorruptRecords, and RunMismatch where a run is not this plan's.
        """
        if not (self.folder / "plan.json").is_file():
            raise BadInput(f"{self.folder} holds no trial session yet")
        for method, run in self._runs.items():  # which hold all that plan.json says
            run.compare(self.plan.experiment(method), self.plan.episodes())
        known = {method: run.records() for method, run in self._runs.items()}
        self.warnings = [sentence for records in known.values() for sentence in (*records.torn, *records.doubts)]
        self._final = {method: records.final() for method, records in known.items()}

    def next_method(self) -> str:
        """Name the method of the trial at hand, for a script that starts policies; also while another process has the
        trial session open.

        Raises BadInput where every trial is done.
        """
        self.read()
        return self._at_hand().method

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()
        self._journal = None

    # What there is.

    @property
    def current(self) -> Slot | None:
        """Return the trial at hand, the first that has no outcome or was void; None where all are done."""
        return next((slot for slot in self.slots if not self._done(slot)), None)

    @property
    def number(self) -> int:
        """Return the number of the trial at hand, from 1 in the order of the plan."""
        return self.slots.index(self._at_hand()) + 1

    @property
    def done(self) -> int:
        return sum(map(self._done, self.slots))

    @property
    def rubric(self) -> Rubric:
        return self.plan.rubric(self._at_hand().episode.task)

    @property
    def started(self) -> bool:
        return bool(self._events)

    @property
    def elapsed(self) -> float:
        """Return the seconds since the trial began. After a restart, they go on from the last thing said."""
        return max(0.0, self._clock() - self._began) if self.started else 0.0

    @property
    def state(self) -> State:
        return state(self._events, len(self.rubric.steps))

    @property
    def next_step(self) -> int:
        """Return the step, from 1, after the last one that has points; one more than there are when that has."""
        reached = [step for step, points in enumerate(self.state.points, start=1) if points]
        return max(reached, default=0) + 1

    @property
    def last(self) -> Event | None:
        """Return what :meth:`undo` would take back."""
        said = standing(self._events)
        return said[-1] if said else None

    def run_folder(self, method: str) -> Path:
        """Return the run directory that ``report`` takes."""
        return self._runs[method].path

    def final(self) -> dict[str, Mapping[str, EpisodeRecord]]:
        """Return the records that count, by method and episode id."""
        return dict(self._final)

    def record(self, number: int) -> EpisodeRecord | None:
        """Return the record that counts of trial ``number``, from 1; None before it is over. Raises BadInput."""
        if not 1 <= number <= len(self.slots):
            raise BadInput(f"there is no trial {number}; the plan has 1..{len(self.slots)}")
        slot = self.slots[number - 1]
        return self._final[slot.method].get(slot.episode.id)

    # What is said during a trial; the first of these starts its clock.

    def start(self) -> None:
        if not self.started:
            self._began = self._clock()
            self._say(Event("start", 0.0))

    def step_reached(self, step: int, points: float | None = None) -> None:
        """Give ``step``, which counts from 1, ``points``: all that the rubric gives (default), half where it allows
        that, or 0.

        Raises BadInput.
        """
        self._tell("step", step=step, points=points_of(self.rubric, step, points))

    def intervention(self) -> None:
        """Say that a hand helped: the trial can no longer be a success."""
        self._tell("intervention")

    def retry(self) -> None:
        """Count a retry. Raises BadInput where the rubric allows no more."""
        allowed = self.rubric.retries
        if allowed is not None and self.state.retries >= allowed:
            raise BadInput(f"{self.rubric.task} allows {allowed} retries: end the trial")
        self._tell("retry")

    def note(self, text: str) -> None:
        self._tell("note", text=text)

    def attach(self, video: Path | str) -> None:
        """Keep where a film of the trial lies. Raises BadInput where there is no such file."""
        self._tell("video", text=video_path(video))

    def undo(self) -> bool:
        """Take back the last thing said, but not the start; return False where there is none."""
        if self.last is None:
            return False
        self._tell("undo")
        return True

    # How a trial ends: its record, on disk.

    def success(self) -> EpisodeRecord:
        """End it so: steps not yet given count as reached. Raises BadInput after an intervention or the time limit."""
        return self._end(Outcome.SUCCESS)

    def failure(self, reason: str) -> EpisodeRecord:
        """End it so; ``reason`` is one of REASONS. Raises UnknownName."""
        return self._end(Outcome.FAILURE, reason)

    def void(self, why: str) -> EpisodeRecord:
        """End it: the trial says nothing about the method (a cable came off), is not counted, and comes again.

        Raises BadInput.
        """
        return self._end(Outcome.ERROR, why)

    def enter(self, number: int, outcome: Outcome, seconds: float, trial: Trial, reason: str = "") -> EpisodeRecord:
        """Make the record of a trial that was scored elsewhere, and do not write it yet. A failure and a void have a
        ``reason``.

        Raises BadInput where the rubric does not allow it, no record can say it, or the trial has an outcome already.
        """
        known, slot = self.record(number), self.slots[number - 1]
        if known is not None and known.outcome is not Outcome.ERROR:
            raise BadInput(f"trial {number} is recorded already; correct it, with who and why")
        rubric = self.plan.rubric(slot.episode.task)
        if not 0 <= seconds <= MOST:
            raise BadInput(
                f"{seconds} seconds cannot be a trial's length (0 to {MOST}): give how long it took, not the time of "
                "day"
            )
        record = scored(rubric, slot.episode, outcome, seconds, trial, reason)
        return _possible(replace(record, attempt=known.attempt + 1 if known else 1))

    def write(self, number: int, record: EpisodeRecord) -> EpisodeRecord:
        """Append ``record`` to trial ``number``'s run; on disk when this returns.

        Raises BadInput for a record that nobody could read again, and NotReady where it cannot be written, on a full
        disk for example; then nothing was.
        """
        known, slot, now = self.record(number), self.slots[number - 1], datetime.now(timezone.utc)
        if known and known.finished:  # a clock that was set back must not put a correction before what it corrects
            now = max(now, datetime.fromisoformat(known.finished) + timedelta(milliseconds=1))
        record = _possible(
            replace(record, finished=now.isoformat(timespec="milliseconds"), provenance=self._provenance(slot.method))
        )
        at_hand, folder = self.current, self._runs[slot.method].path
        try:
            if slot.method not in self._files:
                stamp = f"trials-{now:%Y%m%dT%H%M%S%f}-{os.getpid()}.jsonl"
                self._files[slot.method] = RecordFile(folder / "records" / stamp)
            self._files[slot.method].append(record)
        except OSError as error:
            raise files.unwritable(folder, error, "the trial is not recorded") from None
        self._show(slot, record)
        self._final[slot.method] = self._runs[slot.method].records().final()
        if self.current != at_hand or slot == at_hand:
            self._resume()
        return record

    def correct(
        self,
        number: int,
        *,
        who: str,
        why: str,
        outcome: Outcome | None = None,
        points: Sequence[float] | None = None,
        reason: str | None = None,
        videos: Sequence[Path | str] = (),
    ) -> EpisodeRecord:
        """Append a record that takes the place of trial ``number``'s; what is not given stays as it was.

        Raises BadInput where the trial has no record, or nobody or no reason is named.
        """
        if not who.strip() or not why.strip():
            raise BadInput("a correction needs who made it and why")
        known, slot = self.record(number), self.slots[number - 1]
        if known is None or known.trial is None:
            raise BadInput(f"trial {number} has no record to correct")
        trial = replace(
            known.trial,
            points=known.trial.points if points is None else tuple(map(float, points)),
            videos=(*known.trial.videos, *map(video_path, videos)),
        )
        told = (known.error or known.trial.reason) if reason is None else reason
        rubric = self.plan.rubric(slot.episode.task)
        record = scored(rubric, slot.episode, outcome or known.outcome, known.seconds, trial, told)
        return self.write(number, replace(record, attempt=known.attempt, correction=Correction(who, why)))

    # How it is done.

    def _at_hand(self) -> Slot:
        if (slot := self.current) is None:
            raise BadInput("every planned trial is done; correct one, or plan another trial session")
        return slot

    def _done(self, slot: Slot) -> bool:
        record = self._final[slot.method].get(slot.episode.id)
        return record is not None and record.outcome is not Outcome.ERROR

    def _attempt(self) -> int:
        known = self.record(self.number)
        return known.attempt + 1 if known else 1

    def _tell(self, kind: Kind, *, step: int = 0, points: float = 0.0, text: str = "") -> None:
        self.start()
        self._say(Event(kind, round(self.elapsed, 3), step, points, text))

    def _say(self, event: Event) -> None:
        self._open_journal().append(Line(self.number, self._attempt(), event))
        self._events.append(event)

    def _open_journal(self) -> Journal:
        if self._journal is None:
            raise BadInput("open the trial session before scoring: with TrialSession(...) as session")
        return self._journal

    def _end(self, outcome: Outcome, reason: str = "") -> EpisodeRecord:
        state = self.state
        trial = Trial(
            operator=self.operator,
            points=state.points,
            interventions=state.interventions,
            retries=state.retries,
            note="; ".join(state.notes),
            videos=state.videos,
        )
        return self.write(self.number, self.enter(self.number, outcome, self.elapsed, trial, reason))

    def _resume(self) -> None:
        """Go on within the trial that is at hand now, if it had begun."""
        self._events = []
        if self.current is None:
            return
        key = (self.number, self._attempt())
        self._events = [line.event for line in self._open_journal().lines if (line.trial, line.attempt) == key]
        if self._events:
            self._began = self._clock() - self._events[-1].at

    def _show(self, slot: Slot, record: EpisodeRecord) -> None:
        """Link the first mp4 to where a run's videos lie (``videos.py``), so that reports find it."""
        film = next((path for path in record.trial.videos if path.endswith(".mp4")), "") if record.trial else ""
        if film:
            folder = self.run_folder(slot.method) / "videos" / safe_name(slot.episode.task)
            link = folder / f"{stem(slot.episode)}-{record.outcome.value}.mp4"
            with contextlib.suppress(OSError):  # a file system without links; the record has the path
                folder.mkdir(parents=True, exist_ok=True)
                if link.is_symlink():  # never a film that somebody put there
                    link.unlink()
                link.symlink_to(film)

    def _provenance(self, method: str) -> Provenance:
        experiment = self.plan.experiment(method)
        return Provenance(
            agent=method,
            checkpoint=experiment.checkpoint,
            protocol=experiment.protocol_name,
            protocol_hash=experiment.protocol_hash,
            versions={"lingbot_eval": metadata.version("lingbot_eval")},
            host=socket.gethostname(),
        )


def _planned(folder: Path, plan: TrialPlan | None) -> TrialPlan:
    file = folder / "plan.json"
    if (content := files.read(file)) is None:
        if plan is None:
            raise BadInput(f"{folder} holds no trial session; plan one: which rubrics, which methods")
        return plan
    try:
        there: TrialPlan = as_struct(files.parsed(content, file), TrialPlan)
    except BadInput as error:
        raise CorruptRecords(f"{file}: {error}") from None
    if plan is not None and (differences := compare(to_dict(there), to_dict(plan))):
        raise RunMismatch(f"{folder} holds another trial session: {'; '.join(differences)}. Use another folder")
    return there


def _possible(record: EpisodeRecord) -> EpisodeRecord:
    """Raises BadInput where it could not be read again."""
    if words := impossible(record):
        raise BadInput(f"this cannot be recorded: {words}")
    return record


def video_path(given: Path | str) -> str:
    """Return the path as it is kept: absolute. Raises BadInput where there is no such file."""
    if not Path(given).is_file():
        raise BadInput(f"there is no file {given}")
    return str(Path(given).resolve())
