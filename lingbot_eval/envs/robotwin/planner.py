"""This planner serves RoboTwin without CuRobo and without a GPU, on mplib (``ik.py``).

It goes straight, in space where the arm can and in its joints where not. It avoids no obstacle, neither the table nor
the other arm, and it does not know CuRobo's constraints on a path. It is good for tasks with room above the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingbot_eval.envs.robotwin.checkout import read_yaml
from lingbot_eval.envs.robotwin.ik import Arm, Array, turn
from lingbot_eval.errors import NotReady

SPEED, ACCELERATION = 1.5, 4.0
"""rad/s, rad/s²: limits of every joint."""

RATE = 250.0
"""Hz: one waypoint per physics step, as RoboTwin's control loop takes them."""

GRIPPER_STEPS = 200
"""Physics steps in which a gripper opens or closes: envs/robot/planner.py, plan_grippers."""

NEAR_METRES, NEAR_RADIANS = 1e-3, 1e-2
"""RoboTwin and mplib may differ by this much about where the hand is."""


class Planner:
    """It takes the place of RoboTwin's CuroboPlanner, for one arm. Poses are the move group's last link, world
    frame."""

    def __init__(
        self, robot_origion_pose: Any, active_joints_name: Sequence[str], all_joints: Sequence[str], yml_path: str
    ) -> None:
        """Take what RoboTwin gives. ``yml_path`` is ``curobo.yml`` in the embodiment's folder; ``config.yml`` beside it
        is what is read."""
        folder = Path(yml_path).parent
        config = read_yaml(folder / "config.yml")
        side = 1 if "right" in Path(yml_path).name else 0
        self._base = robot_origion_pose
        self._columns = [list(all_joints).index(name) for name in active_joints_name]
        self._arm = Arm(
            folder / config["urdf_path"],
            folder / config["srdf_path"],
            config["move_group"][side],
            speed=SPEED,
            acceleration=ACCELERATION,
        )

    def restart(self, seed: int) -> None:
        """Make the following plans depend on nothing that was planned before."""
        self._arm.restart(seed)

    def check(self, joints: Any, link: Any) -> None:
        """Compare where the hand is, for mplib at ``joints`` and for RoboTwin (``link``, a sapien.Pose).

        Raises NotReady where they differ: every plan would then succeed and lead elsewhere.
        """
        found, expected = self._arm.forward(np.asarray(joints, np.float64)[self._columns]), self._in_base(link)
        distance, angle = np.linalg.norm(found[:3] - expected[:3]), turn(found[3:], expected[3:])
        if distance > NEAR_METRES or angle > NEAR_RADIANS:
            raise NotReady(
                f"env.planner=mplib does not fit this embodiment: it places the hand {1000 * distance:.0f} mm and "
                f"{np.degrees(angle):.0f} degrees from where RoboTwin has it; install CuRobo, or say "
                "env.embodiment=tabletop"
            )

    def plan_path(
        self, curr_joint_pos: Any, target_gripper_pose: Any, constraint_pose: Any = None, arms_tag: Any = None
    ) -> dict[str, Any]:
        """Return joint positions (t, n) in rad and velocities in rad/s for every physics step; status Success or
        Fail."""
        path = self._arm.path(self._own(curr_joint_pos), self._in_base(target_gripper_pose))
        if path is None:
            return {"status": "Fail"}
        positions, velocities = self._arm.timed(path, RATE)
        return {"status": "Success", "position": positions, "velocity": velocities}

    def plan_batch(
        self,
        curr_joint_pos: Any,
        target_gripper_pose_list: Sequence[Any],
        constraint_pose: Any = None,
        arms_tag: Any = None,
    ) -> dict[str, Any]:
        """Return which of the poses can be reached (status Success or Failure), and with which joints, (1, n) each."""
        near = self._own(curr_joint_pos)
        found: dict[bytes, Array | None] = {}  # RoboTwin asks for one pose several times where wrists may not turn
        poses = [self._in_base(pose).round(6) for pose in target_gripper_pose_list]
        for pose in poses:
            if pose.tobytes() not in found:
                found[pose.tobytes()] = self._arm.inverse(pose, near)
        joints = [found[pose.tobytes()] for pose in poses]
        return {
            "status": np.array(["Failure" if solution is None else "Success" for solution in joints], dtype=object),
            "position": [np.atleast_2d(near if solution is None else solution) for solution in joints],
            "velocity": [np.zeros((1, len(near))) for _ in joints],
        }

    def plan_grippers(self, now_val: float, target_val: float) -> dict[str, Any]:
        step = (target_val - now_val) / GRIPPER_STEPS
        path = np.linspace(now_val, target_val, GRIPPER_STEPS)
        return {"num_step": GRIPPER_STEPS, "per_step": step, "result": path}

    def _own(self, joints: Any) -> Array:
        """Return this arm's (n,) of all the robot's joints, within their limits."""
        return self._arm.within(np.asarray(joints, np.float64)[self._columns])

    def _in_base(self, pose: Any) -> Array:
        """Return the pose, (7,), in the frame of the arm's base."""
        inside = self._base.inv() * pose
        return np.concatenate([inside.p, inside.q], dtype=np.float64)
