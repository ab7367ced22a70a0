"""What LiberoEnv does by its protocol, on a small LIBERO: which calls, in which order, with which numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image as Pillow

from lingbot_eval.envs.libero import env as libero
from lingbot_eval.envs.libero.camera import developed
from lingbot_eval.envs.libero.env import LiberoEnv, as_commanded, state_of
from lingbot_eval.envs.libero.seeding import Seeding
from lingbot_eval.envs.libero.spec import CAMERAS
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.libero import LiberoProtocol, LiberoSettings
from lingbot_eval.suites import load_protocol
from tests.envs.libero.small import MARK, STATES, SmallControl, SmallDomain, quat2axisangle, small_libero

RIGHT = np.float32([[1.0, 0, 0, 0, 0, 0, 0.25]])
"""5 cm to the right, with a gripper number that is no whole one."""


def preset(name: str = "lingbot-va", **changes: Any) -> LiberoProtocol:
    protocol = msgspec.structs.replace(load_protocol("libero", name), **changes)
    assert isinstance(protocol, LiberoProtocol)
    return protocol


@pytest.fixture
def made(monkeypatch):
    """Makes environments on the small LIBERO."""
    monkeypatch.setattr(libero, "_libero", small_libero)

    def make(name: str = "lingbot-va", count: int = 1, suite: str = "libero_10", **changes: Any) -> LiberoEnv:
        return LiberoEnv(
            EnvSettings(
                simulator=LiberoSettings(assets=None, download=False, gl="auto", python=None),
                protocol=preset(name, **changes),
                suite=suite,
                task="small",
                commands_per_action=count,
                cameras=False,
                render=False,
            )
        )

    return make


def events(env: LiberoEnv, kind: str) -> list[Any]:
    return [what for name, what in env.domain.events if name == kind]


@pytest.mark.parametrize(
    ("name", "count", "gripper"),
    [("lingbot-va", 5, 0.0), ("strict", 5, 0.0), ("openpi", 10, -1.0), ("lerobot", 10, -1.0), ("vla-eval", 10, -1.0)],
)
def test_an_episode_begins_with_a_reset_a_stored_state_and_the_presets_warm_up(made, name, count, gripper):
    """client.py:65-69 @ 7c6ffa9, main.py:17, 93-111 @ 15a9616, libero.py:92, 343-352 @ 7427f31, benchmark.py:46,
    203-212 @ e1ee9ad; the first look comes after it, and it is not counted."""
    env = made(name)
    observation, info = env.reset(seed=0, options={"initial_state": 7, "index": 0})
    assert [kind for kind, _ in env.domain.events] == ["reset", "state", *["command"] * count]
    assert events(env, "state") == [STATES[7, 0]]
    np.testing.assert_array_equal(events(env, "command"), [[0, 0, 0, 0, 0, 0, gripper]] * count)
    assert (info["commands"], info["progress"]) == (0, 0)
    np.testing.assert_allclose(observation["state"][:3], [STATES[7, 0], 0.2, 0.3])


def test_the_first_look_comes_after_the_warm_up_and_its_success_does_not_count(made):
    env = made(warmup_command=(5.0, 0, 0, 0, 0, 0, 0), warmup_count=4)
    observation, info = env.reset(seed=0, options={"initial_state": 0})
    assert observation["state"][0] == np.float32(MARK)
    assert info["commands"] == 0
    env.step(RIGHT * 0)


def test_success_is_asked_after_every_command_of_an_action_and_ends_it(made):
    env = made(count=4)
    env.reset(seed=0, options={"initial_state": 0})
    action = np.repeat(RIGHT * [4, 0, 0, 0, 0, 0, 0], 4, axis=0).astype(np.float32)  # passes the mark at the fifth
    assert env.step(action)[2] is False
    _, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["commands"], info["progress"]) == (1.0, True, False, 5, 1)


def test_the_limit_is_the_suites_own_and_a_success_at_it_counts(made):
    limit = {"libero_spatial": 3, "libero_object": 9, "libero_goal": 9, "libero_10": 20}
    env = made(suite="libero_spatial", command_limit=limit)
    env.reset(seed=0, options={"initial_state": 0})
    assert [env.step(RIGHT)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env = made(command_limit=limit)
    env.reset(seed=0, options={"initial_state": 0})
    assert [env.step(RIGHT)[2:4] for _ in range(20)][-1] == (True, False)


def test_progress_is_the_most_that_held_at_once(made):
    env = made()
    env.reset(seed=0, options={"initial_state": 0})
    info = [env.step(RIGHT * np.float32(push))[4] for push in (10, 20, -20)]
    assert [step["progress"] for step in info] == [0, 1, 1]
    assert {step["max_progress"] for step in info} == {2}


@pytest.mark.parametrize(
    ("name", "given", "sent"),
    [
        *[
            (name, g, g)
            for name in ("lingbot-va", "strict", "openpi", "lerobot")
            for g in (-3.0, -0.25, 0.0, 0.25, 3.0)
        ],
        *[("vla-eval", -3.0, -1.0), ("vla-eval", -0.25, -1.0), ("vla-eval", 0.0, 1.0), ("vla-eval", 0.25, 1.0)],
    ],
)
def test_the_gripper_goes_to_the_simulator_as_the_preset_says_and_the_rest_unchanged(made, name, given, sent):
    """benchmark.py:229-232 @ e1ee9ad: below 0 is -1, all else +1. The others change nothing."""
    env = made(name)
    env.reset(seed=0, options={"initial_state": 0})
    env.step(np.float32([[1.5, -0.25, 0.5, -2, 0, 0.125, given]]))
    command = events(env, "command")[-1]
    assert command.dtype == np.float64
    np.testing.assert_array_equal(command, [1.5, -0.25, 0.5, -2, 0, 0.125, sent])


def test_a_command_reaches_the_simulator_with_the_value_it_has_in_float32():
    command = np.float32([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    np.testing.assert_array_equal(as_commanded(command, "raw"), command.astype(np.float64))


@pytest.mark.parametrize(("name", "sign"), [("lingbot-va", 1), ("openpi", 1), ("lerobot", 1), ("vla-eval", -1)])
def test_the_state_is_position_axis_angle_and_fingers_with_the_presets_sign(name, sign):
    """main.py:133-139, 199-214 @ 15a9616, env_processor.py:75, 140-151 @ 7427f31: w as it comes. rotation.py:142 @
    e1ee9ad: w >= 0."""
    sample = SmallControl()._sample()
    state = state_of(sample, preset(name).state_quaternion, quat2axisangle)
    w = sample["robot0_eef_quat"][3] * sign
    turned = 2 * np.arccos(w) * sign * np.array([0, 0, 0.6]) / np.sqrt(1 - w * w)
    assert state.dtype == np.float32
    np.testing.assert_allclose(state, [0, 0.2, 0.3, *turned, 0.04, -0.04], rtol=1e-6)


def test_a_quaternion_whose_scalar_is_positive_keeps_its_sign_under_either_rule():
    sample = {**SmallControl()._sample(), "robot0_eef_quat": np.array([-0.6, 0.0, 0.0, 0.8])}
    both = [state_of(sample, sign, quat2axisangle) for sign in ("raw", "canonical")]
    np.testing.assert_array_equal(*both)
    assert both[0][3] < 0


PICTURE = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
(TOP_LEFT, TOP_RIGHT), (BOTTOM_LEFT, BOTTOM_RIGHT) = PICTURE


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("lingbot-va", [[BOTTOM_LEFT, BOTTOM_RIGHT], [TOP_LEFT, TOP_RIGHT]]),
        ("strict", [[BOTTOM_LEFT, BOTTOM_RIGHT], [TOP_LEFT, TOP_RIGHT]]),
        ("openpi", [[BOTTOM_RIGHT, BOTTOM_LEFT], [TOP_RIGHT, TOP_LEFT]]),
        ("lerobot", [[BOTTOM_RIGHT, BOTTOM_LEFT], [TOP_RIGHT, TOP_LEFT]]),
        ("vla-eval", [[BOTTOM_RIGHT, BOTTOM_LEFT], [TOP_RIGHT, TOP_LEFT]]),
    ],
)
def test_the_picture_is_turned_as_the_original_turns_it(name, shown):
    """client.py:59 @ 7c6ffa9: [::-1]. main.py:115 @ 15a9616, env_processor.py:59 @ 7427f31, utils.py:50 @ e1ee9ad:
    [::-1, ::-1]."""
    np.testing.assert_array_equal(developed(PICTURE, preset(name, resize=None)), shown)
    np.testing.assert_array_equal(developed(PICTURE, preset(name, flip="none", resize=None)), PICTURE)


def test_openpis_pictures_are_resized_with_pillows_bilinear_filter():
    """image_tools.py:37-58 @ 15a9616: a square picture gets no padding."""
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    shown = developed(picture, preset("openpi"))
    wanted = Pillow.fromarray(np.ascontiguousarray(picture[::-1, ::-1])).resize((224, 224), resample=Pillow.BILINEAR)
    np.testing.assert_array_equal(shown, np.asarray(wanted))


def test_the_cameras_are_libero_s_two_the_scene_first():
    """client.py:59-61 @ 7c6ffa9, main.py:115-116 @ 15a9616."""
    assert list(CAMERAS.items()) == [("head", "agentview"), ("wrist", "robot0_eye_in_hand")]


def test_a_commands_seven_numbers_are_the_models_first_seven_channels(made):
    assert made().env_spec.channels == (0, 1, 2, 3, 4, 5, 6)
    assert made().env_spec.commands_per_second == 20.0
    assert made().env_spec.idle == (0.0,) * 7


@pytest.mark.parametrize(
    ("name", "draws"),
    [("lingbot-va", [1, 1, 1]), ("strict", [1, 1, 1]), ("lerobot", [2, 3, 4]), ("openpi", [1, 2, 3])],
)
def test_episode_k_draws_as_the_preset_would_have_it_in_whatever_order_episodes_are_played(name, draws):
    """Before the fixtures' place one draw for each initializer, whose number grows with every reset of a kept
    environment; strict, lingbot-va and lerobot seed before each episode, openpi once (its k-th goes on where the one
    before stopped)."""
    protocol, places = preset(name), {}
    for order in ([0, 1, 2], [2, 0, 1]):
        domain = SmallDomain()
        seeding = Seeding(protocol, domain, domain.reset)
        for k in order:
            seeding.reset(11, k)
            places.setdefault(k, set()).add(domain.fixture)
    if name == "openpi":
        stream = np.random.RandomState(11).uniform(size=20)
        ends = np.cumsum([count + 1 for count in draws])
        expected = [stream[end - 1] for end in ends]
    else:
        expected = [np.random.RandomState(11).uniform(size=count + 1)[-1] for count in draws]
    assert [places[k] for k in range(3)] == [{value} for value in expected]


def test_a_soft_reset_leaves_no_initializer_and_lets_the_gripper_go(made):
    env = made("openpi", reset="soft")
    env.reset(seed=7, options={"initial_state": 0, "index": 0})
    env.step(RIGHT)
    env.reset(seed=7, options={"initial_state": 1, "index": 1})
    assert events(env, "reset")[-1] == [0.0]
    assert len(env.domain.object_property_initializers) == 1
    hard = made("openpi")
    hard.reset(seed=7, options={"initial_state": 0, "index": 0})
    hard.step(RIGHT)
    hard.reset(seed=7, options={"initial_state": 1, "index": 1})
    assert events(hard, "reset")[-1] != [0.0]  # robosuite's own hard reset makes a new gripper
    assert len(hard.domain.object_property_initializers) == 2


def test_an_episode_is_seeded_with_its_own_seed_and_k(made):
    env = made("strict")
    env.reset(seed=5, options={"initial_state": 0, "index": 3})
    assert env.domain.fixture == np.random.RandomState(5).uniform(size=2)[-1]
    kept = made("lerobot")
    kept.reset(seed=5, options={"initial_state": 0, "index": 3})
    assert kept.domain.fixture == np.random.RandomState(5).uniform(size=6)[-1]


def test_a_sampled_scene_is_the_one_that_the_reset_made_and_no_stored_one(made):
    env = made(initial_states="sampled", seeding="per-episode")
    env.reset(seed=5)
    env.reset(seed=6)
    env.reset(seed=5)
    first, second, again = events(env, "state")
    assert first == again != second
    assert not {first, second} & set(STATES[:, 0])
    with pytest.raises(BadInput, match="plays no stored state"):
        env.reset(seed=5, options={"initial_state": 3})
