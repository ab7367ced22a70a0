"""Tabletop's expert, in a model's commands: few of them, in the beat of its looks, and often from where it has erred.

A model meets states that no faultless demonstration has. Here hands are first led astray, beside the right place or
past it with a closed gripper; what is learnt begins where they are brought back. Nobody learns to go astray.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lingbot_eval.envs.robotwin.ik import Array, Vector, line, waypoints
from lingbot_eval.envs.tabletop.expert import CRUISE, Expert, Side, downward
from lingbot_eval.envs.tabletop.task import TabletopTask

METRES, RADIANS = 0.15, 0.9
"""How far a hand goes and turns per command."""

BEAT = 4
"""Commands of a latent frame: after so many the model looks and thinks anew."""

HOVER = 0.10
"""Metres above the table at which the fingertips of an empty hand stop before they come down: nearer than the expert's,
so that the wrist's camera shows the place in finer pixels."""

NEAR, LOWER, HIGHER = 0.12, 0.06, 0.12
"""A hand so many metres to the side of where it is to hover, and not farther below or above, comes down at once; one
that is farther, or that closed in vain and has to open, hovers first. With NEAR at 0.03 what a model does after its
first look was a toss-up: places that it takes for right are that far off."""

BOTH = 0.04
"""Metres that two hands at once hover lower than the expert's."""

STRAY = (0.015, 0.04)
"""Metres along x and y: deviations of the places beside; each is taken half of the time."""

ASIDE = 0.25
"""Radians, a deviation too: how hands are turned beside."""

MISSED = (0.02, 0.06)
"""Metres beside a place, from and to, at which a hand closes in vain."""


class Done(Exception):
    """The task has succeeded."""


class Anew(Exception):
    """Hands have gone astray, and the task begins where they are."""


class Demonstrator(Expert):
    """It is told to a task in place of its expert.

    ``astray`` is the number of the hover at which hands go astray, counted from 0; None: at none. ``given`` commands
    are then in :attr:`path` from which nothing is to be learnt, a multiple of BEAT.
    """

    def __init__(self, task: TabletopTask, command: Callable[[Array], bool], dice: Any, astray: int | None) -> None:
        """``command`` runs one, and says whether the task has succeeded."""

        def execute(one: Array) -> None:
            if command(one):
                raise Done

        super().__init__(execute, {side: arm.pose for side, arm in task.arms.items()}, task.scene.table)
        self._dice, self._astray = dice, astray
        self._hovers, self.given = 0, 0
        self._loaded = self._opens = False

    def pick(self, side: Side, at: Array, yaw: float, height: float = CRUISE) -> None:
        self._open_on_the_way(side)
        super().pick(side, at, yaw, height)
        self._loaded = True

    def place(self, side: Side, at: Vector, yaw: float) -> None:
        super().place(side, at, yaw)
        self._loaded = False

    def over(self, side: Side, at: Vector, yaw: float) -> None:
        height = CRUISE if self._loaded else HOVER
        self._hover({side: downward([*at[:2], self._table + height], yaw)})

    def reach(self, side: Side, at: Vector, yaw: float) -> None:
        self._there({side: downward(at, yaw)})

    def reach_both(self, left: Array, right: Array, yaw: float) -> None:
        goals: dict[Side, Array] = {"left": downward(left, yaw), "right": downward(right, yaw)}
        if not self._loaded and min(left[2], right[2]) > self._table + HOVER:
            self._open_on_the_way("left", "right")
            self._hover({side: _raised(goal, -BOTH) for side, goal in goals.items()})
        else:
            self._there(goals)

    def close(self, *sides: Side) -> None:
        super().close(*sides)
        self._loaded |= len(sides) == 2

    def _hover(self, goals: dict[Side, Array]) -> None:
        self._hovers += 1
        if self._hovers - 1 == self._astray:
            self._astray = None
            self._go_astray(goals)
        near = all(self._near(self._poses[side], goal) for side, goal in goals.items())
        if self._opens or not near:
            self._move(goals, beat=True)
        self._opens = False

    def _open_on_the_way(self, *sides: Side) -> None:
        self._opens = any(self._grippers[side] == 0.0 for side in sides)
        self._grippers.update(dict.fromkeys(sides, 1.0))

    def _near(self, pose: Array, goal: Array) -> bool:
        aside, up = np.linalg.norm(pose[:2] - goal[:2]), pose[2] - goal[2]
        return bool(aside < NEAR and -LOWER < up < HIGHER)

    def _there(self, goals: dict[Side, Array]) -> None:
        """Go there; what comes down is above the place by half of the way."""
        half = {side: self._half_way(side, goal) for side, goal in goals.items() if self._comes_down(side, goal)}
        if half:
            self._move({**goals, **half})
        self._move(goals)

    def _half_way(self, side: Side, goal: Array) -> Array:
        return np.array([*goal[:2], (goal[2] + self._poses[side][2]) / 2, *goal[3:]])

    def _comes_down(self, side: Side, goal: Array) -> bool:
        way = goal[:3] - self._poses[side][:3]
        return bool(way[2] < -0.02 and np.hypot(*way[:2]) < NEAR)

    def _go_astray(self, goals: dict[Side, Array]) -> None:
        """Hover beside, or close in vain there; whatever is done then begins at a look."""
        missed = not self._loaded and self._dice.random() < 0.4
        beside = {side: self._beside(goal, missed) for side, goal in goals.items()}
        self._move(beside, beat=not missed)
        if missed:
            self._grip(tuple(goals), 0.0)
            for farthest, nearest, beat in ((-0.08, -0.05, False), (0.0, 0.06, True)):
                ups = {side: float(self._dice.uniform(farthest, nearest)) for side in goals}
                self._move({side: _raised(pose, ups[side]) for side, pose in beside.items()}, beat=beat)
        self.given = len(self.path)
        if not self._loaded:
            raise Anew

    def _beside(self, goal: Array, missed: bool) -> Array:
        if missed:
            angle, far = self._dice.uniform(0, 2 * np.pi), self._dice.uniform(*MISSED)
            x, y = far * np.cos(angle), far * np.sin(angle)
        else:
            x, y = self._dice.normal(0.0, STRAY[self._dice.integers(2)], 2)
        up, half = self._dice.uniform(-0.03, 0.05), self._dice.normal(0.0, ASIDE) / 2
        w, turned = np.cos(half), np.sin(half)
        qw, qx, qy, qz = goal[3:]
        quaternion = [w * qw - turned * qz, w * qx - turned * qy, w * qy + turned * qx, w * qz + turned * qw]
        return np.array([goal[0] + x, goal[1] + y, goal[2] + up, *quaternion])

    def _grip(self, sides: Any, opening: float) -> None:
        self._grippers.update(dict.fromkeys(sides, opening))
        self._command()  # one takes as long as the fingers need

    def _go(self, goals: dict[Side, Array]) -> None:
        self._move(goals)

    def _move(self, goals: dict[Side, Array], beat: bool = False) -> None:
        """Go in a straight line; to the ``beat``, in as many commands as are left until the model looks."""
        starts = {side: self._poses[side] for side in goals}
        count = max(waypoints(starts[side], goal, METRES, RADIANS) for side, goal in goals.items())
        if beat:
            count += -(len(self.path) + count) % BEAT
        for poses in zip(*(line(starts[side], goal, count) for side, goal in goals.items()), strict=True):
            self._poses.update(zip(goals, poses, strict=True))
            self._command()


def _raised(pose: Array, metres: float) -> Array:
    return np.array([*pose[:2], pose[2] + metres, *pose[3:]])
