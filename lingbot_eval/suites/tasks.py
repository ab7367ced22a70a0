"""Every suite's tasks, in the order that gives them their index."""

from __future__ import annotations

from collections.abc import Mapping

from lingbot_eval.envs import libero_tasks, robotwin_tasks, tabletop, testing

TASKS: Mapping[str, tuple[str, ...]] = {
    **libero_tasks.SUITES,
    "robotwin": tuple(robotwin_tasks.TASKS),
    "tabletop": tabletop.TASKS,
    "toy": tuple(testing.TASKS),
}
