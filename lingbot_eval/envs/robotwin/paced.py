"""A thinned path in the beat of a model's looks, on which hands stray: a model learns from it to look, and to mend.

What needs precision, a hand that comes down on something, should begin right after a look; and it should begin beside
the right place as often as a model will, or the model never learns what to do there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from lingbot_eval.envs.robotwin.thinned import Waypoints, ends, parts_of, shares
from lingbot_eval.settings.pace import Pace

LATERAL, DOWN = 0.01, 0.02
"""Metres: a hand that goes down farther than DOWN, and no farther than LATERAL to the side, comes down on something."""

STRAYS, FAR = 0.6, 3.0
"""A hand strays this often, and half of those times this many times as far."""

TURN = 6.0
"""Radians that a hand is turned for every metre of the distribution that it strays from."""

HANDS = (slice(0, 7), slice(8, 15))


def paced(path: Waypoints, pace: Pace, generator: np.random.Generator) -> Waypoints:
    """Return (m, 16): ``path``, in the world frame with quaternions w first, thinned as :func:`thinned` does it, where
    the way to above a place that a hand then comes down on takes as long as it needs to end at a multiple of
    ``pace.beat`` commands, and leads to beside it.

    ``pace.stray`` is in metres, of a normal distribution along x and along y. The coming down ends where it did, in two
    commands at least: what was missed above is mended by half of the way.
    """
    stretches = list(itertools.pairwise([-1, *ends(path)]))
    found: list[Waypoints] = []
    for number, (before, end) in enumerate(stretches):
        count = parts_of(path, before, end, pace.waypoints_per_command)
        if hands := [hand for hand in HANDS if _comes_down_next(path, stretches[number:], hand)]:
            count += -(sum(map(len, found)) + count) % pace.beat
        elif any(_down(path, before, end, hand) for hand in HANDS):
            count = max(count, 2)
        found.append(_strayed(path[shares(before, end, count)], hands, pace.stray, generator))
    return np.concatenate(found)


def _comes_down_next(path: Waypoints, stretches: Sequence[tuple[int, int]], hand: slice) -> bool:
    """Say whether ``hand`` moves in the first of ``stretches``, and comes down where it next moves."""
    if not _moves(path, *stretches[0], hand) or _down(path, *stretches[0], hand):
        return False
    later = [stretch for stretch in stretches[1:] if _moves(path, *stretch, hand)]
    return bool(later) and _down(path, *later[0], hand)


def _moves(path: Waypoints, before: int, end: int, hand: slice) -> bool:
    return bool(np.linalg.norm(_way(path, before, end, hand)) > LATERAL)


def _down(path: Waypoints, before: int, end: int, hand: slice) -> bool:
    x, y, z = _way(path, before, end, hand)
    return bool(z < -DOWN and np.hypot(x, y) < LATERAL)


def _way(path: Waypoints, before: int, end: int, hand: slice) -> Waypoints:
    """Return (3,); where a hand was before a path's first waypoint (``before`` -1) is not in it."""
    return path[end, hand][:3] - path[max(before, 0), hand][:3]


def _strayed(commands: Waypoints, hands: Sequence[slice], stray: float, generator: np.random.Generator) -> Waypoints:
    """Return (n, 16) commands that lead ever farther beside those of these ``hands``, and turn away from them."""
    for hand in hands:
        strays, far = generator.random(2)
        metres = stray * (FAR if far < 0.5 else 1.0) * (strays < STRAYS)
        x, y, angle = generator.normal(0.0, 1.0, 3) * (metres, metres, TURN * metres)
        for share, command in zip(np.linspace(0, 1, len(commands) + 1)[1:], commands, strict=True):
            pose = command[hand]
            pose[:2] += x * share, y * share
            pose[3:] = _turned(pose[3:], angle * share)
    return commands


def _turned(quaternion: Waypoints, angle: float) -> Waypoints:
    """Turn (4,), w first, about the world's z axis."""
    cosine, sine = np.cos(angle / 2), np.sin(angle / 2)
    w, x, y, z = quaternion
    return np.array([cosine * w - sine * z, cosine * x - sine * y, cosine * y + sine * x, cosine * z + sine * w])
