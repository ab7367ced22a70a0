"""A run's directory alone says how the run stands: nothing is written, so anybody may read from anywhere."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace

from lingbot_eval.errors import BadInput
from lingbot_eval.runs.contents import Reader
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.durations import Durations, command_limits
from lingbot_eval.runs.lanes import Lanes, LaneState
from lingbot_eval.runs.plan import by_task, task_of
from lingbot_eval.runs.presence import Coordinator, Life, Process, Watch
from lingbot_eval.settings import as_struct
from lingbot_eval.suites import suite_named
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


@dataclass(frozen=True)
class Player:
    """Says of a coordinator what can be told from outside."""

    coordinator: Coordinator
    life: Life
    counter: int
    """The last heartbeat had this number; 0 where there is none."""
    seconds: float
    """It had played for so long at its last heartbeat, or at its end."""
    lanes: Mapping[int, LaneState]

    @property
    def plays(self) -> bool:
        return self.life in (Life.PLAYS, Life.UNKNOWN)

    @property
    def per_hour(self) -> float | None:
        """Return the episodes with a result since its first one began; None before the first has one."""
        results = sum(state.played - state.errors for state in self.lanes.values())
        return 3600 * results / self._playing if results else None

    @property
    def speed(self) -> float:
        """Return how many seconds of episodes pass in a second: at most its number of lanes."""
        useful = sum(state.useful + state.seconds for state in self.lanes.values())
        return useful / self._playing if useful else 0.0

    @property
    def _playing(self) -> float:
        return max(1e-3, self.seconds - min(state.starting for state in self.lanes.values()))


@dataclass
class Tally:
    """Counts what has become of a task's planned episodes."""

    planned: int
    successes: int = 0
    failures: int = 0
    errors: int = 0

    @property
    def trials(self) -> int:
        """Count the episodes that have a result."""
        return self.successes + self.failures

    @property
    def waiting(self) -> int:
        """Count the episodes without any record."""
        return self.planned - self.trials - self.errors

    def count(self, outcome: Outcome, by: int) -> None:
        self.successes += by * (outcome is Outcome.SUCCESS)
        self.failures += by * (outcome is Outcome.FAILURE)
        self.errors += by * (outcome is Outcome.ERROR)


@dataclass(frozen=True)
class Scores:
    """Keeps what has become of ``plan``. To add a record costs the same however many are planned or recorded."""

    plan: Sequence[Episode]
    tasks: Mapping[str, Task]
    """Each planned episode (id) is of this task."""
    tallies: Mapping[Task, Tally]
    """They are in planned order."""
    final: MutableMapping[str, EpisodeRecord]
    """These records count (:meth:`Records.final_of`), by the ids of planned episodes."""

    def add(self, final: EpisodeRecord) -> None:
        """Have ``final`` count for its episode, in place of any other; nothing happens where that is not planned."""
        id = final.episode.id
        if (task := self.tasks.get(id)) is None:
            return
        if (known := self.final.get(id)) is not None:
            self.tallies[task].count(known.outcome, -1)
        self.tallies[task].count(final.outcome, +1)
        self.final[id] = final

    def beside(self, told: Iterable[EpisodeRecord]) -> Scores:
        """Return these with the records of ``told`` whose episodes have none; these themselves stay as they are."""
        tallies = {task: replace(tally) for task, tally in self.tallies.items()}
        both = replace(self, tallies=tallies, final=ChainMap({}, self.final))
        for record in told:
            if record.episode.id not in self.final:
                both.add(record)
        return both


def scores(plan: Sequence[Episode], final: Iterable[EpisodeRecord] = ()) -> Scores:
    tasks = {episode.id: task_of(episode) for episode in plan}
    made = Scores(plan, tasks, {task: Tally(len(those)) for task, those in by_task(plan).items()}, {})
    for record in final:
        made.add(record)
    return made


@dataclass(frozen=True)
class Standing:
    scores: Scores
    """They are those of the StatusReader: they grow when it reads again."""
    players: Sequence[Player] = ()
    """The oldest comes first."""
    expected: Mapping[Task, float] = field(default_factory=dict)
    """An episode of the task takes so many seconds; in another unit where nothing was measured."""
    warnings: Sequence[str] = ()
    """A reader of the numbers should know these."""

    @property
    def plan(self) -> Sequence[Episode]:
        return self.scores.plan

    @property
    def final(self) -> Mapping[str, EpisodeRecord]:
        return self.scores.final

    @property
    def playing(self) -> list[Player]:
        return [player for player in self.players if player.plays]

    @property
    def per_hour(self) -> float | None:
        """Add up the rates of all that play now."""
        known = [rate for player in self.playing if (rate := player.per_hour) is not None]
        return sum(known) if known else None

    @property
    def running(self) -> dict[str, float]:
        """Return for how many seconds each episode (id) has been played."""
        states = [state for player in self.playing for state in player.lanes.values()]
        return {state.episode: state.seconds for state in states if state.episode}

    def seconds_left(self, tasks: Iterable[Task]) -> float | None:
        """Estimate when those that play now have played ``tasks``, and nothing else before; None where nobody can tell.

        They go on at the speed of until now, but end no sooner than the longest episode.
        """
        if self.per_hour is None:
            return None
        waiting = {task: self.scores.tallies[task].waiting for task in tasks}
        left = []
        for id, seconds in self.running.items():
            if (task := self.scores.tasks.get(id)) not in waiting:
                continue
            known = self.final.get(id)
            if known is None or known.outcome is Outcome.ERROR:  # which is tried again
                left.append(max(0.0, self.expected[task] - seconds))
            waiting[task] -= known is None
        whole = [(count, self.expected[task]) for task, count in waiting.items() if count > 0]
        if not left and not whole:
            return 0.0
        speed = sum(player.speed for player in self.playing)
        seconds = sum(left) + sum(count * each for count, each in whole)
        return max(seconds / speed, *left, *(each for _, each in whole))


class StatusReader:
    """Reads again and again how ``folder`` stands, of ``plan`` (default: all that is planned). A reading costs what was
    added since the one before, and what the tasks and coordinators are.

    Raises BadInput and CorruptRecords.
    """

    def __init__(self, folder: RunDirectory, plan: Sequence[Episode] | None = None) -> None:
        self.folder, self._watch, self._reader = folder, Watch(folder), Reader(folder, plan or ())
        self._over: dict[str, Player] = {}
        """These coordinators (id) have ended and change no more."""
        self._mine = plan
        experiment = folder.run().experiment
        self._suite, self._protocol = experiment.suite.name, experiment.protocol
        self._follow(plan or ())

    def _follow(self, plan: Sequence[Episode]) -> None:
        self._scores, self._durations = scores(plan), Durations(self._limits(plan))
        self._seen = 0
        """So many of the records are in both."""

    def read(self) -> Standing:
        """Read what was added. Raises CorruptRecords."""
        plan = self._reader.plan() if self._mine is None else self._mine
        if plan is not self._scores.plan:
            self._follow(plan)
        records = self._reader.records()
        new = records.all[self._seen :]
        self._seen += len(new)
        for record in new:
            self._durations.add(record)
            if (final := records.final_of(record.episode)) is not None:
                self._scores.add(final)
        warnings = [*records.torn, *records.doubts]
        if self._mine is None and (foreign := len(records) - len(self._scores.final)):
            warnings.append(f"{foreign} episodes in records/ are not in the plan and count nowhere")
        players = [player for id in self.folder.coordinators() if (player := self._player(id))]
        return Standing(self._scores, players, self._durations.expected(), warnings)

    def _player(self, id: str) -> Player | None:
        """Return None where its file has gone since."""
        if id in self._over:
            return self._over[id]
        life = self._watch.life(id)
        heartbeat, coordinator = self._watch.heartbeat(id), self._watch.coordinator(id)
        if coordinator is None:
            return None
        if coordinator.ended:
            self._over[id] = Player(coordinator, Life.ENDED, 0, coordinator.seconds or 0.0, coordinator.lanes)
            return self._over[id]
        if heartbeat is None:
            return Player(coordinator, life, 0, 0.0, {})
        return Player(coordinator, life, heartbeat.counter, heartbeat.seconds, heartbeat.lanes)

    def _limits(self, plan: Sequence[Episode]) -> dict[Task, int]:
        tasks = by_task(plan)
        try:
            suite = suite_named(self._suite)
            return command_limits(suite, as_struct(self._protocol, suite.protocol), tasks)
        except BadInput:  # a real robot's, another version's, or not installed: all tasks are taken to be alike
            return dict.fromkeys(tasks, 1)


def with_mine(standing: Standing, process: Process, lanes: Lanes, told: Iterable[EpisodeRecord]) -> Standing:
    """Return ``standing`` with what ``process`` knows of itself: ``lanes``, and records that were not on disk yet."""
    players = [
        replace(player, life=Life.PLAYS, seconds=lanes.seconds, lanes=lanes.states())
        if player.coordinator.process == process and not player.coordinator.ended
        else player
        for player in standing.players
    ]
    return replace(standing, players=players, scores=standing.scores.beside(told))
