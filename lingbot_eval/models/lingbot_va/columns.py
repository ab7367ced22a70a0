"""Says what the shared action channels mean to a benchmark's robot, for people: names, units, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """Describes one channel of a robot's commands."""

    name: str
    unit: str
    group: str
    """Channels of one group have one unit and are read together."""


def _columns(names: str, unit: str, group: str) -> list[Column]:
    return [Column(name, unit, group) for name in names.split()]


def _arm(side: str) -> list[Column]:
    """Return the channels of its pose. The quaternion is four numbers in the order of the checkpoint's data."""
    position = _columns(f"{side}_x {side}_y {side}_z", "m", f"{side} arm, position")
    rotation = _columns(f"{side}_q1 {side}_q2 {side}_q3 {side}_q4", "1", f"{side} arm, quaternion")
    return position + rotation


_GRIPPERS = _columns("left_gripper right_gripper", "0 closed .. 1 open", "gripper")
_TWO_ARMS = {**dict(enumerate(_arm("left") + _arm("right"))), 28: _GRIPPERS[0], 29: _GRIPPERS[1]}

COLUMNS: Mapping[str, Mapping[int, Column]] = {
    # LIBERO's OSC_POSE, envs/libero/env.py
    "libero": dict(
        enumerate(
            _columns("x y z", "1 = 5 cm", "move, world frame")
            + _columns("rx ry rz", "1 = 0.5 rad", "turn, axis-angle")
            + _columns("gripper", "-1 open .. 1 closed", "gripper")
        )
    ),
    "robotwin": _TWO_ARMS,  # relative to the first pose
    "franka": _TWO_ARMS,
    "demo": dict(enumerate(_columns("joint1 joint2 joint3 joint4 joint5", "robot units", "joints")))
    | {28: Column("gripper", "robot units", "gripper")},
}
"""These are the shared channels of each benchmark, by number."""

COMMANDS_PER_SECOND: Mapping[str, float] = {"libero": 20.0}
"""Here commands have a fixed rate that is known; RoboTwin plans a path for each command."""


def columns(benchmark: str, channels: Sequence[int]) -> list[Column]:
    """Return what the command columns are; a channel that the benchmark's robot lacks is called by its number."""
    known = COLUMNS[benchmark]
    return [known.get(channel, Column(f"channel{channel}", "robot units", "other channels")) for channel in channels]
