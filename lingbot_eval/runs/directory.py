"""The run directory holds one experiment, what is planned of it and what happened, and nothing in between that a crash
could lose. Any number of coordinators (``run-suite``), on any machines, may play in it at once; it may be on NFS.

    run.json            what experiment this is; created once, then only read
    plan/<hash>.jsonl   one Episode per line; named by its content, written once. The plan is all of these together
    records/*.jsonl     one EpisodeRecord per line; one file per process that wrote, never written again by another
    sessions/ claims/   who plays here, and what (presence.py, claims.py)
    videos/ actions/ logs/ report/
    tmp/<coordinator>/  temporary files of running processes

Files of lines only grow, and each line has a checksum (lines.py); whole files have one, or are named by it (files.py).
A record's last line without a newline was torn by a crash; it is reported and its episode is played again. Files of
version 0.1.0 have no checksums; they are read, and said to have none.

Directories of schema 1 have one plan.jsonl, whose hash run.json names, and their coordinators in run.json. They are
read, and gone on with, as if they had been written today.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, RunMismatch
from lingbot_eval.files import listed
from lingbot_eval.lines import LONGEST
from lingbot_eval.runs.checks import compare, plan_difference
from lingbot_eval.runs.decode import EpisodeDecoder, uncollected
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.plan import by_task, lines_hash, plan_hash, task_of, to_lines
from lingbot_eval.runs.records import RecordReader, Records
from lingbot_eval.runs.run_json import RunJson, coordinator_files, run_json
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode

RUN_SCHEMA = 2
"""run.json and the folders beside it have this schema; a larger one was written by a newer version of this package."""

ELSEWHERE = "choose another with --out DIR"
"""It is the remedy where nothing can be written in a run directory."""

LIVE = ".live.json"
"""The names of heartbeats in ``sessions/`` end so."""

NAMES = {
    "plan": r"[0-9a-f]{12}\.jsonl",
    "records": r".+\.jsonl",
    "sessions": r".+\.json",
    "claims": r"[0-9a-f]{16}\.[0-9]+",
}
"""The files in each folder of a run directory have names like this."""


class RunDirectory:
    """A folder with the layout above, whether or not it is there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, experiment: Experiment, episodes: Sequence[Episode]) -> None:
        """Plan ``episodes`` here, as the first of this experiment or besides those that are planned already.

        Raises RunMismatch with what differs where another experiment is here, NotReady where nothing can be written.
        """
        try:
            for name in ("plan", "records", "logs"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            content = files.with_checksum({"schema": RUN_SCHEMA, "experiment": experiment.as_dict()})
            files.publish(self.path / "run.json", content)
        except OSError as error:
            raise files.unwritable(self.path, error, ELSEWHERE) from None
        planned = self.compare(experiment, episodes)
        if not by_task(episodes).keys() <= by_task(planned).keys():
            try:
                files.publish(self.path / "plan" / f"{plan_hash(episodes)}.jsonl", to_lines(episodes))
            except OSError as error:
                raise files.unwritable(self.path, error, ELSEWHERE) from None

    def compare(self, experiment: Experiment, episodes: Sequence[Episode]) -> list[Episode]:
        """Return all that is planned here; nothing before the first part is written.

        Raises RunMismatch, with what differs, where this directory holds another experiment, or other episodes of a
        task of ``episodes``.
        """
        planned: list[Episode] = []
        if not (differences := compare(self.run().experiment.as_dict(), experiment.as_dict())):
            planned = self._planned()
            differences = plan_difference(planned, episodes)
        if differences:
            raise RunMismatch(
                f"{self.path} holds another experiment: {'; '.join(differences)}. Use another --out DIR, "
                "or a command of its sessions/"
            )
        return planned

    def run(self) -> RunJson:
        """Read what the run is, and who has played here.

        Raises BadInput where there is no run.json, CorruptRecords where something cannot be read.
        """
        run = self._run_json()
        if run.schema == 1:
            run = msgspec.structs.replace(run, experiment=self._translated(run.experiment))
        named = [self.path / "sessions" / f"{id}.json" for id in self.coordinators()]
        found = [files.parsed(content, file) for file in named if (content := files.read(file)) is not None]
        coordinators = (*run.coordinators, *coordinator_files(found, self.path / "sessions"))
        return msgspec.structs.replace(run, coordinators=coordinators)

    def coordinators(self) -> list[str]:
        """Return the ids of all coordinators with a file in ``sessions/``, the oldest first."""
        named = listed(self.path / "sessions", ".json")
        return [file.stem for file in named if not file.name.endswith(LIVE)]

    def _run_json(self) -> RunJson:
        """Read run.json as it is."""
        file = self.path / "run.json"
        content = files.read(file)
        if content is None:
            inside = sorted(str(found.parent) for found in self.path.glob("*/run.json"))
            raise BadInput(
                f"{self.path} is not a run directory: it has no run.json"
                + (f"; there are runs in it: {', '.join(inside[:3])}{' …' * (len(inside) > 3)}" if inside else "")
            )
        return run_json({"schema": 1, **files.parsed(content, file, RUN_SCHEMA)}, file)

    def _translated(self, experiment: Experiment) -> Experiment:
        """Translate from schema 1: its ``episodes`` were all of them, not a task's."""
        counts = Counter(map(task_of, self._old_plan(experiment)))
        suite = msgspec.structs.replace(experiment.suite, episodes=max(counts.values(), default=0))
        more = {name: value for name, value in experiment.more.items() if name != "suite"}
        return msgspec.structs.replace(experiment, suite=suite, more=more)

    def plan(self) -> list[Episode]:
        """Return every planned episode: those of the largest part first, then what the others have besides.

        Raises CorruptRecords for a part that was changed, and for parts that disagree about a task.
        """
        if not (planned := self._planned()):
            raise CorruptRecords(f"{self.path} has no plan/: it was not copied whole, or never began")
        return planned

    def _planned(self) -> list[Episode]:
        """Return as :meth:`plan`, but nothing before the first part is written."""
        parts = [self._part(file, file.stem) for file in listed(self.path / "plan", ".jsonl")]
        if (run := self._run_json()).schema == 1:
            parts.append(self._old_plan(run.experiment))
        parts.sort(key=lambda part: (-len(part), part[0].id))
        planned: dict[Task, list[Episode]] = {}
        for part in parts:
            for task, episodes in by_task(part).items():
                if planned.setdefault(task, episodes) != episodes:
                    words = "; ".join(plan_difference(planned[task], episodes))
                    raise CorruptRecords(f"two parts of {self.path / 'plan'} disagree: {words}. Delete one of them")
        return [episode for episodes in planned.values() for episode in episodes]

    def _old_plan(self, experiment: Experiment) -> list[Episode]:
        """Read the plan of schema 1, where the experiment's suite names it by its hash."""
        return self._part(self.path / "plan.jsonl", str(experiment.more.get("suite", {}).get("plan", "")))

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
        """Read all records. Raises CorruptRecords for anything but a torn last line, also for records of another
        experiment."""
        return self.record_reader().read()

    def record_reader(self, plan: Iterable[Episode] = ()) -> RecordReader:
        """Return what reads the records again and again; the records share the episodes of ``plan``."""
        return RecordReader(self.path, self.run, plan)

    def strangers(self) -> list[str]:
        """Return a sentence for each file that no version of this package writes, or not under that name."""
        missing = [f"{self.path} has no records/: it was not copied whole"] if self._lacks("records") else []
        return missing + [
            f"{file} is no file of a run directory; it counts nowhere"
            for folder, pattern in NAMES.items()
            for file in listed(self.path / folder)
            if not re.fullmatch(pattern, file.name)
        ]

    def _lacks(self, name: str) -> bool:
        return not (self.path / name).is_dir()
