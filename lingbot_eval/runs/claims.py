"""Who plays an episode next, where several coordinators play in one run directory.

    claims/<hash of the episode's id>.<attempt>   its session plays that attempt; gone once the record is on disk

Creating such a file is the one thing that only one of them can do. So an attempt is played by one session, with one
exception: a session that was taken for dead and comes back (a suspended machine) may still add its record of an older
attempt, and :meth:`Records.final` picks one of them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.runs.presence import Watch
from lingbot_eval.files import publish
from lingbot_eval.runs.directory import RecordReader, RunDirectory
from lingbot_eval.types import Episode


class Claim(msgspec.Struct, frozen=True):
    session: str
    episode: str
    """Its id."""
    attempt: int


class Claims:
    """Those of ``session`` in ``folder``; whether another's still counts, ``watch`` says."""

    def __init__(self, folder: RunDirectory, session: str, watch: Watch, plan: Iterable[Episode] = ()) -> None:
        """``plan``: as of :class:`RecordReader`."""
        self._folder, self._session, self._watch = folder.path / "claims", session, watch
        self._reader = RecordReader(folder, plan)
        self.records = self._reader.read()
        """Whoever's; as of the last look."""
        self._held: dict[str, Path] = {}

    def look(self) -> None:
        """For what anybody has recorded since."""
        self._reader.read()

    def take(self, episode: Episode) -> int | None:
        """The attempt that is ours to play; None where another session plays the episode, or it is done.

        Raises CorruptRecords for a claim that cannot be read, OSError where none can be written.
        """
        skipped = 0  # an attempt that a dead session had claimed: nobody knows whether it still writes a record
        while True:
            attempt = max(self._attempts(episode), skipped) + 1
            file = self._folder / f"{hashlib.sha256(episode.id.encode()).hexdigest()[:16]}.{attempt}"
            if publish(file, msgspec.json.encode(Claim(self._session, episode.id, attempt))):
                self._held[episode.id] = file
                self.look()  # what was recorded before we had the claim
                done = self.records.is_done(episode)
                if not done and self._attempts(episode) < attempt:
                    return attempt
                self.release(episode)
                if done:
                    return None
            elif (owner := _owner(file)) is None:
                self.look()  # gone since: its record is there
            elif self._watch.dead(owner):
                skipped = attempt
            else:
                return None

    def release(self, episode: Episode) -> None:
        """When its record is on disk, or its worker is gone."""
        if file := self._held.pop(episode.id, None):
            with contextlib.suppress(OSError):  # then it counts as long as this session lives
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
        return None if content is None else msgspec.json.decode(content, type=Claim).session
    except msgspec.DecodeError as error:
        raise CorruptRecords(f"{file}: {error}; delete it when no run-suite plays here") from None
