"""An episode is expected to take as long as its command limit says before anything of its task was played, then as long
as was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from lingbot_eval.runs.plan import task_of
from lingbot_eval.settings import Protocol
from lingbot_eval.suites import Suite
from lingbot_eval.suites.suite import Task
from lingbot_eval.types import EpisodeRecord, Outcome


def command_limits(suite: Suite, protocol: Protocol, tasks: Iterable[Task]) -> dict[Task, int]:
    """Return the most commands that an episode of each task may take."""
    return {task: suite.command_limit(protocol, task) for task in tasks}


class Durations:
    """Learns how long episodes take. To add a record costs the same however many there are."""

    def __init__(self, limits: Mapping[Task, int]) -> None:
        """``limits`` has the most commands of an episode, by task."""
        self._limits = limits
        self._played = dict.fromkeys(limits, 0)
        self._seconds = dict.fromkeys(limits, 0.0)

    def add(self, record: EpisodeRecord) -> None:
        """Learn from ``record``; but an ERROR says nothing about how long its task takes."""
        if record.outcome is not Outcome.ERROR and (task := task_of(record.episode)) in self._limits:
            self._played[task] += 1
            self._seconds[task] += record.seconds

    def expected(self) -> dict[Task, float]:
        """Return the mean seconds of an episode by task; those of a task without any are in proportion to the command
        limits of the measured tasks. Where nothing is measured at all, the unit is a command."""
        means = {task: self._seconds[task] / played for task, played in self._played.items() if played}
        per_command = fmean(mean / self._limits[task] for task, mean in means.items()) if means else 1.0
        return {task: means.get(task, per_command * limit) for task, limit in self._limits.items()}
