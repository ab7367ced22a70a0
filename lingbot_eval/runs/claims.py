"""Claims decide who plays an episode, where several coordinators play in one run directory.

    claims/<hash of the episode's id>.<attempt>   its coordinator plays that attempt; gone once the record is on disk

Creating such a file is the one thing that only one of them can do. So an attempt is played by one coordinator, with one
exception: a coordinator that was taken for dead and comes back (a suspended machine) may still add its record of an
older attempt, and :meth:`Records.final` picks one of them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.files import publish
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.presence import Watch
from lingbot_eval.types import Episode


class Claim(msgspec.Struct, frozen=True, rename={"coordinator": "session"}):  # as version 0.1.0 wrote it
    coordinator: str
    """The coordinator with this id has claimed the attempt."""
    episode: str
    """The attempt is one of the episode with this id."""
    attempt: int


class Claims:
    """Takes and releases claims of ``coordinator`` (id) in ``folder``; ``watch`` says whether others' still count."""

    def __init__(self, folder: RunDirectory, coordinator: str, watch: Watch, plan: Iterable[Episode] = ()) -> None:
        """``plan`` is as of :meth:`RunDirectory.record_reader`."""
        self._folder, self._coordinator, self._watch = folder.path / "claims", coordinator, watch
        self._reader = folder.record_reader(plan)
        self.records = self._reader.read()
        """They are everybody's, as of the last reading."""
        self._held: dict[str, Path] = {}

    def read(self) -> None:
        """Read what anybody has recorded since."""
        self._reader.read()

    def take(self, episode: Episode) -> int | None:
        """Return the attempt that is ours to play; None where another coordinator plays the episode, or it is done.

        Raises CorruptRecords for a claim that cannot be read, OSError where none can be written.
        """
        skipped = 0  # an attempt that a dead coordinator had claimed: nobody knows whether it still writes a record
        while True:
            attempt = max(self._attempts(episode), skipped) + 1
            file = self._folder / f"{hashlib.sha256(episode.id.encode()).hexdigest()[:16]}.{attempt}"
            if publish(file, msgspec.json.encode(Claim(self._coordinator, episode.id, attempt))):
                self._held[episode.id] = file
                self.read()  # what was recorded before we had the claim
                done = self.records.is_done(episode)
                if not done and self._attempts(episode) < attempt:
                    return attempt
                self.release(episode)
                if done:
                    return None
            elif (owner := _owner(file)) is None:
                self.read()  # gone since: its record is there
            elif self._watch.dead(owner):
                skipped = attempt
            else:
                return None

    def release(self, episode: Episode) -> None:
        """Give up the claim, when the record is on disk or the worker is gone."""
        if file := self._held.pop(episode.id, None):
            with contextlib.suppress(OSError):  # then it counts as long as this coordinator lives
                file.unlink()

    def release_all(self) -> None:
        for file in self._held.values():
            with contextlib.suppress(OSError):
                file.unlink()
        self._held.clear()

    def _attempts(self, episode: Episode) -> int:
        return max((record.attempt for record in self.records.of(episode)), default=0)


def _owner(file: Path) -> str | None:
    try:
        content = files.read(file)
        return None if content is None else msgspec.json.decode(content, type=Claim).coordinator
    except msgspec.DecodeError as error:
        raise CorruptRecords(f"{file}: {error}; delete it when no run-suite plays here") from None
