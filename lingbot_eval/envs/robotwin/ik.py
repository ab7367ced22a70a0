"""Find an arm's joints for a pose, and its way there, with mplib's CLIK and restarts, straight lines, and TOPP.

What it does not do: it avoids no obstacle, neither the table nor the arm itself. CuRobo does; so a command that leads
through something is a collision here and a detour there, and records say which planner served.
Poses are (7,): xyz in metres, then a unit quaternion, w first, in the frame of the arm's base.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import mplib
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Vector = Sequence[float] | Array
"""A few numbers."""

STEP_METRES, STEP_RADIANS = 0.03, 0.15
"""Waypoints of a straight line are at most this far apart; CLIK converges from one to the next without a restart."""

JUMP = 0.6
"""Radians. A joint that moves more between two waypoints has changed its branch: that is no straight line."""


class Arm:
    """It is one arm's kinematics. ``link`` is the one whose pose is meant; its joints come first in the URDF."""

    def __init__(self, urdf: Path, srdf: Path, link: str, *, speed: float, acceleration: float) -> None:
        """``speed`` (rad/s) and ``acceleration`` (rad/s²) limit every joint in :meth:`timed`."""
        self._planner = mplib.Planner(urdf=urdf, srdf=srdf, move_group=link)
        self._count = count = len(self._planner.move_group_joint_indices)
        self._planner.joint_vel_limits, self._planner.joint_acc_limits = [speed] * count, [acceleration] * count
        self._model, self._link = self._planner.pinocchio_model, self._planner.link_name_2_idx[link]
        self._rest = np.zeros(len(self._planner.joint_limits) - count)  # fingers: in the model, not in the chain
        self._low, self._high = self._planner.joint_limits[:count].T
        self.restart(0)

    def restart(self, seed: int) -> None:
        """Seed the guesses of :meth:`inverse`: the same questions in the same order then get the same answers."""
        self._generator = np.random.default_rng(seed)

    def within(self, joints: Array) -> Array:
        """Return ``joints`` moved into the limits, which a drive may overshoot."""
        return np.asarray(np.clip(joints, self._low + 1e-4, self._high - 1e-4))

    def forward(self, joints: Array) -> Array:
        """Return the link's pose for (n,) joints in radians."""
        self._model.compute_forward_kinematics(np.concatenate([joints, self._rest]))
        pose = self._model.get_link_pose(self._link)
        return np.concatenate([pose.p, pose.q], dtype=np.float64)

    def inverse(self, pose: Array, near: Array, restarts: int = 12) -> Array | None:
        """Return (n,) joints in radians for ``pose``: what CLIK finds from ``near``, else the nearest that it finds
        from guesses around.

        None if there is none, or none was found.
        """
        goal = mplib.Pose(pose[:3], pose[3:])
        best: Array | None = None
        guess = near
        for attempt in range(restarts + 1):
            found, converged, _ = self._model.compute_IK_CLIK(self._link, goal, np.concatenate([guess, self._rest]), [])
            joints: Array = found[: self._count]
            if converged and self._planner.wrap_joint_limit(joints):
                if attempt == 0:
                    return joints
                if best is None or np.linalg.norm(joints - near) < np.linalg.norm(best - near):
                    best = joints
            spread = 0.3 + 0.1 * attempt
            guess = np.clip(near + self._generator.normal(0, spread, self._count), self._low, self._high)
        return best

    def path(self, start: Array, pose: Array) -> Array | None:
        """Return (m, n) joints from ``start`` to ``pose``: straight in space where the arm can, else straight in its
        joints.

        None if ``pose`` has no solution.
        """
        here, joints, straight = self.forward(start), start, [start]
        for waypoint in line(here, pose, waypoints(here, pose)):
            found = self.inverse(waypoint, joints, restarts=0)
            if found is None or np.abs(found - joints).max() > JUMP:
                break
            straight.append(joints := found)
        else:
            return np.array(straight)
        goal = self.inverse(pose, start)
        if goal is None:
            return None
        count = max(2, int(np.ceil(np.abs(goal - start).max() / STEP_RADIANS)))
        return start + np.linspace(0, 1, count + 1)[:, None] * (goal - start)

    def timed(self, path: Array, rate: float) -> tuple[Array, Array]:
        """Return positions (rad) and velocities (rad/s) at ``rate`` Hz along ``path`` (m, n), both (t, n), t >= 2: as
        fast as the limits allow (TOPP), at rest at both ends; at even speed where TOPP finds no timing, as it does for
        paths of a tenth of a milliradian."""
        moved = np.abs(np.diff(path, axis=0)).max(axis=1) > 1e-6
        path = path[np.concatenate([[True], moved])]  # TOPP's spline wants no point twice
        if len(path) > 1 and np.abs(path[-1] - path[0]).max() > 1e-4:
            with contextlib.suppress(RuntimeError):
                _, positions, velocities, _, _ = self._planner.TOPP(path, 1 / rate)
                if len(positions) > 1:
                    return positions, velocities
        seconds = np.abs(np.diff(path, axis=0)).max(axis=1, initial=0).sum() / self._planner.joint_vel_limits[0]
        at = np.linspace(0, len(path) - 1, max(2, int(np.ceil(rate * seconds))))
        even = np.column_stack([np.interp(at, np.arange(len(path)), column) for column in path.T])
        return even, np.zeros_like(even)


def waypoints(start: Array, end: Array, metres: float = STEP_METRES, radians: float = STEP_RADIANS) -> int:
    """Return how many steps of at most ``metres`` and ``radians`` lead from one pose to the other; at least 1."""
    distance, angle = float(np.linalg.norm(end[:3] - start[:3])), turn(start[3:], end[3:])
    return max(1, int(np.ceil(max(distance / metres, angle / radians) - 1e-9)))


def line(start: Array, end: Array, count: int) -> Array:
    """Return (count, 7) poses at equal steps from ``start``, left out, to ``end``."""
    share = np.arange(1, count + 1)[:, None] / count
    return np.column_stack([start[:3] + share * (end[:3] - start[:3]), slerp(start[3:], end[3:], share)])


def turn(one: Array, other: Array) -> float:
    """Return the angle between two orientations, radians."""
    return float(2 * np.arccos(np.clip(abs(one @ other), 0, 1)))


def slerp(start: Array, end: Array, share: Array) -> Array:
    """Return (m, 4) unit quaternions on the short way from ``start`` to ``end`` (4,), at ``share`` (m, 1) of it."""
    end = end if start @ end >= 0 else -end
    half = turn(start, end) / 2
    if half < 1e-4:
        mixed = start + share * (end - start)
    else:
        mixed = (np.sin((1 - share) * half) * start + np.sin(share * half) * end) / np.sin(half)
    unit: Array = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return unit
