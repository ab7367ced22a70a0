"""RoboTwinEnv: the same lines drive tabletop, which needs nothing, and a RoboTwin checkout where there is one."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np
import pytest

import lingbot_eval  # noqa: F401  (registers the ids)
from lingbot_eval.agents.scripted import Expert, Idle
from lingbot_eval.envs import vulkan
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.envs.robotwin.checkout import KNOWN, Checkout
from lingbot_eval.envs.robotwin.poses import STILL, relative
from lingbot_eval.envs.robotwin.tasks import EXPERT_FIRST, TASKS
from lingbot_eval.envs.testing import check_env
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import BadAction, BadInput, NotReady
from lingbot_eval.settings import EnvSettings, SimulatorSettings, default_limits
from lingbot_eval.suites import load_protocol, suite_named
from lingbot_eval.suites.machine import inspect
from lingbot_eval.types import Episode, Outcome

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mplib", reason="the tabletop extra is not installed")

BLOCKS = ("stack_blocks_two", "stack_blocks_three", "blocks_ranking_rgb", "blocks_ranking_size")
SEEDS = range(10_000, 10_005)


def made(
    suite: str, task: str, simulator: SimulatorSettings, cameras: bool = False, count: int = 1, **rules: Any
) -> RemoteEnv:
    protocol = load_protocol(suite, "lingbot-va" if suite == "robotwin" else "tabletop")
    settings = EnvSettings(
        simulator=simulator,
        protocol=msgspec.structs.replace(protocol, **rules),
        suite=suite,
        task=task,
        commands_per_action=count,
        cameras=cameras,
        render=False,
    )
    return RemoteEnv(settings, default_limits())


def tabletop(task: str = "lift_block", **more: Any) -> RemoteEnv:
    return made("tabletop", task, suite_named("tabletop").simulator_settings({}), **more)


@pytest.fixture(scope="module")
def lift() -> Iterator[RemoteEnv]:
    """lift_block without pictures, which needs no Vulkan."""
    env = tabletop(count=4)
    yield env
    env.close()


def test_it_keeps_the_contract(lift):
    check_env(lift)


def test_its_id_gives_four_commands_an_action_relative_ones_by_default():
    env = gym.make("lingbot_eval/Tabletop-lift_block-v0", disable_env_checker=True, cameras=False).unwrapped
    assert isinstance(env, RemoteEnv)
    assert env.action_space.shape == (4, 16)
    assert env.env_spec.conventions["command"].startswith("relative")
    env.close()


def test_with_pictures_it_keeps_the_contract_too():
    try:
        vulkan.probe()
    except NotReady as error:
        pytest.skip(str(error))
    env = tabletop(cameras=True, count=4)
    check_env(env)
    observation, _ = env.reset(seed=0)
    assert {name: picture.shape for name, picture in observation["images"].items()} == dict.fromkeys(
        ("head", "left_wrist", "right_wrist"), (240, 320, 3)
    )
    assert len({picture.tobytes() for picture in observation["images"].values()}) == 3
    env.close()


def test_standing_still_moves_nothing(lift):
    first, _ = lift.reset(seed=1)
    idle = Idle(lift.env_spec)
    assert lift.env_spec.idle == (*STILL, 1.0, *STILL, 1.0)
    observation, *_ = lift.step(idle.act([first])[0])
    np.testing.assert_allclose(observation["state"], first["state"], atol=1e-3)


def test_a_relative_command_is_added_in_world_axes(lift):
    first, _ = lift.reset(seed=1)
    action = np.tile(np.float32(lift.env_spec.idle), (4, 1))
    action[:, :3] = (0.0, 0.0, -0.05)
    observation, *_ = lift.step(action)
    np.testing.assert_allclose((observation["state"] - first["state"])[:3], [0, 0, -0.05], atol=5e-3)


def test_an_absolute_command_is_the_state_that_it_leads_to():
    env = tabletop(commands="absolute", count=4)
    first, _ = env.reset(seed=1)
    assert first["state"] in gym.spaces.Box(env.action_space.low[0], env.action_space.high[0])
    action = np.tile(first["state"], (4, 1))
    action[:, 2] -= 0.05
    observation, *_ = env.step(action)
    np.testing.assert_allclose(observation["state"], action[-1], atol=5e-3)
    env.close()


def test_the_expert_plays_like_any_agent_and_the_paths_commands_are_counted(lift):
    env = tabletop()
    record = run_episode(env, Expert(env), Episode("tabletop", "lift_block", 3, "", setting="hard"))
    assert record.outcome is Outcome.SUCCESS
    assert 5 < record.commands < 100
    assert (record.progress, record.plan_failures, record.out_of_bounds) == (record.max_progress, 0, 0)
    env.close()


def test_success_may_be_asked_after_commands_only():
    """At any moment a block counts as lifted that is dropped at once; the expert holds it, and both rules agree."""
    env = tabletop(success="after-command")
    record = run_episode(env, Expert(env), Episode("tabletop", "lift_block", 3, "", setting="easy"))
    assert record.outcome is Outcome.SUCCESS
    env.close()


def test_the_limit_ends_an_episode_in_the_middle_of_an_action():
    env = tabletop(command_limit=6, count=4)
    env.reset(seed=0)
    action = np.tile(np.float32(env.env_spec.idle), (4, 1))
    assert env.step(action)[3] is False
    *_, truncated, info = env.step(action)
    assert (truncated, info["commands"]) == (True, 6)
    with pytest.raises(BadInput, match="the episode is over"):
        env.step(action)
    env.close()


def test_a_pose_out_of_reach_is_counted_and_harms_nothing(lift):
    lift.reset(seed=0)
    action = np.tile(np.float32(lift.env_spec.idle), (4, 1))
    action[:, 0] = -1.4
    *_, info = lift.step(action)
    assert (info["plan_failures"], info["out_of_bounds"]) == (4, 0)


def test_a_quaternion_of_length_zero_is_refused(lift):
    lift.reset(seed=0)
    with pytest.raises(BadAction, match="length zero"):
        lift.step(np.zeros((4, 16), np.float32))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"setting": "medium"}, "unknown setting"),
        ({"task": "other"}, "task='other'"),
        ({"initial_state": 3}, "initial"),
    ],
)
def test_an_option_that_is_not_this_environments_is_refused(lift, options, complaint):
    with pytest.raises(BadInput, match=complaint):
        lift.reset(seed=0, options=options)


def test_an_audition_says_the_same_sentence_for_the_same_seed_whatever_came_before(lift):
    first = [lift.audition(seed, "easy") for seed in (5, 6, 7)]
    again = [lift.audition(seed, "easy") for seed in (7, 6, 5)]
    assert first == again[::-1]
    assert all(trial.outcome == "solved" for trial in first)
    assert {*first[0].sentences} == {"seen", "unseen"}


def test_a_sapien_that_cannot_be_loaded_is_one_line_also_without_pictures(tmp_path, monkeypatch):
    (tmp_path / "sapien").mkdir()
    (tmp_path / "sapien" / "__init__.py").write_text("raise ImportError('libX11.so.6: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(NotReady, match=r"^SAPIEN cannot be loaded: libX11.so.6: .*apt install libx11-6.*$"):
        inspect(suite_named("tabletop"), suite_named("tabletop").simulator_settings({}), draws=False)


# What follows drives a real checkout.


@pytest.fixture(scope="module")
def checkout() -> SimulatorSettings:
    """The checkout's code with arms of our own, on a CPU."""
    if not os.environ.get("ROBOTWIN_ROOT"):
        pytest.skip("no RoboTwin checkout: set ROBOTWIN_ROOT to one of commit 2eeec322")
    settings = suite_named("robotwin").simulator_settings(
        {"embodiment": "tabletop", "planner": "mplib", "shader": "default"}
    )
    try:
        return inspect(suite_named("robotwin"), settings, True, [(task, "easy") for task in BLOCKS]).simulator
    except NotReady as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("task", BLOCKS)
def test_robotwins_expert_solves_its_block_tasks_and_its_path_does_so_again_in_relative_commands(checkout, task):
    env = made("robotwin", task, checkout)
    solved = [seed for seed in SEEDS if env.audition(seed, "easy").outcome == "solved"]
    assert len(solved) >= 0.95 * len(SEEDS)
    agent = Expert(env)
    records = [run_episode(env, agent, Episode("robotwin", task, seed, "", setting="easy")) for seed in solved[:2]]
    assert [record.outcome for record in records] == [Outcome.SUCCESS] * 2
    assert all(0 < record.commands < TASKS[task].command_limit for record in records)
    assert {record.max_progress for record in records} == {0}
    env.close()


def test_robotwins_environment_keeps_the_contract(checkout):
    env = made("robotwin", "stack_blocks_two", checkout, cameras=True, count=4)
    check_env(env)
    env.close()


def test_robotwins_own_limit_is_the_episodes(checkout):
    known = Checkout(os.environ["ROBOTWIN_ROOT"])
    assert {task: known.command_limit(task) for task in TASKS} == {
        name: task.command_limit for name, task in TASKS.items()
    }


def test_the_checkout_is_known_by_its_content(checkout):
    known = Checkout(os.environ["ROBOTWIN_ROOT"])
    assert known.code()[0] in KNOWN.values()


def test_three_tasks_check_what_only_their_expert_sets(checkout):
    found = [
        name for name in TASKS if set_by_the_expert_alone(Path(os.environ["ROBOTWIN_ROOT"]) / "envs" / f"{name}.py")
    ]
    assert found == list(EXPERT_FIRST)


def set_by_the_expert_alone(file: Path) -> set[str]:
    """Attributes that check_success reads, play_once (or what only it calls) sets, and the scene does not."""
    (task,) = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef))
    methods = {node.name: node for node in task.body if isinstance(node, ast.FunctionDef)}

    def attributes(name: str, context: type) -> set[str]:
        nodes = ast.walk(methods[name]) if name in methods else ()
        own = (node for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self")
        return {node.attr for node in own if isinstance(node.ctx, context)}

    scene = set().union(
        *(attributes(name, ast.Store) for name in methods if name not in ("play_once", "check_success"))
    )
    return attributes("check_success", ast.Load) & attributes("play_once", ast.Store) - scene


def test_relative_commands_of_a_path_round_trip_in_float32(lift):
    first, _ = lift.reset(seed=2)
    state = first["state"].astype(np.float64)
    np.testing.assert_allclose(relative(state, state), lift.env_spec.idle, atol=1e-6)
