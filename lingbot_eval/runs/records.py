"""Records say what became of a run's episodes: they are read from its ``records/``, and appended to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from lingbot_eval.errors import CorruptRecords
from lingbot_eval.files import listed
from lingbot_eval.lines import UNCHECKED, LineReader, LineWriter
from lingbot_eval.plausible import impossible
from lingbot_eval.runs.decode import RecordDecoder, uncollected
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.run_json import RunJson
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance

RECORD_SCHEMA = 1

REMEDY = "restore the line, or cut the file off before it: what is missing is played again"


class Records:
    """Holds what the record files say. To add a record costs the same however many there are."""

    def __init__(
        self,
        records: Iterable[EpisodeRecord] = (),
        torn: Iterable[str] = (),
        doubts: Callable[[], list[str]] = list,
    ) -> None:
        """``doubts`` is called only when somebody wants to know: to put the sentences together costs every file."""
        self.all: list[EpisodeRecord] = []
        """They are in the order in which they were read."""
        self.torn = list(torn)
        """There is one sentence per torn last line."""
        self._doubts = doubts
        self._final: dict[str, EpisodeRecord] = {}
        self._several: dict[str, list[EpisodeRecord]] = {}
        """The records of an episode are listed here once it has more than one."""
        for record in records:
            self.add(record)

    @property
    def doubts(self) -> list[str]:
        """Each sentence says something else that a reader of the numbers should know."""
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
        """Count the episodes that have a record."""
        return len(self._final)

    def superseded(self) -> list[EpisodeRecord]:
        """List the records that are not final."""
        return [one for id, those in self._several.items() for one in those if one is not self._final[id]]

    def final_of(self, episode: Episode) -> EpisodeRecord | None:
        """Return the record that counts: the first that is not an ERROR, or the last ERROR where there is none; a
        correction takes the place of the attempt that it corrects."""
        return self._final.get(episode.id)

    def is_done(self, episode: Episode) -> bool:
        """Tell whether ``episode`` need not be played again."""
        return (final := self.final_of(episode)) is not None and final.outcome is not Outcome.ERROR

    def final(self) -> dict[str, EpisodeRecord]:
        """Return the records that count, by episode id."""
        return dict(self._final)

    def done(self) -> set[str]:
        """Return the ids of the episodes that need not be played again."""
        return {id for id, record in self._final.items() if record.outcome is not Outcome.ERROR}


def _final_of(records: Iterable[EpisodeRecord]) -> EpisodeRecord:
    """Choose as :meth:`Records.final_of` among one episode's records, in whatever order they come."""
    first, *later = sorted(records, key=lambda record: (record.attempt, record.finished, msgspec.json.encode(record)))
    for record in later:
        if first.outcome is Outcome.ERROR or record.correction:
            first = record
    return first


class RecordReader:
    """Reads the records of the run directory ``path``, each time only what was added since the time before."""

    def __init__(self, path: Path, run: Callable[[], RunJson], plan: Iterable[Episode] = ()) -> None:
        """``run`` says what the run is (:meth:`RunDirectory.run`). ``plan`` has episodes that are at hand anyway; their
        records share them."""
        self._path, self._read_run = path, run
        self._run: RunJson | None = None
        """It is None before the first file of records is found."""
        self._records = Records(doubts=self._doubts)
        self._files: dict[Path, LineReader[EpisodeRecord]] = {}
        self._decoder = RecordDecoder(plan)
        self._checked: Provenance | None = None
        """The last record had this provenance, which is of this experiment."""
        self._contradicted: list[str] = []
        """Each sentence says where a record's outcome is contradicted by the rest of it, and how."""
        self._contradiction = ""
        """It says how the last decoded record contradicts itself; empty where it does not."""

    def read(self) -> Records:
        """Return the same object each time, with more in it. Raises as :meth:`RunDirectory.records`."""
        torn = []
        found = listed(self._path / "records", ".jsonl")
        # A file that a listing misses, as NFS may have it, is there all the same.
        for file in sorted({*found, *self._files}):
            if file not in self._files:
                self._run = self._run or self._read_run()
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
            torn += reader.torn_sentence("counts nowhere")
        self._records.torn = torn
        return self._records

    def _gone(self, file: Path) -> CorruptRecords:
        what = file if self._path.exists() else self._path
        return CorruptRecords(f"{what} is gone: it was removed or moved while it was read")

    def _doubts(self) -> list[str]:
        bare = {
            "run.json": self._run is not None and not self._run.checksum,
            "of sessions/": sum(not file.checksum for file in self._run.coordinators) if self._run else 0,
            "of records/": sum(reader.bare > 0 for reader in self._files.values()),
        }
        which = ", ".join(name if count is True else f"{count} {name}" for name, count in bare.items() if count)
        doubts = []
        if which:
            doubts.append(f"{self._path}: no checksums in {which}: {UNCHECKED}")
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
            if self._run is not None:
                _check_origin(record, self._run.experiment)
            self._checked = record.provenance
        self._contradiction = ""
        if words := impossible(record):
            self._contradiction = " ".join(words.split())[:200]
            if impossible(replace(record, outcome=Outcome.FAILURE, error="")):
                raise CorruptRecords(f"has {self._contradiction}, which cannot be; {REMEDY}")
        return record


class RecordFile:
    """Appends records to a file that this process alone writes."""

    def __init__(self, path: Path) -> None:
        self._file = LineWriter(path)

    def append(self, record: EpisodeRecord) -> None:
        """Write ``record``, which is on disk when this returns. Raises OSError, as :meth:`LineWriter.append`."""
        self._file.append(msgspec.json.encode(record))


def _check_origin(record: EpisodeRecord, experiment: Experiment) -> None:
    """Raises CorruptRecords where ``record`` was made in another experiment."""
    if (theirs := record.provenance) is None:
        return
    ours = (experiment.agent_name, experiment.checkpoint, experiment.protocol_hash)
    if (theirs.agent, theirs.checkpoint, theirs.protocol_hash) != ours:
        raise CorruptRecords(
            f"was played by {theirs.agent} {theirs.checkpoint} under protocol {theirs.protocol_hash}, but this "
            f"is a run of {ours[0]} {ours[1]} under {ours[2]}: the file belongs to another run directory"
        )


def _require_known(line: bytes) -> None:
    """Raises CorruptRecords where ``line`` says that it is of a newer version, whatever else is in it."""
    with contextlib.suppress(ValueError, RecursionError):
        schema = msgspec.json.decode(line, type=_Version).schema
        if schema > RECORD_SCHEMA:
            raise CorruptRecords(f"has schema {schema}; this version reads up to {RECORD_SCHEMA}")


class _Version(msgspec.Struct):
    """This much can be read of a record, however new it is."""

    schema: int = 1
