"""A path that an expert plays in small waypoints, in fewer commands: for demonstrations that a model learns from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Waypoints = npt.NDArray[np.float64]
"""(n, 16): a path of two arms as RoboTwin and tabletop have it, left first, each a pose (xyz in metres, four quaternion
numbers) and a gripper (0 closed .. 1 open)."""

GRIPPERS = (7, 15)
"""The columns that are no pose."""

BEND = 0.25
"""A path turns where two of its motions, one after the other, differ by more than this share of the longer one. Along
an arc of 0.15 rad per waypoint they differ by 0.08, at the corners of tabletop's experts by 0.7 and more."""


LEAST = 1e-6
"""Metres, and numbers of a quaternion: what moves less stands. Poses that are made relative lose their last digits."""


def thinned(path: Waypoints, most: int) -> Waypoints:
    """Return (m, 16): one command for at most ``most`` of the path's waypoints (n, 16); 1 leaves it as it is.

    The end of every stretch stays, so that hands turn where they turned and grippers close where they closed. A stretch
    is cut into equal parts, and of one in which nothing moves, which gives a gripper time to close, the last waypoint
    stays alone: the command takes the simulator as long as the gripper needs.
    """
    if most == 1:
        return path
    kept, before = list[int](), -1
    for end in ends(path):
        kept += shares(before, end, parts_of(path, before, end, most))
        before = end
    return path[kept]


def parts_of(path: Waypoints, before: int, end: int, most: int) -> int:
    """Return in how many commands the stretch from the waypoint ``before`` it to its ``end`` is done."""
    return 1 if _stands(path, before, end) else -(-(end - before) // most)


def shares(before: int, end: int, parts: int) -> list[int]:
    """Return the last waypoint of each of ``parts`` equal parts of a stretch."""
    return [before + -(-part * (end - before) // parts) for part in range(1, parts + 1)]


def ends(path: Waypoints) -> list[int]:
    """Return the index of each stretch's last waypoint: the motion turns, begins or stops after it, or a gripper is
    told something else."""
    motions, grippers = np.diff(_poses(path), axis=0), path[:, GRIPPERS]
    lengths = np.linalg.norm(motions, axis=1)
    longer = np.maximum(lengths[1:], lengths[:-1])
    turned = np.linalg.norm(np.diff(motions, axis=0), axis=1) > np.maximum(BEND * longer, LEAST)
    gripped = (grippers[1:] != grippers[:-1]).any(axis=1)
    last = gripped.copy()
    last[1:] |= turned
    return [*np.flatnonzero(last).tolist(), len(path) - 1]


def _stands(path: Waypoints, before: int, end: int) -> bool:
    """Say whether no hand moves from the waypoint ``before`` a stretch (-1: there is none) to its ``end``."""
    poses = _poses(path[max(before, 0) : end + 1])
    return bool((np.abs(poses - poses[0]) < LEAST).all())


def _poses(path: Waypoints) -> Waypoints:
    return np.delete(path, GRIPPERS, axis=1)
