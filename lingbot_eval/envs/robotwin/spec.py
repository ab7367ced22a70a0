"""This specification says what the environment of RoboTwin and tabletop speaks; it is known without either."""

from __future__ import annotations

from dataclasses import replace

from lingbot_eval.envs.robotwin import poses
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.robotwin import RoboTwinProtocol
from lingbot_eval.types import Column, EnvSpec, columns

CAMERAS = {"head": "head_camera", "left_wrist": "left_camera", "right_wrist": "right_camera"}
"""RoboTwin's name of each camera, by ours."""

SIZE = (240, 320)
"""Rows and columns of each camera's picture: RoboTwin's D435. Tabletop's cameras have the same."""

CHANNELS = (*range(7), 28, *range(7, 14), 29)
"""Left pose and gripper, right pose and gripper, among LingBot-VA's thirty."""

COMMANDS_PER_SECOND = 250 / 15
"""RoboTwin samples its demonstrations every 15 physics steps of 1/250 s (``save_freq``). A command takes as long as its
path needs, so this is a nominal rate: of videos."""

LOW, HIGH = (-1.5, -1.5, 0.0), (1.5, 1.5, 2.0)
"""Metres, world frame: around the table, which is at z = 0.74, with room to spare for both arms."""

FARTHEST = 1.5
"""Metres that a hand can move away from where it starts, and then some."""

STILL = (*poses.STILL, 1.0, *poses.STILL, 1.0)
"""The relative command for staying where the episode began, which is with open grippers."""


def env_spec(settings: EnvSettings) -> EnvSpec:
    """Return what ``make_env`` gives under these settings: ``RoboTwinEnv``, or ``RelativePose`` around it where the
    protocol's commands are relative.

    Raises BadInput for another benchmark's protocol.
    """
    spec, protocol = absolute_spec(settings), settings.protocol
    return relative_spec(spec) if isinstance(protocol, RoboTwinProtocol) and protocol.commands == "relative" else spec


def absolute_spec(settings: EnvSettings) -> EnvSpec:
    """Return what ``RoboTwinEnv`` speaks: commands in the world frame, laid out as the state.

    Raises BadInput for another benchmark's protocol.
    """
    if not isinstance(settings.protocol, RoboTwinProtocol):
        raise BadInput(
            f"RoboTwin and tabletop are played under protocols of their own, not under {settings.protocol.name}"
        )
    low, high = _bounds(LOW, HIGH)
    return EnvSpec(
        cameras=dict.fromkeys(CAMERAS, SIZE) if settings.cameras else {},
        columns=_both_arms("qw qx qy qz"),
        low=low,
        high=high,
        state=_both_arms("qw qx qy qz"),
        commands_per_second=COMMANDS_PER_SECOND,
        commands_per_action=settings.commands_per_action,
        channels=CHANNELS,
        conventions={
            "command": "absolute end-effector poses, world frame, quaternion w first",
            "gripper": "0 closed .. 1 open",
            "state": "as an absolute command; poses measured, grippers as commanded",
            "success": settings.protocol.success,
        },
    )


def relative_spec(spec: EnvSpec) -> EnvSpec:
    """Return what ``RelativePose`` speaks around an environment of ``spec``: the same states, and commands relative to
    the episode's first. ``q1`` to ``q4`` are LingBot-VA's raw numbers, whose identity is (0, 0, 0, 1) (``poses.py``).
    """
    low, high = _bounds((-FARTHEST,) * 3, (FARTHEST,) * 3)
    words = {**spec.conventions, "command": "relative to the first state: LingBot-VA's raw four-number algebra"}
    return replace(spec, columns=_both_arms("q1 q2 q3 q4"), low=low, high=high, conventions=words, idle=STILL)


def _both_arms(quaternion: str) -> tuple[Column, ...]:
    """(16,): per arm, left first, the position, the quaternion's four numbers by these names, and the gripper."""
    found: tuple[Column, ...] = ()
    for side in ("left", "right"):
        for names, unit in (("x y z", "m"), (quaternion, "1"), ("gripper", "0 closed .. 1 open")):
            found += columns(" ".join(f"{side}_{name}" for name in names.split()), unit)
    return found


def _bounds(low: tuple[float, ...], high: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(16,) twice: the least and the largest command with positions between ``low`` and ``high`` (3,), in metres."""
    return (*low, *(-1.0,) * 4, 0.0) * 2, (*high, *(1.0,) * 4, 1.0) * 2
