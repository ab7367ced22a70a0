"""What RoboTwinEnv does by its protocol, on a small task: which calls, in which order, with which numbers."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import numpy as np
import pytest

from lingbot_eval.envs.robotwin import env as robotwin
from lingbot_eval.envs.robotwin.env import RoboTwinEnv
from lingbot_eval.envs.robotwin.poses import absolute
from lingbot_eval.envs.robotwin.relative import RelativePose
from lingbot_eval.envs.robotwin.tasks import EXPERT_FIRST
from lingbot_eval.errors import BadInput, UnstableScene
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.robotwin import RoboTwinProtocol
from lingbot_eval.settings.tabletop import TabletopSettings
from lingbot_eval.suites import load_protocol
from tests.envs.robotwin.small_task import COLOURS, SmallTask, SmallTasks, Unstable


@pytest.fixture
def made(monkeypatch):
    """Makes environments on the small task."""
    monkeypatch.setattr(robotwin, "_suite", lambda _: (SmallTasks(), Unstable))

    def make(task: str = "small", cameras: bool = False, count: int = 1, **rules: Any) -> RoboTwinEnv:
        protocol = msgspec.structs.replace(load_protocol("robotwin", "lingbot-va"), **rules)
        assert isinstance(protocol, RoboTwinProtocol)
        return RoboTwinEnv(
            EnvSettings(
                simulator=TabletopSettings(python=None),
                protocol=protocol,
                suite="robotwin",
                task=task,
                commands_per_action=count,
                cameras=cameras,
                render=False,
            )
        )

    return make


def task(env: RoboTwinEnv) -> SmallTask:
    found: SmallTask = env._task
    return found


def to(env: RoboTwinEnv, *xs: float) -> np.ndarray:
    """(K, 16): the left hand goes to each x, all else stays."""
    commands = np.tile(task(env).hands, (len(xs), 1))
    commands[:, 0] = xs
    return commands.astype(np.float32)


def test_each_camera_shows_what_robotwin_s_camera_of_that_place_shows(made):
    """eval_polict_client_openpi.py:408-410 @ 6f092cb: cam_high, cam_left_wrist, cam_right_wrist."""
    env = made(cameras=True)
    observation, _ = env.reset(seed=0)
    theirs = {"head": "head_camera", "left_wrist": "left_camera", "right_wrist": "right_camera"}
    assert list(observation["images"]) == list(env.env_spec.cameras) == list(theirs)
    for name, camera in theirs.items():
        assert observation["images"][name].shape == env.observation_space["images"][name].shape == (240, 320, 3)
        assert tuple(observation["images"][name][0, 0]) == COLOURS[camera]


def test_the_sixteen_numbers_are_left_pose_left_gripper_right_pose_right_gripper(made):
    """eval_polict_client_openpi.py:533-536 @ 6f092cb, va_robotwin_cfg.py:33, 34 @ 6f092cb; envs/_base_task.py:1511-1520
    @ 2eeec322."""
    env = made()
    observation, _ = env.reset(seed=3)
    np.testing.assert_array_equal(observation["state"], task(env).hands.astype(np.float32))
    assert (observation["state"][7], observation["state"][15]) == (1.0, 0.0)
    assert env.env_spec.channels == (0, 1, 2, 3, 4, 5, 6, 28, 7, 8, 9, 10, 11, 12, 13, 29)
    env.step(to(env, 0.1))
    np.testing.assert_array_equal(task(env).commands[0], to(env, 0.1)[0])


def test_at_any_moment_a_hand_that_passes_the_mark_is_done_there(made):
    """envs/_base_task.py:1654-1662 @ 2eeec322."""
    env = made(success="any-moment")
    env.reset(seed=0)
    terminated = env.step(to(env, 0.6))[2]
    assert terminated
    assert abs(task(env).hands[0] - 0.25) < 0.01


def test_after_a_command_one_that_passed_the_mark_is_not_done_and_one_that_stops_there_is(made):
    env = made(success="after-command")
    env.reset(seed=0)
    assert env.step(to(env, 0.6))[2] is False
    assert task(env).hands[0] == pytest.approx(0.6)
    assert env.step(to(env, 0.25))[2] is True


def test_success_in_the_middle_of_an_action_ends_it_and_counts_the_commands_so_far(made):
    env = made(count=4)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(to(env, 0.0, 0.25, 0.0, 0.0))
    assert (reward, terminated, truncated, info["commands"]) == (1.0, True, False, 2)
    with pytest.raises(BadInput, match="over"):
        env.step(to(env, 0.0, 0.0, 0.0, 0.0))


def test_the_limit_is_the_tasks_own_unless_the_protocol_has_one_and_success_at_it_counts(made):
    for env, limit in ((made(), 7), (made(command_limit=3), 3)):
        env.reset(seed=0)
        assert [env.step(to(env, 0.0))[2:4] for _ in range(limit)] == [(False, False)] * (limit - 1) + [(False, True)]
        env.reset(seed=0)
        assert [env.step(to(env, x))[2:4] for x in [0.0] * (limit - 1) + [0.25]][-1] == (True, False)


def test_an_episode_is_a_test_scene_of_its_seed_with_both_generators_seeded(made):
    """eval_polict_client_openpi.py:487 @ 6f092cb: is_test=True."""
    env = made(cameras=True)
    env.reset(seed=21, options={"setting": "hard"})
    random.seed(0), np.random.seed(0)
    env.reset(seed=21)
    first, second = (call for call in task(env).asked if call[0] == "setup")
    same = {"now_ep_num": 0, "seed": 21, "is_test": True, "pictures": True}
    assert first[1] == {**same, "setting": "hard"}
    assert second[1] == {**same, "setting": "easy"}
    assert first[2:] == second[2:] == (random.Random(21).random(), np.random.RandomState(21).random_sample())  # noqa: S311


def test_only_tasks_whose_check_needs_it_have_their_expert_play_first_on_the_same_scene(made):
    """Found in RoboTwin's source at 2eeec322: attributes that check_success reads and only play_once sets."""
    assert EXPERT_FIRST == ("open_laptop", "place_object_scale", "put_object_cabinet")
    for name in ("stack_blocks_two", *EXPERT_FIRST):
        env = made(name)
        env.reset(seed=5)
        calls = [call[0] for call in task(env).asked]
        assert calls == (["setup", "play", "close", "setup"] if name in EXPERT_FIRST else ["setup"])
        assert {call[1]["seed"] for call in task(env).asked if call[0] == "setup"} == {5}


@pytest.mark.parametrize(
    ("seed", "outcome", "reason"),
    [
        (12, "solved", ""),
        (13, "unstable", "small easy 13: it rolled away"),
        (14, "unsolved", "the expert found no path"),
        (15, "unsolved", "the expert ended without success"),
    ],
)
def test_a_scene_counts_whose_expert_found_every_path_and_ended_with_success(made, seed, outcome, reason):
    """eval_polict_client_openpi.py:459-483 @ 6f092cb."""
    trial = made().audition(seed, "easy")
    assert (trial["outcome"], trial["reason"]) == (outcome, reason)
    assert {*trial["sentences"]} == ({"seen", "unseen"} if outcome == "solved" else set())


def test_a_seed_has_the_very_same_sentences_wherever_they_are_drawn(made):
    """One of each split, drawn by numpy's generator, seen first; both generators were seeded with the seed."""
    random.seed(1), np.random.seed(1)
    found = made().audition(12, "easy")["sentences"]
    random.seed(12), np.random.seed(12)
    lists = SmallTasks().sentences("small", {"{A}": "mark"})
    assert found == {split: str(np.random.choice(lists[split])) for split in ("seen", "unseen")}


def test_an_unstable_scene_is_no_episode(made):
    with pytest.raises(UnstableScene, match="small easy 13"):
        made().reset(seed=13)


def test_the_experts_path_is_found_without_playing_the_episode(made):
    env = made()
    env.reset(seed=5)
    path = env.rehearse()
    assert path.shape == (2, 16)
    assert task(env).hands[0] != pytest.approx(0.25)
    assert [call[0] for call in task(env).asked][-4:] == ["setup", "play", "close", "setup"]


def test_a_change_of_the_path_sees_it_in_the_world_and_draws_what_is_its_scenes(made):
    drawn = {}

    def aside(path, generator):
        assert path[-1, 0] == 0.25  # the place itself, in the world
        drawn.setdefault((seed, setting), []).append(generator.random())
        return path + 0.01 * (np.arange(16) == 0)

    env = RelativePose(made())
    for seed, setting in [(5, "easy"), (5, "hard"), (6, "easy"), (5, "easy")]:
        env.reset(seed=seed, options={"setting": setting})
        path = env.rehearse(aside)
        np.testing.assert_allclose(absolute(env._first, path)[-1, 0], 0.26)
    assert len(set(drawn[5, "easy"])) == 1
    assert len({*drawn[5, "easy"], *drawn[5, "hard"], *drawn[6, "easy"]}) == 3


def test_relative_commands_start_from_the_first_pose_of_the_episode_not_from_the_last_look(made):
    """eval_polict_client_openpi.py:532-537, 572 @ 6f092cb: inint_eef_pose, asked once."""
    env = RelativePose(made())
    env.reset(seed=5)
    first = task(env._inner).hands.copy()
    turned = np.float32([[0.01, 0.02, -0.03, 0.1, 0.2, 0.3, 0.9, 0.5, -0.01, 0.0, 0.02, 0.0, 0.0, 0.4, 1.0, 1.0]])
    for _ in range(3):
        env.step(turned)
    for command in task(env._inner).commands:
        np.testing.assert_allclose(command, absolute(first, turned[0].astype(np.float64)), atol=1e-6)
    env.reset(seed=6)
    env.step(turned)
    np.testing.assert_allclose(task(env._inner).commands[0], absolute(task_first(6), turned[0]), atol=1e-6)


def task_first(seed: int) -> np.ndarray:
    small = SmallTask()
    small.setup_demo(0, seed, setting="easy", pictures=False)
    return small.hands


def test_standing_still_is_the_identity_with_open_grippers(made):
    env = RelativePose(made())
    assert env.env_spec.idle == (0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1)
