"""Gymnasium ids: ``lingbot_eval/LIBERO-<suite>-<task>-v0``, suite and task as LIBERO names them."""

from __future__ import annotations

import gymnasium as gym

from lingbot_eval.envs.libero_tasks import SUITES


def register() -> None:
    """Register every environment; none has ``max_episode_steps``, because each counts its own commands."""
    for suite, tasks in SUITES.items():
        for task in tasks:
            gym.register(
                id=f"lingbot_eval/LIBERO-{suite}-{task}-v0",
                entry_point="lingbot_eval.envs.remote:make_libero",
                kwargs={"suite": suite, "task": task},
            )
