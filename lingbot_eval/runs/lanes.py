"""What the lanes of a session do, and where their seconds went."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from lingbot_eval.types import Episode, EpisodeRecord, Outcome


class LaneState(msgspec.Struct):
    """A lane of a session, for whoever looks. From ``starting`` to ``idle``: where its seconds went until the episode
    at hand began; with ``seconds`` of that, they add up to the session's."""

    episode: str = ""
    """Its id; empty while the lane waits for work."""
    seconds: float = 0.0
    """For so long it has been played."""
    played: int = 0
    """Records so far."""
    errors: int = 0
    """Of those."""
    starting: float = 0.0
    """Until its first episode: the worker starts and loads its weights."""
    model: float = 0.0
    simulator: float = 0.0
    waiting: float = 0.0
    """For forwards that it shares with other lanes."""
    recording: float = 0.0
    """Pictures for a film, which the simulator draws besides; keeping commands."""
    other: float = 0.0
    """Of episodes, outside of their own time: starting simulators, writing films and records; and all of ERRORs."""
    idle: float = 0.0
    """Without an episode."""

    @property
    def useful(self) -> float:
        """In episodes that have a result, by their own time."""
        return self.model + self.simulator + self.waiting + self.recording

    def __str__(self) -> str:
        return f"played {self.played}; " + ", ".join(f"{name} {getattr(self, name):.1f} s" for name in PARTS)


PARTS = ("starting", "model", "simulator", "waiting", "recording", "other", "idle")
"""Of a LaneState: where its seconds went."""


class Lanes:
    """The lanes of one session, by number, as they are told; they began when this was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._states: dict[int, LaneState] = {}
        self._since: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def plays(self, lane: int, episode: Episode) -> None:
        now = time.monotonic()
        if lane in self._states:
            self._states[lane].idle += now - self._since[lane]
        else:
            self._states[lane] = LaneState(starting=now - self._began)
        self._states[lane].episode = episode.id
        self._since[lane] = now

    def played(self, lane: int, record: EpisodeRecord) -> None:
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
        """As of now."""
        now, states = time.monotonic(), {}
        for number, state in sorted(self._states.items()):
            lasted = now - self._since[number]
            if state.episode:
                states[number] = msgspec.structs.replace(state, seconds=lasted)
            else:
                states[number] = msgspec.structs.replace(state, idle=state.idle + lasted)
        return states


def together(states: Iterable[LaneState]) -> LaneState:
    """What all of them did."""
    total = LaneState()
    for state in states:
        for name in ("seconds", "played", "errors", *PARTS):
            setattr(total, name, getattr(total, name) + getattr(state, name))
    return total
