"""LIBERO's specification says what its environment speaks; it is known without LIBERO."""

from __future__ import annotations

from lingbot_eval.errors import BadInput
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.libero import LiberoProtocol
from lingbot_eval.types import EnvSpec, columns

CAMERAS = {"head": "agentview", "wrist": "robot0_eye_in_hand"}
"""LIBERO's name of each camera, by ours."""

COMMANDS_PER_SECOND = 20.0  # robosuite's control_freq, which LIBERO leaves at 20

COMMAND = columns("x y z", "1 = 5 cm") + columns("rx ry rz", "1 = 0.5 rad") + columns("gripper", "-1 open .. 1 closed")
"""OSC_POSE: the gripper's translation and its rotation as an axis-angle, both in the world frame, then the fingers."""

STATE = columns("x y z", "m") + columns("rx ry rz", "rad") + columns("finger_joint1 finger_joint2", "m")
"""The gripper's position and its orientation as an axis-angle, both in the world frame, then both finger positions."""


def env_spec(settings: EnvSettings) -> EnvSpec:
    """Return what ``LiberoEnv`` speaks under these settings.

    Raises BadInput for another benchmark's protocol.
    """
    protocol = settings.protocol
    if not isinstance(protocol, LiberoProtocol):
        raise BadInput(f"LIBERO is played under one of its own protocols, not under {protocol.name}")
    size = protocol.resize or protocol.render_size
    return EnvSpec(
        cameras=dict.fromkeys(CAMERAS, (size, size)) if settings.cameras else {},
        columns=COMMAND,
        low=(-1.0,) * 7,
        high=(1.0,) * 7,
        state=STATE,
        commands_per_second=COMMANDS_PER_SECOND,
        commands_per_action=settings.commands_per_action,
        channels=(0, 1, 2, 3, 4, 5, 6),
        conventions={
            "command": "OSC_POSE delta: world-frame translation (1 = 5 cm), axis-angle (1 = 0.5 rad)",
            "gripper": f"-1 open .. 1 closed, {protocol.gripper}",
            "picture": f"flip {protocol.flip} of LIBERO's picture",
            "state": "EE position (m), axis-angle (rad), finger positions (m), world frame",
        },
        idle=(0.0,) * 7,
    )
