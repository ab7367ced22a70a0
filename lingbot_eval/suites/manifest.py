"""Keep the scenes that a task's own expert solves in a manifest, so that they are looked for once.

    manifest.json            the suite, and what about the simulator decides which scenes are solved
    <task>-<setting>.jsonl   one Audition per line, appended as seeds are tried
    .<task>-<setting>.lock   held by the process that tries them

A manifest knows no protocol: it holds seeds from wherever a protocol starts, with a sentence of either split. A folder
may be copied to another machine, and two that were made under the same facts merge.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, Taken
from lingbot_eval.files import listed
from lingbot_eval.lines import UNCHECKED, LineReader, LineWriter
from lingbot_eval.settings import Setting

SCHEMA = 1

PLAYED_ONLY = ("shader", "denoiser", "bimanual-commands")
"""Facts of these names change pictures, or what commands come to, and no scene; a manifest holds under any of them."""

MANIFEST = "manifest.json"

ELSEWHERE = "say suite.manifest=DIR"
"""This is the remedy where nothing can be written in a manifest's folder."""

HOPELESS = 50
"""After so many tries in a row without a solved scene the search is given up."""


@dataclass(frozen=True)
class Audition:
    """The expert has tried one seed."""

    seed: int
    outcome: Literal["solved", "unstable", "unsolved", "error"]
    """unstable: an object does not come to rest. unsolved: the expert ends without success, or raises. error: the
    simulator died or hung, twice."""
    reason: str
    """It is empty for a solved scene."""
    sentences: Mapping[str, str]
    """The instruction, by split; empty for all but a solved scene."""


@dataclass(frozen=True)
class Wanted:
    """An experiment wants ``count`` scenes of a task, the first from seed ``first`` on that are solved."""

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
                files.publish(file, files.with_checksum(content))
            except OSError as error:
                raise files.unwritable(self.folder, error, ELSEWHERE) from None
        known, there = self._read(file)
        if known != suite:
            raise BadInput(f"{self.folder} is a manifest of {known}, not of {suite}")
        names = sorted({*there, *here})
        return [
            f"{name}: there {there.get(name)}, here {here.get(name)}"
            for name in names
            if there.get(name) != here.get(name)
        ]

    def auditions(self, task: str, setting: str) -> dict[int, Audition]:
        """Read which seeds were tried, and how that ended, by seed.

        Raises CorruptRecords; a torn last line does not count.
        """
        return self._tried(task, setting)[0]

    def _tried(self, task: str, setting: str) -> tuple[dict[int, Audition], LineReader[Audition]]:
        """Read the auditions by seed, and return them with the file as it was read."""
        remedy = "restore the line, or cut the file off before it: what is missing is tried again"
        known = LineReader(self._file(task, setting), msgspec.json.Decoder(Audition).decode, remedy)
        try:
            return {audition.seed: audition for audition in known.added()}, known
        except FileNotFoundError:
            return {}, known

    def warnings(self, wanted: Sequence[Wanted]) -> list[str]:
        """Return a sentence each about torn lines, and one about files without checksums."""
        tried = [self._tried(want.task, want.setting)[1] for want in wanted]
        torn = [sentence for one in tried for sentence in one.torn_sentence("counts nowhere")]
        bare = [one.file for one in tried if one.bare]
        if "checksum" not in files.parsed(files.read(self.folder / MANIFEST) or b"{}", self.folder / MANIFEST):
            bare.insert(0, self.folder / MANIFEST)
        if bare:
            torn.append(f"{bare[0]}" + f" and {len(bare) - 1} more" * (len(bare) > 1) + f": no checksums; {UNCHECKED}")
        return torn

    def scenes(self, wanted: Wanted) -> list[Audition]:
        """List the solved ones among consecutive seeds; fewer than wanted where not enough were tried."""
        return scan(self.auditions(wanted.task, wanted.setting), wanted)[0]

    def extend(self, wanted: Wanted, audition_of: Callable[[int], Audition], stop: Callable[[], bool]) -> None:
        """Try seeds, each written to disk before the next, until there are enough scenes or ``stop()``.

        Raises Taken where another process does so, NotReady where HOPELESS seeds in a row are not solved.
        """
        with self._locked(wanted.task, wanted.setting):
            auditions, known = self._tried(wanted.task, wanted.setting)
            since = 0
            with contextlib.closing(_File(known)) as file:  # before any is tried: what cannot be kept is not looked for
                while not stop():
                    found, seed = scan(auditions, wanted)
                    if len(found) == wanted.count:
                        return
                    audition = auditions[seed] = audition_of(seed)
                    file.append(audition)
                    since = 0 if audition.outcome == "solved" else since + 1
                    if since == HOPELESS:
                        raise NotReady(
                            f"{wanted.task} {wanted.setting}: the expert solved none of the last {HOPELESS} seeds "
                            f"(the last: {audition.outcome}, {audition.reason}); see {known.file}"
                        )

    def merge(self, other: Manifest) -> int:
        """Take over every audition that ``other`` has and this has not, and return how many.

        Raises BadInput where they are about different simulators or disagree.
        """
        if differences := self.open(*self._read(other.folder / MANIFEST)):
            raise BadInput(
                f"{other.folder} was made on another simulator than {self.folder}: {'; '.join(differences)}; its "
                "scenes cannot be taken over"
            )
        taken = 0
        for source in listed(other.folder, ".jsonl"):
            task, _, setting = source.stem.rpartition("-")
            with self._locked(task, setting):
                (mine, known), new = self._tried(task, setting), other.auditions(task, setting)
                for seed in mine.keys() & new.keys():
                    if mine[seed] != new[seed]:
                        raise BadInput(
                            f"{other.folder} and {self.folder} disagree about seed {seed} of {task} {setting}: "
                            f"{new[seed]} there, {mine[seed]} here; one of them was changed"
                        )
                fresh = [new[seed] for seed in sorted(new.keys() - mine.keys())]
                with contextlib.closing(_File(known)) as file:
                    for audition in fresh:
                        file.append(audition)
                taken += len(fresh)
        return taken

    def _read(self, file: Path) -> tuple[str, dict[str, str]]:
        """Return (suite, facts)."""
        if (content := files.read(file)) is None:
            raise BadInput(f"{file.parent} is no manifest: it has no {file.name}")
        try:
            head = msgspec.convert(files.parsed(content, file), _Head)
        except msgspec.ValidationError as error:
            raise CorruptRecords(f"{file} is no manifest's: {str(error).replace('`', '')}") from None
        if head.schema > SCHEMA:
            raise BadInput(
                f"{file} was written by a newer version of lingbot_eval (schema {head.schema}, this one reads up to "
                f"{SCHEMA}): update this one"
            )
        return head.suite, head.facts

    def _file(self, task: str, setting: str) -> Path:
        return self.folder / f"{task}-{setting}.jsonl"

    def _locked(self, task: str, setting: str) -> AbstractContextManager[None]:
        lock = self.folder / f".{task}-{setting}.lock"
        taken = Taken(f"another process tries seeds of {task} {setting} in {self.folder}; wait for it")
        return files.alone(lock, taken, "look for scenes on another disk (suite.manifest=DIR)")


class _File:
    """Appends to a file of auditions that was read whole. Every method raises NotReady where nothing can be written."""

    def __init__(self, known: LineReader[Audition]) -> None:
        try:
            self._writer = LineWriter(known.file, after=known)
        except OSError as error:
            raise files.unwritable(known.file, error, ELSEWHERE) from None

    def append(self, audition: Audition) -> None:
        """Write ``audition``, which is on disk when this returns."""
        try:
            self._writer.append(msgspec.json.encode(audition))
        except OSError as error:
            raise files.unwritable(self._writer.file, error, ELSEWHERE) from None

    def close(self) -> None:
        self._writer.close()


class _Head(msgspec.Struct):
    """manifest.json holds this."""

    schema: int
    suite: str
    facts: dict[str, str]


def scan(auditions: Mapping[int, Audition], wanted: Wanted) -> tuple[list[Audition], int]:
    """Return (solved scenes, the first seed not tried yet); no more scenes than are wanted."""
    found: list[Audition] = []
    seed = wanted.first
    while seed in auditions and len(found) < wanted.count:
        if auditions[seed].outcome == "solved":
            found.append(auditions[seed])
        seed += 1
    return found, seed


def scene_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Leave out the facts that do not decide which scenes an expert solves."""
    return {name: value for name, value in facts.items() if name not in PLAYED_ONLY}


def default_folder(suite: str, facts: Mapping[str, str]) -> Path:
    """Name a folder by its content: it is the same for the same simulator, wherever that is."""
    digest = hashlib.sha256(json.dumps(scene_facts(facts), sort_keys=True).encode()).hexdigest()[:12]
    return Path("manifests") / f"{suite}-{digest}"


def content_hash(manifest: Manifest, wanted: Sequence[Wanted]) -> str:
    """Return 12 hex digits over the auditions that ``wanted`` rests on, solved or not."""
    digest = hashlib.sha256()
    for want in wanted:
        auditions = manifest.auditions(want.task, want.setting)
        last = scan(auditions, want)[1]
        for seed in range(want.first, last):
            digest.update(msgspec.json.encode(auditions[seed], order="deterministic"))
    return digest.hexdigest()[:12]
