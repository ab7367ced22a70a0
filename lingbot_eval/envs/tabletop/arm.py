"""An arm in a scene knows where its end effector is and which joints a pose needs, and drives them.

A pose of the end effector is (7,), world frame: xyz in metres, then a unit quaternion, w first. Its x axis is the
approach, its y axis the opening of the fingers; its origin is BEHIND metres behind the point between the fingertips.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sapien
import yaml

from lingbot_eval.envs.robotwin import ik
from lingbot_eval.envs.robotwin.ik import Array
from lingbot_eval.envs.tabletop.scene import RATE, Scene

EMBODIMENT = Path(__file__).parent / "embodiment"
"""The folder of the arm; RoboTwin takes it as an embodiment."""

BEHIND = 0.12  # RoboTwin's envs/robot/robot.py
APART = 0.7
"""Metres between the arms' bases."""

STIFFNESS, DAMPING = 2000.0, 120.0
"""Stiffness and damping of the arm's drives. With a velocity target these follow closely; RoboTwin's 1000 and 200
without one lag by a fifth of a second."""

GRIPPER_STIFFNESS, GRIPPER_DAMPING, GRIPPER_FORCE = 1000.0, 100.0, 40.0
"""The force, in newtons, carries some kilograms by friction and squeezes no block out of the grip."""

SPEED = 1.5
"""The speed of the fastest joint, rad/s."""

SHORTEST, CLOSING = 10, 50
"""A command takes at least this many physics steps, and this many if it opens or closes the gripper the whole way."""


class Arm:
    """One arm; ``joints`` (7,) in radians and ``gripper`` (0 closed .. 1 open) are its drives' present targets."""

    def __init__(self, scene: Scene, side: str) -> None:
        config = _config()
        articulation = scene.load(EMBODIMENT / config["urdf_path"])
        articulation.name = side
        x, y, z, *turn = config["robot_pose"][0]
        x += APART / 2 if side == "right" else -APART / 2
        self._base = sapien.Pose([x, y, z], turn)
        articulation.set_root_pose(self._base)
        self._joints = articulation.get_active_joints()
        self._hand = articulation.find_link_by_name(config["move_group"][0]).entity
        self._camera = articulation.find_link_by_name("camera").entity
        self._opened = config["gripper_scale"][1]
        for link in articulation.links:
            link.disable_gravity = True
        for joint in self._joints[:7]:
            joint.set_drive_properties(STIFFNESS, DAMPING)
        for joint in self._joints[7:]:
            joint.set_drive_properties(GRIPPER_STIFFNESS, GRIPPER_DAMPING, GRIPPER_FORCE)
        self._to_end_effector = _end_effector(config)
        self.solver = solver()
        home = np.array(config["homestate"][0])
        articulation.set_qpos(np.concatenate([home, [self._opened] * 2]))
        self._drive(home, np.zeros(7), 1.0)

    @property
    def pose(self) -> Array:
        """Return where the end effector is, (7,), world frame."""
        pose = self._hand.pose * self._to_end_effector
        return np.concatenate([pose.p, pose.q], dtype=np.float64)

    @property
    def camera(self) -> Any:
        """Return the wrist camera's pose, world frame."""
        return self._camera.pose

    def solve(self, pose: Array) -> Array | None:
        """Return (7,) joints in radians for the end effector at ``pose``, near the present targets; None if there are
        none."""
        length = np.linalg.norm(pose[3:])
        if length < 1e-6:
            return None
        hand = self._base.inv() * sapien.Pose(pose[:3], pose[3:] / length) * self._to_end_effector.inv()
        return self.solver.inverse(np.concatenate([hand.p, hand.q], dtype=np.float64), self.joints)

    def aim(self, command: Array) -> bool:
        """Plan half a command, (8,) pose and gripper. Return False if the pose has no joints: the arm will hold."""
        joints = self.solve(command[:7])
        self._from = np.append(self.joints, self.gripper)
        self._to = np.append(self.joints if joints is None else joints, np.clip(command[7], 0.0, 1.0))
        return joints is not None

    @property
    def duration(self) -> int:
        """Return how many physics steps it takes to get to what is aimed at."""
        far = np.abs(self._to - self._from)
        return int(np.ceil(max(SHORTEST, far[:7].max() / SPEED * RATE, far[7] * CLOSING)))

    def advance(self, k: int, count: int) -> None:
        """Drive to where the arm should be after ``k`` of ``count`` steps, straight in its joints."""
        way = self._to - self._from
        # At the end it is told to stand: the command may be the last.
        velocity = way[:7] * (RATE / count) if k < count else np.zeros(7)
        target = self._from + way * (k / count)
        self._drive(target[:7], velocity, float(target[7]))

    def _drive(self, joints: Array, velocity: Array, gripper: float) -> None:
        self.joints, self.gripper = joints, gripper
        for joint, target, speed in zip(self._joints[:7], joints, velocity, strict=True):
            joint.set_drive_target(target)
            joint.set_drive_velocity_target(speed)
        for joint in self._joints[7:]:
            joint.set_drive_target(gripper * self._opened)


@cache
def solver() -> ik.Arm:
    """Return both arms' kinematics, one object per process."""
    config = _config()
    urdf, srdf = EMBODIMENT / config["urdf_path"], EMBODIMENT / config["srdf_path"]
    return ik.Arm(urdf, srdf, config["move_group"][0], speed=SPEED, acceleration=4.0)


@cache
def _config() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((EMBODIMENT / "config.yml").read_text())
    return config


def _end_effector(config: dict[str, Any]) -> Any:
    """Return the end effector's pose in the hand's frame."""
    matrix = np.eye(4)
    matrix[:3, :3] = config["delta_matrix"]
    matrix[:3, 3] = matrix[:3, 0] * (config["gripper_bias"] - BEHIND)
    return sapien.Pose(matrix)
