"""Scenes that a task's own expert solves, found once and kept in a manifest.

    manifest.json            the suite, and what about the simulator decides which scenes are solved
    <task>-<setting>.jsonl   one Trial per line, appended as seeds are tried
    .<task>-<setting>.lock   held by the process that tries them

A manifest knows no protocol: it holds seeds from wherever a protocol starts, with a sentence of either split. A folder
may be copied to another machine, and two that were made under the same facts merge.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, Taken
from lingbot_eval.lines import LineReader, LineWriter
from lingbot_eval.runs.directory import listed, publish
from lingbot_eval.settings import Setting

SCHEMA = 1

PLAYED_ONLY = ("shader", "denoiser", "bimanual-commands")
"""Facts that change pictures, or what an agent's commands come to, and no scene; a manifest holds under any of them."""

MANIFEST = "manifest.json"

HOPELESS = 50
"""Tries in a row without a solved scene after which the search is given up."""


@dataclass(frozen=True)
class Trial:
    """One seed, tried."""

    seed: int
    outcome: Literal["solved", "unstable", "unsolved", "error"]
    """unstable: an object does not come to rest. unsolved: the expert ends without success, or raises. error: the
    simulator died or hung, twice."""
    reason: str
    """Empty for a solved one."""
    sentences: Mapping[str, str]
    """The instruction, by split; empty for all but a solved one."""


@dataclass(frozen=True)
class Wanted:
    """``count`` scenes of a task, the first from seed ``first`` on that are solved."""

    task: str
    setting: Setting
    first: int
    count: int


class Manifest:
    """The folder described above."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, suite: str, facts: Mapping[str, str]) -> list[str]:
        """Begin one here, or read the one that is here. Returns what differs from ``facts``, one sentence each; then it
        can be played from and not be extended.

        Raises NotReady, BadInput.
        """
        file, here = self.folder / MANIFEST, scene_facts(facts)
        if not os.path.lexists(file):
            content = {"schema": SCHEMA, "suite": suite, "facts": here}
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                publish(file, files.with_checksum(content))
            except OSError as error:
                raise NotReady(f"cannot write to {self.folder}: {error.strerror}; say suite.manifest=DIR") from None
        known, there = self._read(file)
        if known != suite:
            raise BadInput(f"{self.folder} is a manifest of {known}, not of {suite}")
        names = sorted({*there, *here})
        return [
            f"{name}: there {there.get(name)}, here {here.get(name)}"
            for name in names
            if there.get(name) != here.get(name)
        ]

    def trials(self, task: str, setting: str) -> dict[int, Trial]:
        """By seed.

        Raises CorruptRecords; a torn last line does not count.
        """
        return self._tried(task, setting)[0]

    def _tried(self, task: str, setting: str) -> tuple[dict[int, Trial], LineReader[Trial]]:
        """Trials by seed, and the file as it was read."""
        remedy = "restore the line, or cut the file off before it: what is missing is tried again"
        known = LineReader(self._file(task, setting), msgspec.json.Decoder(Trial).decode, remedy)
        try:
            return {trial.seed: trial for trial in known.added()}, known
        except FileNotFoundError:
            return {}, known

    def warnings(self, wanted: Sequence[Wanted]) -> list[str]:
        """A sentence each about torn lines, and about files without checksums."""
        tried = [self._tried(want.task, want.setting)[1] for want in wanted]
        torn = [f"{one.file}: the last line ({one.torn} bytes) is torn and counts nowhere" for one in tried if one.torn]
        bare = [one.file for one in tried if one.bare]
        if "checksum" not in files.parsed(files.read(self.folder / MANIFEST) or b"{}", self.folder / MANIFEST):
            bare.insert(0, self.folder / MANIFEST)
        if bare:
            words = "version 0.1.0 wrote none, so nobody can tell whether they were changed"
            torn.append(f"{bare[0]}" + f" and {len(bare) - 1} more" * (len(bare) > 1) + f": no checksums; {words}")
        return torn

    def scenes(self, wanted: Wanted) -> list[Trial]:
        """The solved ones among consecutive seeds; fewer than wanted where not enough were tried."""
        return scan(self.trials(wanted.task, wanted.setting), wanted)[0]

    def extend(self, wanted: Wanted, audition: Callable[[int], Trial], stop: Callable[[], bool]) -> None:
        """Try seeds, each written to disk before the next, until there are enough scenes or ``stop()``.

        Raises Taken where another process does so, NotReady where HOPELESS seeds in a row are not solved.
        """
        with self._locked(wanted.task, wanted.setting):
            trials, known = self._tried(wanted.task, wanted.setting)
            self._append(known, [])  # what cannot be kept is not looked for
            since = 0
            while not stop():
                found, seed = scan(trials, wanted)
                if len(found) == wanted.count:
                    return
                trial = trials[seed] = audition(seed)
                self._append(known, [trial])
                since = 0 if trial.outcome == "solved" else since + 1
                if since == HOPELESS:
                    raise NotReady(
                        f"{wanted.task} {wanted.setting}: the expert solved none of the last {HOPELESS} seeds "
                        f"(the last: {trial.outcome}, {trial.reason}); see {known.file}"
                    )

    def merge(self, other: Manifest) -> int:
        """Take over every trial that ``other`` has and this has not; returns how many.

        Raises BadInput where they are about different simulators or disagree.
        """
        if differences := self.open(*self._read(other.folder / MANIFEST)):
            raise BadInput(f"{other.folder} was made on another simulator than {self.folder}: {'; '.join(differences)}")
        taken = 0
        for source in listed(other.folder, ".jsonl"):
            task, _, setting = source.stem.rpartition("-")
            with self._locked(task, setting):
                (mine, known), new = self._tried(task, setting), other.trials(task, setting)
                for seed in mine.keys() & new.keys():
                    if mine[seed] != new[seed]:
                        raise BadInput(f"{task} {setting} {seed}: there {new[seed]}, here {mine[seed]}")
                fresh = [new[seed] for seed in sorted(new.keys() - mine.keys())]
                self._append(known, fresh)
                taken += len(fresh)
        return taken

    def _append(self, known: LineReader[Trial], fresh: Sequence[Trial]) -> None:
        """To the file that is read whole, and is so after this.

        Raises NotReady where nothing can be written.
        """
        try:
            with contextlib.closing(LineWriter(known.file, after=known)) as writer:
                for trial in fresh:
                    writer.append(msgspec.json.encode(trial))
        except OSError as error:
            raise NotReady(f"cannot write to {known.file}: {error.strerror}; say suite.manifest=DIR") from None
        for _ in known.added():
            pass

    def _read(self, file: Path) -> tuple[str, dict[str, str]]:
        """(suite, facts)."""
        if (content := files.read(file)) is None:
            raise BadInput(f"{file.parent} is no manifest: it has no {file.name}")
        try:
            head = msgspec.convert(files.parsed(content, file), _Head)
        except msgspec.ValidationError as error:
            raise CorruptRecords(f"{file} is no manifest's: {str(error).replace('`', '')}") from None
        if head.schema > SCHEMA:
            raise BadInput(f"{file} has schema {head.schema}; this version reads up to {SCHEMA}")
        return head.suite, head.facts

    def _file(self, task: str, setting: str) -> Path:
        return self.folder / f"{task}-{setting}.jsonl"

    @contextlib.contextmanager
    def _locked(self, task: str, setting: str) -> Iterator[None]:
        lock = self.folder / f".{task}-{setting}.lock"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(files.locked(lock))
            except BlockingIOError:
                raise Taken(f"another process tries seeds of {task} {setting} in {self.folder}; wait for it") from None
            except OSError as error:  # also of a file system without locks
                raise NotReady(
                    f"cannot lock {lock}: {error.strerror}; look for scenes on another disk (suite.manifest=DIR)"
                ) from None
            yield


class _Head(msgspec.Struct):
    """manifest.json."""

    schema: int
    suite: str
    facts: dict[str, str]


def scan(trials: Mapping[int, Trial], wanted: Wanted) -> tuple[list[Trial], int]:
    """(solved scenes, the first seed not tried yet), at most as many as wanted."""
    found: list[Trial] = []
    seed = wanted.first
    while seed in trials and len(found) < wanted.count:
        if trials[seed].outcome == "solved":
            found.append(trials[seed])
        seed += 1
    return found, seed


def scene_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Those that decide which scenes an expert solves."""
    return {name: value for name, value in facts.items() if name not in PLAYED_ONLY}


def default_folder(suite: str, facts: Mapping[str, str]) -> Path:
    """Named by content: the same for the same simulator, wherever."""
    digest = hashlib.sha256(json.dumps(scene_facts(facts), sort_keys=True).encode()).hexdigest()[:12]
    return Path("manifests") / f"{suite}-{digest}"


def content_hash(manifest: Manifest, wanted: Sequence[Wanted]) -> str:
    """12 hex digits over the trials that ``wanted`` rests on, solved or not."""
    digest = hashlib.sha256()
    for want in wanted:
        trials = manifest.trials(want.task, want.setting)
        last = scan(trials, want)[1]
        for seed in range(want.first, last):
            digest.update(msgspec.json.encode(trials[seed], order="deterministic"))
    return digest.hexdigest()[:12]
