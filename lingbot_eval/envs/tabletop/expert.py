"""Every motion of the scripted expert is a sequence of ordinary commands, which it keeps.

It knows where things are, moves in straight lines and avoids nothing: tasks keep what is strewn about below CRUISE and
out of the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import sapien

from lingbot_eval.envs.robotwin.ik import Array, Vector, line, waypoints
from lingbot_eval.envs.tabletop.arm import BEHIND

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

STEP, TURN = 0.025, 0.15
"""How far a hand goes and turns per command, metres and radians."""

CRUISE = 0.16
"""Metres above the table at which the fingertips travel."""

DROP = 0.003
"""Metres above its place at which a thing is let go."""

DOWN = (0.5, -0.5, 0.5, 0.5)
"""The end effector of a hand that points down and whose fingers open along x; a quaternion, w first."""

WAIT = 6
"""Commands that a gripper is given to close on something and settle."""


class Expert:
    """It moves both arms by ``execute(command)``, (16,), from their poses in ``start``.

    Points are (3,), world, of the fingertips of a hand that points down; a yaw of 0 opens the fingers along x.
    """

    def __init__(self, execute: Callable[[Array], None], start: dict[Side, Array], table: float) -> None:
        self._execute, self._table = execute, table
        self._poses, self._home = dict(start), dict(start)
        self._grippers: dict[Side, float] = {"left": 1.0, "right": 1.0}
        self.path: list[Array] = []

    def pick(self, side: Side, at: Array, yaw: float, height: float = CRUISE) -> None:
        """Grasp at ``at`` from above, and lift to ``height`` metres above the table."""
        self.over(side, at, yaw)
        self.reach(side, at, yaw)
        self.close(side)
        self.reach(side, [*at[:2], self._table + height], yaw)

    def place(self, side: Side, at: Vector, yaw: float) -> None:
        """Carry what is held to ``at``, let go, and rise."""
        self.over(side, at, yaw)
        self.reach(side, [*at[:2], at[2] + DROP], yaw)
        self.open(side)
        self.over(side, at, yaw)

    def over(self, side: Side, at: Vector, yaw: float) -> None:
        """Go to CRUISE above ``at``, (2,) or (3,)."""
        self.reach(side, [*at[:2], self._table + CRUISE], yaw)

    def reach(self, side: Side, at: Vector, yaw: float) -> None:
        self._go({side: downward(at, yaw)})

    def reach_both(self, left: Array, right: Array, yaw: float) -> None:
        """Move both arms at once, in the same time."""
        self._go({"left": downward(left, yaw), "right": downward(right, yaw)})

    def close(self, *sides: Side) -> None:
        self._grip(sides, 0.0)

    def open(self, *sides: Side) -> None:
        self._grip(sides, 1.0)

    def go_home(self, side: Side) -> None:
        """Go up, then back to where the arm started."""
        raised = self._poses[side].copy()
        raised[2] = max(raised[2], self._table + CRUISE + BEHIND)
        self._go({side: raised})
        self._go({side: self._home[side]})

    def _grip(self, sides: Sequence[Side], opening: float) -> None:
        self._grippers.update(dict.fromkeys(sides, opening))
        for _ in range(WAIT):
            self._command()

    def _go(self, goals: dict[Side, Array]) -> None:
        starts = {side: self._poses[side] for side in goals}
        count = max(waypoints(starts[side], goal, STEP, TURN) for side, goal in goals.items())
        for poses in zip(*(line(starts[side], goal, count) for side, goal in goals.items()), strict=True):
            self._poses.update(zip(goals, poses, strict=True))
            self._command()

    def _command(self) -> None:
        parts: list[Array] = []
        for side in SIDES:
            parts += [self._poses[side], np.array([self._grippers[side]])]
        command = np.concatenate(parts)
        self.path.append(command)
        self._execute(command)


def other(side: Side) -> Side:
    return "right" if side == "left" else "left"


def downward(at: Vector, yaw: float) -> Array:
    """Return the pose (7,) of an end effector whose fingertips are at ``at`` and point down."""
    turned = sapien.Pose(q=[np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]) * sapien.Pose(q=DOWN)
    return np.array([*at[:2], at[2] + BEHIND, *turned.q], np.float64)
