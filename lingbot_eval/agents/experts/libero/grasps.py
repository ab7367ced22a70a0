"""Top-down grasps for the Panda hand, found on a height map: cans, boxes, bowl rims and handles alike.

A candidate is a point, a closing direction and a depth. It stands if both open fingers come down beside the
object without touching anything, if the palm clears what is below it, and if something of the object is
between the pads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lingbot_eval.agents.experts.libero.scene import (
    PALM_ABOVE,
    PALM_ACROSS,
    PALM_ALONG,
    TIP_BELOW,
    Array,
    HeightMap,
    Scene,
)

FINGER_INSIDE, FINGER_OUTSIDE = 0.036, 0.058  # metres from the grip site, closing direction, when open
FINGER_ACROSS = 0.011  # metres, half a finger's width
WIDEST = 0.068  # of 0.080 between the open pads

DEPTHS = (0.012, 0.020, 0.028)  # metres below the top of what is grasped
WALL = 0.020  # metres; thinner than this is a rim or a handle, grasped shallowly
SLANT = 0.012  # metres that a held side may recede across a finger (28 degrees), or it slips out
TURNS = 24  # closing directions over half a turn
OFF = 0.006  # metres from the middle of what is held; the next cell does better
TURN_COST = 0.01  # per radian that the hand must turn
FAR_COST = 0.05  # per metre from the robot: a stretched arm strays
PALM_POINTS = 75
NEAR = 0.015, np.radians(20)  # grasps closer than this (metres, radians) are one grasp


@dataclass(frozen=True)
class Grasp:
    """``point`` (3,): where the grip site goes, metres, world frame; ``axis`` (2,): closing direction, unit,
    world xy; ``cost``: metres of lever arm, slant, width and wrong depth, roughly; less is better."""

    point: Array
    axis: Array
    cost: float


def plan_grasps(scene: Scene, root: int, count: int = 8) -> list[Grasp]:
    """Return up to ``count`` different grasps of body ``root``, best first."""
    cloud = scene.cloud(root)
    middle, base = (cloud.min(axis=0) + cloud.max(axis=0))[:2] / 2, float(cloud[:, 2].min())
    area = scene.height_map(root, margin=PALM_ALONG + 0.01)
    closing = scene.hand[:2, 0]
    ahead = np.arctan2(closing[1], closing[0])
    found: list[Grasp] = []
    for turn in np.pi * (np.arange(TURNS) / TURNS - 0.5):
        axis = np.array([np.cos(ahead + turn), np.sin(ahead + turn)])
        for grasp in (grasp for depth in DEPTHS for grasp in _along(area, axis, depth, middle, base)):
            strain = TURN_COST * abs(turn) + FAR_COST * float(np.linalg.norm(grasp.point[:2] - scene.robot))
            found.append(replace(grasp, cost=grasp.cost + strain))
    return _different(sorted(found, key=lambda grasp: grasp.cost), count)


def palm_points(grasp: Grasp) -> Array:
    """Return the points (PALM_POINTS, 2), world xy, that the palm covers in ``grasp``."""
    s, n = np.linspace(-PALM_ALONG, PALM_ALONG, PALM_POINTS // 5), np.linspace(-PALM_ACROSS, PALM_ACROSS, 5)
    normal = np.array([-grasp.axis[1], grasp.axis[0]])
    offsets = s[:, None, None] * grasp.axis + n[None, :, None] * normal
    return np.asarray(grasp.point[:2] + offsets.reshape(-1, 2))


def _along(area: HeightMap, axis: Array, depth: float, middle: Array, base: float) -> list[Grasp]:
    """Return the grasps that close along ``axis`` (2,) at one depth (metres below the local top).

    ``middle`` (2,) and ``base`` (metres) are the object's centre and the height it stands on.
    """
    cells = np.argwhere(area.own)[::2] * area.cell + area.corner  # every second cell is near enough
    normal = np.array([-axis[1], axis[0]])
    s = np.arange(-PALM_ALONG, PALM_ALONG + area.cell, area.cell)
    n = np.array([-PALM_ACROSS, -FINGER_ACROSS, 0.0, FINGER_ACROSS, PALM_ACROSS])
    offsets = s[:, None, None] * axis + n[:, None] * normal
    height, mine = area.at(cells[:, None, None, :] + offsets)  # (cells, s, n)
    z, own = height[:, :, 1:4], mine[:, :, 1:4]  # under the fingers; the outer lanes are under the palm

    between = (np.abs(s) < FINGER_INSIDE)[None, :, None]
    swept = (np.abs(s) < FINGER_OUTSIDE)[None, :, None]
    top = np.where(own & between, z, -np.inf).max(axis=(1, 2))
    grip = np.maximum(top - depth, base + TIP_BELOW + 0.003)
    level = grip[:, None, None]
    tip = level - TIP_BELOW
    touched = (z >= tip - 0.001) & swept & ~between | ~own & (z > tip) & swept
    held = own & (z > level + 0.002) & between
    cleared = (height < level + PALM_ABOVE).all(axis=(1, 2))
    fits = cleared & ~touched.any(axis=(1, 2)) & held[:, :, 1].any(axis=1)

    grasps = []
    for k in np.flatnonzero(fits):
        edges = np.array([s[lane][[0, -1]] for lane in held[k].T if lane.any()])  # (1 to 3, 2)
        width, slant, off = float(np.ptp(edges)) + area.cell, np.ptp(edges, axis=0), float(edges.mean())
        if width > WIDEST or abs(off) > OFF or slant.max() > SLANT:
            continue
        point = np.array([*(cells[k] + off * axis), grip[k]])
        wanted = DEPTHS[0] if width < WALL else min(DEPTHS[-1], (top[k] - base) / 2)
        arm = abs(float((point[:2] - middle) @ normal))
        cost = arm + 0.5 * float(slant.sum()) + 0.2 * width + abs(float(top[k] - grip[k]) - wanted)
        grasps.append(Grasp(point, axis, cost))
    return grasps


def _different(grasps: list[Grasp], count: int) -> list[Grasp]:
    """Return the first ``count`` of ``grasps`` that are not next to an earlier one."""
    kept: list[Grasp] = []
    for grasp in grasps:
        if len(kept) == count:
            break
        if not any(_alike(grasp, other) for other in kept):
            kept.append(grasp)
    return kept


def _alike(one: Grasp, other: Grasp) -> bool:
    turn = np.arccos(np.clip(abs(one.axis @ other.axis), 0, 1))
    return bool(np.linalg.norm(one.point - other.point) < NEAR[0] and turn < NEAR[1])
