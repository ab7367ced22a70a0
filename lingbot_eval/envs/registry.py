"""Gymnasium ids: ``lingbot_eval/LIBERO-<suite>-<task>-v0``, ``lingbot_eval/RoboTwin-<task>-v0`` and
``lingbot_eval/Tabletop-<task>-v0``, suites and tasks as the benchmarks name them."""

from __future__ import annotations

import gymnasium as gym

from lingbot_eval.envs import tabletop
from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.envs.robotwin.tasks import TASKS


def register() -> None:
    """Register every environment; none has ``max_episode_steps``, because each counts its own commands."""
    for suite, tasks in SUITES.items():
        for task in tasks:
            gym.register(
                id=f"lingbot_eval/LIBERO-{suite}-{task}-v0",
                entry_point="lingbot_eval.envs.remote:make_libero",
                kwargs={"suite": suite, "task": task},
            )
    for name, suite, protocol, names in (
        ("RoboTwin", "robotwin", "lingbot-va", TASKS),
        ("Tabletop", "tabletop", "tabletop", tabletop.TASKS),
    ):
        for task in names:
            gym.register(
                id=f"lingbot_eval/{name}-{task}-v0",
                entry_point="lingbot_eval.envs.robotwin.make:make_bimanual",
                kwargs={"suite": suite, "task": task, "protocol": protocol},
            )
