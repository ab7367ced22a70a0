from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mplib", reason="the tabletop extra is not installed")

from lingbot_eval.envs.robotwin import ik
from lingbot_eval.envs.tabletop.arm import solver
from lingbot_eval.envs.tabletop.tasks.rank_three import RankThree

HOME = np.array([0.0, 0.196, 0.0, -2.618, 0.0, 2.942, 0.785])


def off(one: ik.Array, other: ik.Array) -> float:
    """Metres and radians that two poses differ by, whichever is more."""
    return max(float(np.linalg.norm(one[:3] - other[:3])), ik.turn(one[3:], other[3:]))


def test_joints_lead_to_the_pose_they_were_found_for() -> None:
    generator, arm = np.random.default_rng(0), solver()
    low, high = arm._low, arm._high
    arm.restart(0)
    found = 0
    for _ in range(50):
        pose = arm.forward(generator.uniform(low * 0.9, high * 0.9))
        joints = arm.inverse(pose, HOME)
        if joints is not None:
            found += 1
            assert off(arm.forward(joints), pose) < 1e-3
            assert ((low - 2e-3 < joints) & (joints < high + 2e-3)).all()
    assert found >= 45  # restarts make it so; one attempt finds three in four


def test_a_pose_out_of_reach_has_no_joints_and_no_path() -> None:
    far = np.array([2.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.0])
    assert solver().inverse(far, HOME) is None
    assert solver().path(HOME, far) is None


def test_a_path_is_straight_in_space_and_its_timing_keeps_the_limits() -> None:
    arm, start = solver(), solver().forward(HOME)
    goal = start + np.array([0.15, 0.1, -0.1, 0, 0, 0, 0])
    path = arm.path(HOME, goal)
    assert path is not None
    towards = (goal - start)[:3] / np.linalg.norm((goal - start)[:3])
    for joints in path:
        away = arm.forward(joints)[:3] - start[:3]
        assert np.linalg.norm(away - (away @ towards) * towards) < 1e-3
    positions, velocities = arm.timed(path, 250.0)
    np.testing.assert_allclose(positions[0], HOME, atol=1e-6)
    np.testing.assert_allclose(positions[-1], path[-1], atol=1e-3)
    assert np.abs(velocities).max() < 1.5 * 1.01
    assert np.abs(velocities[[0, -1]]).max() < 0.05
    assert np.abs(np.diff(velocities, axis=0)).max() * 250 < 4.0 * 1.2


def test_a_path_to_where_the_arm_is_stands_still() -> None:
    positions, velocities = solver().timed(np.array([HOME, HOME]), 250.0)
    np.testing.assert_array_equal(positions, [HOME, HOME])
    assert not velocities.any()


def test_small_steps_need_no_restart() -> None:
    task, arm = RankThree(), solver()
    task.setup_demo(0, 0)
    task.play_once()
    assert task.plan_failures == 0
    joints = HOME
    for pose in ik.line(arm.forward(HOME), arm.forward(HOME) + np.array([0.2, 0.1, -0.1, 0, 0, 0, 0]), 20):
        found = arm.inverse(pose, joints, restarts=0)
        assert found is not None
        joints = found


def test_a_line_takes_the_short_way_round() -> None:
    start, end = np.array([0, 0, 0, 1.0, 0, 0, 0]), np.array([1.0, 0, 0, -np.cos(0.1), 0, 0, -np.sin(0.1)])
    poses = ik.line(start, end, 4)
    np.testing.assert_allclose(poses[:, 0], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose([ik.turn(start[3:], pose[3:]) for pose in poses], [0.05, 0.1, 0.15, 0.2], atol=1e-7)
