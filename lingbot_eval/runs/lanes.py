"""Episodes are told of as they begin and end; Lanes keeps account of what each lane does, and where its time went."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from lingbot_eval.types import Episode, EpisodeRecord, Outcome


@dataclass(frozen=True)
class EpisodeUpdate:
    """An episode has begun, or ended."""

    lane: int | None
    """Lanes are counted over all workers; None where another coordinator played the episode."""
    episode: Episode
    record: EpisodeRecord | None
    """It is None when the episode begins."""
    will_retry: bool = False


class LaneState(msgspec.Struct):
    """Says what a coordinator's lane does. Its seconds until the episode at hand began went where ``starting`` to
    ``idle`` say; with the ``seconds`` of that episode they add up to the coordinator's."""

    episode: str = ""
    """This episode (id) is played; empty while the lane waits for work."""
    seconds: float = 0.0
    """The episode has been played for so long."""
    played: int = 0
    """So many records were made."""
    errors: int = 0
    """So many of them are ERRORs."""
    starting: float = 0.0
    """These passed until the first episode: the worker starts and loads its weights."""
    model: float = 0.0
    simulator: float = 0.0
    waiting: float = 0.0
    """The lane waited so long for forwards that it shares with others."""
    recording: float = 0.0
    """The simulator draws pictures for a film besides, and commands are kept."""
    other: float = 0.0
    """Episodes took these outside of their own time: simulators start, films and records are written. All of an
    ERROR's seconds are here."""
    idle: float = 0.0
    """These passed without an episode."""

    @property
    def useful(self) -> float:
        """Return the seconds of episodes that have a result, by their own time."""
        return self.model + self.simulator + self.waiting + self.recording

    def __str__(self) -> str:
        return f"played {self.played}; " + ", ".join(f"{name} {getattr(self, name):.1f} s" for name in PARTS)


PARTS = ("starting", "model", "simulator", "waiting", "recording", "other", "idle")
"""These fields of a LaneState say where its seconds went."""


class Lanes:
    """Keeps the account of one coordinator's lanes, by number, from when this was made; any thread may tell or ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._states: dict[int, LaneState] = {}
        self._since: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def tell(self, update: EpisodeUpdate) -> None:
        """Take note of ``update``, unless another coordinator played that episode."""
        if update.lane is None:
            return
        if update.record is None:
            self.plays(update.lane, update.episode)
        else:
            self.played(update.lane, update.record)

    def plays(self, lane: int, episode: Episode) -> None:
        with self._lock:
            now = time.monotonic()
            if lane in self._states:
                self._states[lane].idle += now - self._since[lane]
            else:
                self._states[lane] = LaneState(starting=now - self._began)
            self._states[lane].episode = episode.id
            self._since[lane] = now

    def played(self, lane: int, record: EpisodeRecord) -> None:
        with self._lock:
            self._account(lane, record)

    def _account(self, lane: int, record: EpisodeRecord) -> None:
        now, state = time.monotonic(), self._states[lane]
        took = now - self._since[lane]
        if record.spent is not None and record.recording is not None:
            state.model += record.spent.model
            state.simulator += record.spent.simulator
            state.waiting += record.spent.waiting
            state.recording += record.recording
            took -= record.seconds
        state.other += max(0.0, took)
        state.played += 1
        state.errors += record.outcome is Outcome.ERROR
        state.episode, self._since[lane] = "", now

    def states(self) -> dict[int, LaneState]:
        """Return what each lane does now."""
        with self._lock:
            now = time.monotonic()
            return {number: self._state(number, now) for number in sorted(self._states)}

    def _state(self, number: int, now: float) -> LaneState:
        state, lasted = self._states[number], now - self._since[number]
        if state.episode:
            return msgspec.structs.replace(state, seconds=lasted)
        return msgspec.structs.replace(state, idle=state.idle + lasted)


def together(states: Iterable[LaneState]) -> LaneState:
    """Add up what all of them did."""
    total = LaneState()
    for state in states:
        for name in ("seconds", "played", "errors", *PARTS):
            setattr(total, name, getattr(total, name) + getattr(state, name))
    return total
