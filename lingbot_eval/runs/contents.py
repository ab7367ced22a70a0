"""Contents are all that a run directory says, read once: tables, pages and comparisons are made of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.records import RecordReader, Records
from lingbot_eval.runs.run_json import RunJson
from lingbot_eval.types import Episode, EpisodeRecord


@dataclass(frozen=True)
class Contents:
    folder: RunDirectory
    run: RunJson
    plan: Sequence[Episode]
    records: Records
    version: str
    """:func:`version` returned it before anything was read."""

    @cached_property
    def final(self) -> Mapping[str, EpisodeRecord]:
        """Return the record that counts of every planned episode that has one, by id in planned order."""
        return {episode.id: record for episode in self.plan if (record := self.records.final_of(episode))}

    @property
    def foreign(self) -> int:
        """Count the episodes with records that are not planned: they count nowhere."""
        return len(self.records) - len(self.final)

    def warnings(self) -> list[str]:
        """Return a sentence each for what a reader of the numbers should know."""
        foreign = f"{self.foreign} episodes in records/ are not in the plan and count nowhere"
        sentences = [*self.records.torn, *self.records.doubts, *[foreign] * bool(self.foreign)]
        return sentences + self.folder.strangers()


class Reader:
    """Reads ``folder`` again and again, each time only what was added since the time before."""

    def __init__(self, folder: RunDirectory, plan: Sequence[Episode] = ()) -> None:
        """``plan`` is as of :meth:`RunDirectory.record_reader`."""
        self._folder = folder
        self._records: RecordReader | None = None
        self._plan = plan
        self._planned = ""
        """The plan had this version when it was read."""

    def read(self) -> Contents:
        """Read everything. Raises BadInput and CorruptRecords."""
        seen = version(self._folder)  # before the files are read: what comes in between is then read again, not missed
        return Contents(self._folder, self._folder.run(), self.plan(), self.records(), seen)

    def plan(self) -> Sequence[Episode]:
        """Return as :meth:`RunDirectory.plan`: the same object, unless its files have changed."""
        if (planned := _version(self._folder, "plan/*.jsonl")) != self._planned:
            self._plan, self._planned = self._folder.plan(), planned
        return self._plan

    def records(self) -> Records:
        """Return as :meth:`RecordReader.read`; after :meth:`plan` they share its episodes."""
        if self._records is None:
            self._records = self._folder.record_reader(self._plan)
        return self._records.read()


def read(folder: RunDirectory) -> Contents:
    """Read all of ``folder``. Raises BadInput and CorruptRecords."""
    return Reader(folder).read()


def version(folder: RunDirectory) -> str:
    """Name the state of the run's files, by another name where they have changed; it is cheap."""
    return _version(folder, "plan/*.jsonl", "records/*.jsonl")


def _version(folder: RunDirectory, *patterns: str) -> str:
    files = [folder.path / "run.json", *(file for pattern in patterns for file in sorted(folder.path.glob(pattern)))]
    state = []
    for file in files:
        with contextlib.suppress(OSError):  # it is gone, or a link to nothing
            state.append((file.name, file.stat().st_size, file.stat().st_mtime_ns))
    return hashlib.sha256(repr(state).encode()).hexdigest()[:12]
