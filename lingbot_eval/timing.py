"""Measure how long an environment and an agent take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from lingbot_eval.types import Action, Actions, Agent, Observation, Spent


class TimedEnv(gym.Wrapper[Observation, Action, Observation, Action]):
    """Adds up the ``seconds`` since the last reset began."""

    seconds = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        start = time.perf_counter()
        result = self.env.reset(seed=seed, options=options)
        self.seconds = time.perf_counter() - start
        return result

    def step(self, action: Action) -> tuple[Observation, Any, bool, bool, dict[str, Any]]:
        start = time.perf_counter()
        result = self.env.step(action)
        self.seconds += time.perf_counter() - start
        return result


class TimedAgent:
    """Adds up the ``seconds`` since the last reset began."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.seconds = 0.0

    def reset(self, instruction: str, *, seed: int) -> None:
        start = time.perf_counter()
        self.agent.reset(instruction, seed=seed)
        self.seconds = time.perf_counter() - start

    def act(self, frames: Sequence[Observation]) -> Actions:
        start = time.perf_counter()
        actions = self.agent.act(frames)
        self.seconds += time.perf_counter() - start
        return actions


def spent(env: TimedEnv, agent: TimedAgent) -> Spent:
    """Return where the wall time since the last reset went. An agent that waits for others says how long in an
    attribute ``waited``."""
    waited = float(getattr(agent.agent, "waited", 0.0))
    return Spent(model=agent.seconds - waited, simulator=env.seconds, waiting=waited)
