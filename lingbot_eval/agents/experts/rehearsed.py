"""The expert of RoboTwin and tabletop is the task's own; its path is followed with an agent's commands."""

from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.types import Action


class Rehearsed:
    """It plays the scene to its end out of sight, has it set up again, and then gives the path's commands one by
    one."""

    def __init__(self, domain: Any) -> None:
        """Take the ``domain``, which is a RoboTwinEnv, or the RelativePose around one."""
        self._domain = domain

    def reset(self) -> None:
        self._path, self._next = self._domain.rehearse(), 0

    def command(self) -> Action:
        """Return the next command, (16,) float32; at the path's end, its last again."""
        self._next = min(self._next + 1, len(self._path))
        return np.asarray(self._path[self._next - 1], np.float32)
