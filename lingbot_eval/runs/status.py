"""How a run stands, from its directory alone: nothing is written, so anybody may look from anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lingbot_eval.errors import BadInput
from lingbot_eval.settings import as_struct
from lingbot_eval.suites import suite_named
from lingbot_eval.runs.contents import Reader
from lingbot_eval.runs.durations import Durations, command_limits
from lingbot_eval.runs.lanes import Lanes, LaneState
from lingbot_eval.runs.plan import by_task, task_of
from lingbot_eval.runs.presence import Life, Process, Session, Watch
from lingbot_eval.runs.directory import LIVE, RunDirectory, listed
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


@dataclass(frozen=True)
class Player:
    """A session, as far as somebody who looks can tell."""

    session: Session
    life: Life
    counter: int
    """Of its last heartbeat; 0 where there is none."""
    seconds: float
    """Since it began, at its last heartbeat or its end."""
    lanes: Mapping[int, LaneState]

    @property
    def plays(self) -> bool:
        return self.life in (Life.PLAYS, Life.UNKNOWN)

    @property
    def per_hour(self) -> float | None:
        """Episodes with a result, since its first one began; None before the first has one."""
        results = sum(state.played - state.errors for state in self.lanes.values())
        return 3600 * results / self._playing if results else None

    @property
    def speed(self) -> float:
        """Seconds of episodes that pass in a second: at most its number of lanes."""
        useful = sum(state.useful + state.seconds for state in self.lanes.values())
        return useful / self._playing if useful else 0.0

    @property
    def _playing(self) -> float:
        return max(1e-3, self.seconds - min(state.starting for state in self.lanes.values()))


@dataclass(frozen=True)
class Standing:
    plan: Sequence[Episode]
    final: Mapping[str, EpisodeRecord]
    """By episode id: as :meth:`Records.final`."""
    players: Sequence[Player] = ()
    """The oldest first."""
    expected: Mapping[Task, float] = field(default_factory=dict)
    """By task: seconds that an episode takes; in another unit where nothing was measured."""
    warnings: Sequence[str] = ()
    """What a reader of the numbers should know."""

    @property
    def playing(self) -> list[Player]:
        return [player for player in self.players if player.plays]

    @property
    def per_hour(self) -> float | None:
        """Of all that play now."""
        known = [rate for player in self.playing if (rate := player.per_hour) is not None]
        return sum(known) if known else None

    @property
    def running(self) -> dict[str, float]:
        """By episode id: for how many seconds it has been played."""
        states = [state for player in self.playing for state in player.lanes.values()]
        return {state.episode: state.seconds for state in states if state.episode}

    def seconds_left(self, episodes: Iterable[Episode]) -> float | None:
        """Until those that play now have played ``episodes``, and nothing else before; None where nobody can tell.

        At the speed of until now, but no sooner than the longest of them.
        """
        running, speed = self.running, sum(player.speed for player in self.playing)
        seconds = [
            max(0.0, self.expected[task_of(episode)] - running.get(episode.id, 0.0))
            for episode in episodes
            if (known := self.final.get(episode.id)) is None
            or (known.outcome is Outcome.ERROR and episode.id in running)  # tried again
        ]
        if self.per_hour is None:
            return None
        return max(sum(seconds) / speed, *seconds) if seconds else 0.0


class Lookout:
    """Looks at ``folder`` again and again, for what is said of ``plan`` (default: all that is planned).

    Raises BadInput and CorruptRecords.
    """

    def __init__(self, folder: RunDirectory, plan: Sequence[Episode] | None = None) -> None:
        self.folder, self._watch, self._reader = folder, Watch(folder), Reader(folder, plan or ())
        self._over: dict[str, Player] = {}
        """By id: sessions that have ended and change no more."""
        self._mine = plan
        experiment = folder.run()["experiment"]
        self._suite, self._protocol = experiment["suite"]["name"], experiment["protocol"]

    def look(self) -> Standing:
        """Raises CorruptRecords."""
        plan = self._reader.plan() if self._mine is None else self._mine
        records = self._reader.records()
        final = {episode.id: record for episode in plan if (record := records.final_of(episode))}
        players = [
            self._player(file.stem)
            for file in listed(self.folder.path / "sessions", ".json")
            if not file.name.endswith(LIVE)
        ]
        durations = Durations(self._limits(plan))
        for record in records.all:
            durations.add(record)
        warnings = [*records.torn, *records.doubts]
        if self._mine is None and (foreign := len(records) - len(final)):
            warnings.append(f"{foreign} episodes in records/ are not in the plan and count nowhere")
        return Standing(plan, final, [player for player in players if player], durations.expected(), warnings)

    def _player(self, id: str) -> Player | None:
        """None where its file has gone since."""
        if id in self._over:
            return self._over[id]
        life = self._watch.life(id)
        heartbeat, session = self._watch.heartbeat(id), self._watch.session(id)
        if session is None:
            return None
        if session.ended:
            self._over[id] = Player(session, Life.ENDED, 0, session.seconds or 0.0, session.lanes)
            return self._over[id]
        if heartbeat is None:
            return Player(session, life, 0, 0.0, {})
        return Player(session, life, heartbeat.counter, heartbeat.seconds, heartbeat.lanes)

    def _limits(self, plan: Sequence[Episode]) -> dict[Task, int]:
        tasks = by_task(plan)
        try:
            suite = suite_named(self._suite)
            return command_limits(suite, as_struct(self._protocol, suite.protocol), tasks)
        except BadInput:  # a real robot's, another version's, or not installed: all tasks are taken to be alike
            return dict.fromkeys(tasks, 1)


def with_mine(standing: Standing, process: Process, lanes: Lanes, final: Mapping[str, EpisodeRecord]) -> Standing:
    """``standing`` with what ``process`` knows of itself: ``lanes``, and records that were not on disk yet."""
    players = [
        replace(player, life=Life.PLAYS, seconds=lanes.seconds, lanes=lanes.states())
        if player.session.process == process and not player.session.ended
        else player
        for player in standing.players
    ]
    return replace(standing, players=players, final={**final, **standing.final})
