"""A simulator whose expert follows its paths at another pace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from lingbot_eval.envs.robotwin.paced import paced
from lingbot_eval.envs.robotwin.thinned import Waypoints, thinned
from lingbot_eval.settings.pace import Pace


class Rehearses(Protocol):
    """A simulator with an expert whose path is known beforehand."""

    def rehearse(self, change: Callable[[Waypoints, np.random.Generator], Waypoints]) -> Waypoints: ...


class PacedPaths:
    """A simulator whose expert's paths are :func:`thinned`, or :func:`paced`."""

    def __init__(self, domain: Rehearses, pace: Pace) -> None:
        self._domain, self._pace = domain, pace

    def rehearse(self) -> Waypoints:
        return self._domain.rehearse(self._changed)

    def _changed(self, path: Waypoints, generator: np.random.Generator) -> Waypoints:
        pace = self._pace
        if pace.beat == 1 and not pace.stray:
            return thinned(path, pace.waypoints_per_command)
        return paced(path, pace, generator)
