"""How long an episode is expected to take: by its command limit before anything of its task was played, then by what
was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from lingbot_eval.envs.robotwin_tasks import TASKS as ROBOTWIN_TASKS
from lingbot_eval.envs.tabletop.catalogue import command_limit as tabletop_limit
from lingbot_eval.settings import LiberoProtocol, Protocol, ToyProtocol
from lingbot_eval.suites.plan import Task, task_of
from lingbot_eval.types import EpisodeRecord, Outcome


def command_limits(protocol: Protocol, tasks: Iterable[Task]) -> dict[Task, int]:
    """The most commands that an episode of each task may take."""
    return {task: _command_limit(protocol, task) for task in tasks}


def _command_limit(protocol: Protocol, task: Task) -> int:
    suite, name, _ = task
    if isinstance(protocol, LiberoProtocol):
        return protocol.command_limit[suite]
    if isinstance(protocol, ToyProtocol):
        return protocol.command_limit
    own = ROBOTWIN_TASKS[name].command_limit if suite == "robotwin" else tabletop_limit(name)
    return protocol.command_limit or own


def expected_seconds(limits: Mapping[Task, int], records: Iterable[EpisodeRecord]) -> dict[Task, float]:
    """The mean of the episodes of a task that ended without ERROR; where there is none, in proportion to the command
    limits of the measured tasks (``limits``: all tasks'). In commands where nothing is measured at all."""
    measured: dict[Task, list[float]] = {}
    for record in records:
        if record.outcome is not Outcome.ERROR and (task := task_of(record.episode)) in limits:
            measured.setdefault(task, []).append(record.seconds)
    means = {task: fmean(seconds) for task, seconds in measured.items()}
    per_command = fmean(mean / limits[task] for task, mean in means.items()) if means else 1.0
    return {task: means.get(task, per_command * limit) for task, limit in limits.items()}
