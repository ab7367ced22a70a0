"""The run directory: one experiment, what is planned of it, what happened, and nothing in between that a crash could
lose. Any number of coordinators (``run-suite``), on any machines, may play in it at once; it may be on NFS.

    run.json            what experiment this is; created once, then only read
    plan/<hash>.jsonl   one Episode per line; named by its content, written once. The plan is all of these together
    records/*.jsonl     one EpisodeRecord per line; one file per process that wrote, never written again by another
    sessions/ claims/   who plays here, and what (sessions.py, claims.py)
    videos/ actions/ logs/ report/
    tmp/<session>/      of running processes

Files of lines only grow, and each line has a checksum (lines.py); whole files have one, or are named by it (files.py).
A record's last line without a newline was torn by a crash; it is reported and its episode is played again. Files of
version 0.1.0 have no checksums; they are read, and said to have none.

Directories of schema 1 have one plan.jsonl, whose hash run.json names, and their sessions in run.json. They are read,
and gone on with, as if they had been written today.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, RunMismatch
from lingbot_eval.lines import LONGEST, LineReader, LineWriter
from lingbot_eval.plausible import impossible
from lingbot_eval.runs.decode import EpisodeDecoder, RecordDecoder, uncollected
from lingbot_eval.runs.plan import by_task, lines_hash, plan_hash, task_of, to_lines
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance

RUN_SCHEMA = 2
"""Of run.json and the folders beside it; a larger one was written by a newer version of this package."""

RECORD_SCHEMA = 1

LIVE = ".live.json"
"""How the names of heartbeats in ``sessions/`` end."""

NAMES = {
    "plan": r"[0-9a-f]{12}\.jsonl",
    "records": r".+\.jsonl",
    "sessions": r".+\.json",
    "claims": r"[0-9a-f]{16}\.[0-9]+",
}
"""By folder of a run directory: its files."""


class Records:
    """What the record files say. One more costs the same however many there are."""

    def __init__(
        self,
        records: Iterable[EpisodeRecord] = (),
        torn: Iterable[str] = (),
        doubts: Callable[[], list[str]] = list,
    ) -> None:
        """``doubts``: asked only when somebody wants to know; to put them together takes a look at every file."""
        self.all: list[EpisodeRecord] = []
        """In the order in which they were read."""
        self.torn = list(torn)
        """One sentence per torn last line."""
        self._doubts = doubts
        self._final: dict[str, EpisodeRecord] = {}
        self._several: dict[str, list[EpisodeRecord]] = {}
        """Of episodes that have more than one."""
        for record in records:
            self.add(record)

    @property
    def doubts(self) -> list[str]:
        """One sentence each for what else a reader of the numbers should know."""
        return self._doubts()

    def add(self, record: EpisodeRecord) -> None:
        self.all.append(record)
        id = record.episode.id
        if (known := self._final.get(id)) is None:
            self._final[id] = record
        else:
            mine = self._several.setdefault(id, [known])
            mine.append(record)
            self._final[id] = _final_of(mine)

    def of(self, episode: Episode) -> Sequence[EpisodeRecord]:
        return self._several.get(episode.id) or [one for one in (self.final_of(episode),) if one]

    def __len__(self) -> int:
        """Episodes that have one."""
        return len(self._final)

    def superseded(self) -> list[EpisodeRecord]:
        """Those that are not final."""
        return [one for id, those in self._several.items() for one in those if one is not self._final[id]]

    def final_of(self, episode: Episode) -> EpisodeRecord | None:
        """The first record that is not an ERROR, or the last ERROR where there is none; and before either, the last
        correction of that attempt."""
        return self._final.get(episode.id)

    def is_done(self, episode: Episode) -> bool:
        """Whether it need not be played again."""
        return (final := self.final_of(episode)) is not None and final.outcome is not Outcome.ERROR

    def final(self) -> dict[str, EpisodeRecord]:
        """By episode id, as :meth:`final_of`."""
        return dict(self._final)

    def done(self) -> set[str]:
        """Ids that need not be played again."""
        return {id for id, record in self._final.items() if record.outcome is not Outcome.ERROR}


def _final_of(records: Iterable[EpisodeRecord]) -> EpisodeRecord:
    """Of one episode, as :meth:`Records.final_of`; in whatever order they come."""
    first, *later = sorted(records, key=lambda record: (record.attempt, record.finished, msgspec.json.encode(record)))
    for record in later:
        if first.outcome is Outcome.ERROR or record.correction:
            first = record
    return first


class RunDirectory:
    """``path`` with the layout above."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, experiment: Mapping[str, Any], episodes: Sequence[Episode]) -> None:
        """Plan ``episodes`` here, as the first of this experiment or besides those that are planned already.

        Raises RunMismatch with what differs where another experiment is here, NotReady where nothing can be written.
        """
        try:
            for name in ("plan", "records", "logs"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            content = files.with_checksum({"schema": RUN_SCHEMA, "experiment": dict(experiment)})
            publish(self.path / "run.json", content)
        except OSError as error:
            raise self._unwritable(error) from None
        planned = self.compare(experiment, episodes)
        if not by_task(episodes).keys() <= by_task(planned).keys():
            try:
                publish(self.path / "plan" / f"{plan_hash(episodes)}.jsonl", to_lines(episodes))
            except OSError as error:
                raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> NotReady:
        return NotReady(f"cannot write to {self.path}: {error.strerror}; choose another with --out DIR")

    def compare(self, experiment: Mapping[str, Any], episodes: Sequence[Episode]) -> list[Episode]:
        """All that is planned here; none before the first part is written.

        Raises RunMismatch, with what differs, where this directory holds another experiment, or other episodes of a
        task of ``episodes``.
        """
        planned: list[Episode] = []
        if not (differences := compare(self.run()["experiment"], experiment)):
            planned = self._planned()
            differences = plan_difference(planned, episodes)
        if differences:
            raise RunMismatch(
                f"{self.path} holds another experiment: {'; '.join(differences)}. Use another --out DIR, "
                "or a command of its sessions/"
            )
        return planned

    def run(self) -> dict[str, Any]:
        """``schema``, ``experiment``, and ``sessions`` (``presence.py``), the oldest first.

        Raises BadInput where there is no run.json, CorruptRecords where something cannot be read.
        """
        run = self._run_json()
        if run["schema"] == 1:
            run["experiment"]["suite"] = self._suite_of_schema_1(run["experiment"]["suite"])
        named = [file for file in listed(self.path / "sessions", ".json") if not file.name.endswith(LIVE)]
        sessions = [files.parsed(content, file) for file in named if (content := files.read(file)) is not None]
        _require({**run, "sessions": sessions}, _Run, self.path / "sessions")
        return {**run, "sessions": [*run.get("sessions", ()), *sessions]}

    def _run_json(self) -> dict[str, Any]:
        file = self.path / "run.json"
        content = files.read(file)
        if content is None:
            inside = sorted(str(found.parent) for found in self.path.glob("*/run.json"))
            raise BadInput(
                f"{self.path} is not a run directory: it has no run.json"
                + (f"; there are runs in it: {', '.join(inside[:3])}{' …' * (len(inside) > 3)}" if inside else "")
            )
        run = files.parsed(content, file, RUN_SCHEMA)
        run.setdefault("schema", 1)
        _require(run, _Run, file)
        return run

    def _suite_of_schema_1(self, suite: Mapping[str, Any]) -> dict[str, Any]:
        """Whose ``episodes`` were all of them, not a task's."""
        counts = Counter(map(task_of, self._old_plan(suite.get("plan", ""))))
        return {"name": suite["name"], "seed": suite["seed"], "episodes": max(counts.values(), default=0)}

    def plan(self) -> list[Episode]:
        """Every planned episode: of the largest part first, then what the others have besides.

        Raises CorruptRecords for a part that was changed, and for parts that disagree about a task.
        """
        if not (planned := self._planned()):
            raise CorruptRecords(f"{self.path} has no plan/: it was not copied whole, or never began")
        return planned

    def _planned(self) -> list[Episode]:
        """Empty before the first part is written."""
        parts = [self._part(file, file.stem) for file in listed(self.path / "plan", ".jsonl")]
        if (run := self._run_json())["schema"] == 1:
            parts.append(self._old_plan(run["experiment"]["suite"].get("plan", "")))
        parts.sort(key=lambda part: (-len(part), part[0].id))
        planned: dict[Task, list[Episode]] = {}
        for part in parts:
            for task, episodes in by_task(part).items():
                if planned.setdefault(task, episodes) != episodes:
                    words = "; ".join(plan_difference(planned[task], episodes))
                    raise CorruptRecords(f"two parts of {self.path / 'plan'} disagree: {words}. Delete one of them")
        return [episode for episodes in planned.values() for episode in episodes]

    def _old_plan(self, named: str) -> list[Episode]:
        return self._part(self.path / "plan.jsonl", named)

    def _part(self, file: Path, named: str) -> list[Episode]:
        try:
            with files.opened(file) as stream, uncollected():
                if lines_hash(iter(lambda: stream.read(2**20), b"")) != named:
                    raise CorruptRecords(
                        f"{file} is not what was planned as {named}: it was changed, or not copied whole"
                    )
                stream.seek(0)
                return self._decoded(file, stream)
        except FileNotFoundError:
            raise CorruptRecords(f"{self.path} has lost its {file.relative_to(self.path)}") from None
        except OSError as error:
            raise files.unreadable(file, error) from None

    def _decoded(self, file: Path, lines: BinaryIO) -> list[Episode]:
        decoder, planned = EpisodeDecoder(), dict[str, Episode]()
        for number, line in enumerate(iter(lambda: lines.readline(LONGEST), b""), start=1):
            try:
                episode = decoder.decode(line)
            except (ValueError, RecursionError) as error:
                raise CorruptRecords(f"{file}:{number}: {error}; restore the file") from None
            if episode.id in planned:
                raise CorruptRecords(f"{file}:{number} plans {episode.id} once more: it would count twice")
            planned[episode.id] = episode
        if not planned:
            raise CorruptRecords(f"{file} plans nothing; delete it")
        return list(planned.values())

    def records(self) -> Records:
        """Raises CorruptRecords for anything but a torn last line, also for records of another experiment."""
        return RecordReader(self).read()

    def strangers(self) -> list[str]:
        """One sentence per file that nobody here has written, or not under that name: it counts nowhere."""
        missing = [f"{self.path} has no records/: it was not copied whole"] if self._lacks("records") else []
        return missing + [
            f"{file} is no file of a run directory; it counts nowhere"
            for folder, pattern in NAMES.items()
            for file in listed(self.path / folder)
            if not re.fullmatch(pattern, file.name)
        ]

    def _lacks(self, name: str) -> bool:
        return not (self.path / name).is_dir()


class RecordReader:
    """The records of ``folder``; each reading looks only at what was added since the one before."""

    def __init__(self, folder: RunDirectory, plan: Iterable[Episode] = ()) -> None:
        """``plan``: episodes that are at hand anyway; their records share them."""
        self._folder = folder
        self._run: Mapping[str, Any] = {}
        self._records = Records(doubts=self._doubts)
        self._files: dict[Path, LineReader[EpisodeRecord]] = {}
        self._decoder = RecordDecoder(plan)
        self._checked: Provenance | None = None
        """As all before it, of this experiment."""
        self._contradicted: list[str] = []
        """Where and how, of records whose outcome the rest of them contradicts."""
        self._contradiction = ""
        """Of the last one decoded."""

    def read(self) -> Records:
        """As :meth:`RunDirectory.records`; each time the same object, with more in it."""
        torn = []
        found = listed(self._folder.path / "records", ".jsonl")
        for file in sorted(
            {*found, *self._files}
        ):  # one that a listing misses, as NFS may have it, is there all the same
            if file not in self._files:
                self._run = self._run or self._folder.run()
                self._files[file] = LineReader(file, self._decode, REMEDY)
            reader = self._files[file]
            try:
                with uncollected():
                    for record in reader.added():
                        self._records.add(record)
                        if self._contradiction:
                            self._contradicted.append(f"{file}:{reader.lines} is counted as {self._contradiction}")
            except FileNotFoundError:
                raise self._gone(file) from None
            if reader.torn:
                torn.append(f"{file}: the last line ({reader.torn} bytes) is torn and counts nowhere")
        self._records.torn = torn
        return self._records

    def _gone(self, file: Path) -> CorruptRecords:
        what = file if self._folder.path.exists() else self._folder.path
        return CorruptRecords(f"{what} is gone: it was removed or moved while it was read")

    def _doubts(self) -> list[str]:
        bare = {
            "run.json": bool(self._run) and "checksum" not in self._run,
            "of sessions/": sum("checksum" not in session for session in self._run.get("sessions", ())),
            "of records/": sum(reader.bare > 0 for reader in self._files.values()),
        }
        which = ", ".join(name if count is True else f"{count} {name}" for name, count in bare.items() if count)
        doubts = []
        if which:
            words = "version 0.1.0 wrote none, so nobody can tell whether they were changed"
            doubts.append(f"{self._folder.path}: no checksums in {which}: {words}")
        if self._contradicted:
            more = len(self._contradicted) - 1
            doubts.append(self._contradicted[0] + f"; and {more} more contradict themselves" * bool(more))
        return doubts

    def _decode(self, line: bytes) -> EpisodeRecord:
        try:
            record = self._decoder.decode(line)
        except (ValueError, RecursionError):
            _require_known(line)
            raise
        if record.schema > RECORD_SCHEMA:
            _require_known(line)
        if record.provenance is not self._checked:
            _check_origin(record, self._run["experiment"])
            self._checked = record.provenance
        self._contradiction = ""
        if words := impossible(record):
            self._contradiction = " ".join(words.split())[:200]
            if impossible(replace(record, outcome=Outcome.FAILURE, error="")):
                raise CorruptRecords(f"has {self._contradiction}, which cannot be; {REMEDY}")
        return record


def _require(content: Mapping[str, Any], kind: Any, file: Path) -> None:
    """Raises CorruptRecords where ``content`` is not as ``kind``."""
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise CorruptRecords(f"{file} is not what this package writes: {str(error).replace('`', '')}") from None


REMEDY = "restore the line, or cut the file off before it: what is missing is played again"


class RecordFile:
    """Appends records to a file of this process's own."""

    def __init__(self, path: Path) -> None:
        self._file = LineWriter(path)

    def append(self, record: EpisodeRecord) -> None:
        """On disk when this returns. Raises OSError, as :meth:`LineWriter.append`."""
        self._file.append(msgspec.json.encode(record))


def _check_origin(record: EpisodeRecord, experiment: Mapping[str, Any]) -> None:
    if (theirs := record.provenance) is None:
        return
    ours = (experiment["agent"]["name"], experiment["checkpoint"], experiment["protocol_hash"])
    if (theirs.agent, theirs.checkpoint, theirs.protocol_hash) != ours:
        raise CorruptRecords(
            f"was played by {theirs.agent} {theirs.checkpoint} under protocol {theirs.protocol_hash}, but this "
            f"is a run of {ours[0]} {ours[1]} under {ours[2]}: the file belongs to another run directory"
        )


def compare(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: str = "") -> list[str]:
    """``name: there X, here Y`` for every leaf that differs."""
    differences = []
    for key in sorted({*theirs, *ours}):
        there, here = theirs.get(key), ours.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            differences += compare(there, here, f"{path}{key}.")
        elif json.loads(json.dumps(there, default=str)) != json.loads(json.dumps(here, default=str)):
            differences.append(f"{path}{key}: there {there!r}, here {here!r}")
    return differences


def plan_difference(there: Sequence[Episode], here: Sequence[Episode]) -> list[str]:
    """What differs, in words, in the tasks that two plans have in common; empty where those have the same episodes."""
    theirs, ours = by_task(there), by_task(here)
    return [words for task in ours if task in theirs for words in _task_difference(theirs[task], ours[task])]


def _task_difference(there: Sequence[Episode], here: Sequence[Episode]) -> list[str]:
    theirs, ours = ({episode.id: episode for episode in plan} for plan in (there, here))
    task = "/".join(part for part in task_of(here[0]) if part)
    words = [f"{task}: there {len(theirs)} episodes, here {len(ours)}"] if len(theirs) != len(ours) else []
    for label, plan, other in (("only there", theirs, ours), ("only here", ours, theirs)):
        extra = [id for id in plan if id not in other]
        if extra:
            words.append(f"{label}: {extra[0]}" + (f" and {len(extra) - 1} more" if len(extra) > 1 else ""))
    changed = [id for id in theirs if id in ours and theirs[id] != ours[id]]
    if changed:
        words.append(f"{changed[0]}: there {theirs[changed[0]]}, here {ours[changed[0]]}")
    return words or ([f"{task}: the same episodes in another order"] if list(there) != list(here) else [])


def _require_known(line: bytes) -> None:
    """Raises CorruptRecords where ``line`` says that it is of a newer version, whatever else is in it."""
    with contextlib.suppress(ValueError, RecursionError):
        schema = msgspec.json.decode(line, type=_Version).schema
        if schema > RECORD_SCHEMA:
            raise CorruptRecords(f"has schema {schema}; this version reads up to {RECORD_SCHEMA}")


class _Suite(msgspec.Struct):
    name: str
    seed: int
    episodes: int = 0
    plan: str = ""
    """Of schema 1."""


class _Step(msgspec.Struct):
    name: str
    points: float


class _Rubric(msgspec.Struct):
    title: str
    success: str
    steps: tuple[_Step, ...]


class _Protocol(msgspec.Struct):
    name: str
    rubrics: tuple[_Rubric, ...] = ()
    episodes_per_task: int = 0


class _Agent(msgspec.Struct):
    name: str


class _Experiment(msgspec.Struct):
    """What every experiment has, whatever was played; that of who plays it is read elsewhere (settings.py)."""

    agent: _Agent
    checkpoint: str
    protocol: _Protocol
    protocol_hash: str
    facts: dict[str, Any]
    regime: str
    suite: _Suite


class _Session(msgspec.Struct):
    """What is asked of a session, of whatever version (presence.py)."""

    command: str = ""
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}


class _Run(msgspec.Struct):
    schema: Literal[1, 2]
    experiment: _Experiment
    sessions: tuple[_Session, ...] = ()


class _Version(msgspec.Struct):
    """What can be read of a record, however new it is."""

    schema: int = 1


def listed(folder: Path, ending: str = "") -> list[Path]:
    """By name, those in ``folder`` that end so; without hidden ones, which are ours while they are written, and other
    systems' (``._name``, ``.nfs0123``, ``.DS_Store``). Empty where there is no such folder.

    Raises CorruptRecords where it is anything else.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        if folder.is_symlink():
            raise CorruptRecords(f"{folder} is a link to nothing") from None
        return []
    except OSError as error:
        raise CorruptRecords(f"{folder} cannot be read: {error.strerror}") from None
    return [folder / name for name in sorted(names) if name.endswith(ending) and not name.startswith(".")]


def write_whole(file: Path, content: bytes) -> None:
    """Write ``file`` whole or not at all."""
    part = _part(file, content)
    part.replace(file)


def publish(file: Path, content: bytes) -> bool:
    """Create ``file``, whole, unless it is there already; gives whether we did. Atomic on NFS, too."""
    if file.exists():  # saves work; what decides is link()
        return False
    part = _part(file, content)
    try:
        os.link(part, file)
    except FileExistsError:
        return part.stat().st_nlink == 2  # NFS may say so of our own link, when its answer was lost and it asked again
    finally:
        part.unlink()
    return True


def _part(file: Path, content: bytes) -> Path:
    """A hidden file beside ``file``, on disk; what cannot be written leaves none."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part
