"""The toy's expert knows where the point and the marks are."""

from __future__ import annotations

import numpy as np

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.types import Action


class Pusher:
    """The toy's expert goes towards the next mark, 5 cm per command."""

    def __init__(self, env: ReachEnv) -> None:
        self._env = env

    def reset(self) -> None:
        pass

    def command(self) -> Action:
        """Return how far to go now, (1,) float32, metres."""
        away = self._env._marks[self._env._reached] - self._env._position
        return np.clip(np.array([away], np.float32), -0.05, 0.05)
