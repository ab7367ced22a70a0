"""Every suite's tasks, in the order that gives them their index."""

from __future__ import annotations

from collections.abc import Mapping

from lingbot_eval.envs import tabletop
from lingbot_eval.envs.libero import tasks as libero_tasks
from lingbot_eval.envs.robotwin import tasks as robotwin_tasks
from lingbot_eval.envs.toy import tasks as toy_tasks

TASKS: Mapping[str, tuple[str, ...]] = {
    **libero_tasks.SUITES,
    "robotwin": tuple(robotwin_tasks.TASKS),
    "tabletop": tabletop.TASKS,
    "toy": tuple(toy_tasks.TASKS),
}
