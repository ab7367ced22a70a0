"""The expert of RoboTwin and tabletop is the task's own; its path is followed with an agent's commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.envs.robotwin.paths import PacedPaths
from lingbot_eval.settings.pace import AS_IT_IS, Pace
from lingbot_eval.types import Action


class Rehearsed:
    """It plays the scene to its end out of sight, has it set up again, and then gives the path's commands one by
    one."""

    def __init__(self, domain: Any, pace: Pace = AS_IT_IS) -> None:
        """Take the ``domain``, which is a RoboTwinEnv, or the RelativePose around one, and the ``pace`` at which the
        path is followed."""
        self._domain = domain if pace.usual else PacedPaths(domain, pace)

    def reset(self) -> None:
        self._path, self._next = self._domain.rehearse(), 0

    def command(self) -> Action:
        """Return the next command, (16,) float32; at the path's end, its last again."""
        self._next = min(self._next + 1, len(self._path))
        return np.asarray(self._path[self._next - 1], np.float32)
