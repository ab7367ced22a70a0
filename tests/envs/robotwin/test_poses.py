"""The composition of relative commands, held to scipy's algebra and to numbers that must not change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lingbot_eval.envs.robotwin.poses import ARMS, STILL, absolute, product, relative
from lingbot_eval.errors import BadAction

HOME = np.array([0.5, -0.5, 0.5, 0.5])  # w first, as RoboTwin's home pose points forward and down


def random_poses(count: int) -> np.ndarray:
    """(count, 16) commands with unit quaternions."""
    generator = np.random.default_rng(0)
    poses = generator.normal(size=(count, 16))
    for arm in ARMS:
        poses[:, arm][:, 3:7] /= np.linalg.norm(poses[:, arm][:, 3:7], axis=1, keepdims=True)
    return poses


def raw(four: np.ndarray) -> Rotation:
    """The rotation that scipy, and so LingBot-VA, sees in four raw numbers."""
    return Rotation.from_quat(four)


def w_first(four: np.ndarray) -> Rotation:
    """The rotation that RoboTwin means by its four numbers."""
    return Rotation.from_quat(np.roll(four, -1, axis=-1))


def test_the_composition_is_lingbot_vas_initial_times_delta_on_the_raw_numbers():
    for initial, delta in zip(random_poses(200), random_poses(400)[200:], strict=True):
        command = absolute(initial, delta)
        for arm in ARMS:
            expected = (raw(initial[arm][3:7]) * raw(delta[arm][3:7])).as_quat()
            np.testing.assert_allclose(command[arm][:3], initial[arm][:3] + delta[arm][:3], atol=1e-12)
            assert abs(command[arm][3:7] @ expected) == pytest.approx(1, abs=1e-12)
            assert command[arm][7] == delta[arm][7]


def test_the_composition_gives_these_very_numbers():
    """Made with scipy 1.17: R.from_quat(initial) * R.from_quat(delta), both raw."""
    delta = np.array([0.17364818, 0.0, 0.0, 0.98480775])  # 20 degrees, to LingBot-VA
    initial = np.concatenate([[0.1, 0.2, 0.9], HOME, [1.0]])
    command = absolute(np.tile(initial, 2), np.tile(np.concatenate([[0.01, 0.0, -0.02], delta, [0.5]]), 2))
    expected = [0.11, 0.2, 0.88, 0.57922797, -0.40557979, 0.57922797, 0.40557979, 0.5]
    np.testing.assert_allclose(command, np.tile(expected, 2), atol=1e-7)


def test_reordering_the_quaternion_as_seems_right_would_turn_the_hand_elsewhere():
    delta = raw(np.array([0.17364818, 0.0, 0.0, 0.98480775]))  # 20 degrees
    command = np.tile([0, 0, 0, *delta.as_quat(), 1], 2)
    errors = []
    for initial in random_poses(500):
        ours = w_first(absolute(initial, command)[3:7])
        reordered = w_first(initial[3:7]) * delta
        errors.append(np.degrees((ours.inv() * reordered).magnitude()))
    assert 25 < np.median(errors) < 30
    assert max(errors) > 35


def test_the_composition_turns_in_the_world_frame_about_a_mirrored_axis():
    """What the relabelling means physically: the initial pose, then a world-frame rotation by P v, v the delta's
    rotation vector."""
    mirror = np.array([[0, 0, -1], [0, 1, 0], [-1, 0, 0]])
    for initial, delta in zip(random_poses(200), random_poses(400)[200:], strict=True):
        ours = w_first(absolute(initial, delta)[3:7])
        expected = Rotation.from_rotvec(mirror @ raw(delta[3:7]).as_rotvec()) * w_first(initial[3:7])
        assert (ours.inv() * expected).magnitude() == pytest.approx(0, abs=1e-7)


def test_a_command_comes_back_from_its_relative_one():
    initial, wanted = random_poses(1)[0], random_poses(201)[1:]
    again = absolute(initial, relative(initial, wanted))
    for arm in ARMS:
        np.testing.assert_allclose(again[:, arm], wanted[:, arm], atol=1e-12)


def test_standing_still_is_the_algebras_identity_whose_scalar_is_last():
    initial = random_poses(1)[0]
    still = np.concatenate([STILL, initial[7:8], STILL, initial[15:]])
    np.testing.assert_allclose(absolute(initial, still), initial, atol=1e-12)
    np.testing.assert_allclose(product(np.array([0.0, 0, 0, 1]), HOME), HOME)


def test_a_quaternion_of_length_zero_is_refused():
    with pytest.raises(BadAction, match="length zero"):
        absolute(np.tile([0, 0, 0, 1.0, 0, 0, 0, 1], 2), np.zeros(16))
