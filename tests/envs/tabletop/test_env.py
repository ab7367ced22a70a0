from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mplib", reason="the tabletop extra is not installed")

from lingbot_eval.envs.tabletop import TASKS, command_limit, sentences, task_class
from lingbot_eval.envs.tabletop.bodies import Body, Part
from lingbot_eval.envs.tabletop.expert import downward
from lingbot_eval.envs.tabletop.task import CLEAR, TabletopTask, UnStableError
from lingbot_eval.envs.tabletop.tasks import CLASSES
from lingbot_eval.envs.tabletop.tasks.lift_block import LiftBlock
from lingbot_eval.envs.tabletop.tasks.stack_two import StackTwo
from lingbot_eval.errors import BadAction, BadInput

AWKWARD = (-0.31, -0.05, 1.07, 0.3, 0.58, -0.49, 0.58)
"""A pose of the left arm that needs guesses, and is reached otherwise by other guesses."""


def hold(task: TabletopTask) -> np.ndarray:
    """The command that leaves both arms where they are."""
    return np.concatenate([np.append(task.arms[side].pose, 1.0) for side in ("left", "right")])


def digest(task: TabletopTask) -> str:
    """Of an episode of seed 7: every bit of it that a task or an agent could see at the end."""
    task.setup_demo(0, 7, setting="hard")
    task.play_once()
    command = hold(task)
    command[:7] = AWKWARD
    task.take_action(command)
    bodies = [np.concatenate([body.position, body.rotation.ravel()]) for body in task._bodies]
    joints = [arm.joints for arm in task.arms.values()]
    return hashlib.sha256(np.concatenate([*bodies, *joints, hold(task), task.path.ravel()]).tobytes()).hexdigest()


@pytest.fixture
def lift() -> Iterator[LiftBlock]:
    task = LiftBlock()
    task.setup_demo(0, 0)
    yield task
    task.close_env()


@pytest.mark.parametrize("setting", ["easy", "hard"])
@pytest.mark.parametrize("name", TASKS)
def test_the_expert_does_the_task_and_its_commands_do_it_again(name: str, setting: str) -> None:
    task = task_class(name)()
    task.setup_demo(0, 1, setting=setting)
    assert not task.check_success()
    assert task.stages()[0] == 0
    info = task.play_once()
    assert task.plan_success
    assert task.check_success()
    path = task.path
    task.close_env()
    task.setup_demo(0, 1, setting=setting)
    for command in path:
        task.take_action(command)
    assert task.eval_success
    assert task.take_action_cnt < command_limit(name) / 3
    reached, total = task.stages()
    assert reached == total >= 2
    words = sentences(name, info["info"])
    assert not re.search(r"[{}]", " ".join([*words["seen"], *words["unseen"]]))


def test_a_seed_gives_the_same_episode_whatever_came_before() -> None:
    code = "from tests.envs.tabletop.test_env import StackTwo, digest; print(digest(StackTwo()))"
    elsewhere = subprocess.check_output([sys.executable, "-c", code], text=True).split()[-1]
    task = StackTwo()
    task.setup_demo(0, 3)
    task.take_action(np.concatenate([np.append(downward((3.0, 3.0, 3.0), 0.0), 1.0)] * 2))  # a search in vain
    assert digest(task) == elsewhere


def test_both_settings_put_the_tasks_own_things_at_the_same_places() -> None:
    task, places = StackTwo(), []
    for setting in ("easy", "hard"):
        task.setup_demo(0, 5, setting=setting)
        places.append([*task.upper.position[:2], *task.lower.position[:2]])
    np.testing.assert_allclose(*places, atol=1e-3)


def test_clutter_is_out_of_the_way(lift: LiftBlock) -> None:
    for seed in range(5):
        lift.setup_demo(0, seed, setting="hard")
        clutter = [body for body in lift._bodies if body.name.startswith("clutter")]
        assert len(clutter) >= 3
        for body in clutter:
            assert np.linalg.norm((body.position - lift.target.position)[:2]) > CLEAR + 0.025


def test_the_held_block_is_between_the_fingertips(lift: LiftBlock) -> None:
    lift.play_once()
    observed = lift.get_obs()
    assert observed["observation"] == {}
    assert observed["endpose"][f"{lift.side}_gripper"] == 0.0
    pose = np.array(observed["endpose"][f"{lift.side}_endpose"])
    w, x, y, z = pose[3:]
    approach = [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]  # the frame's x axis, w first
    np.testing.assert_allclose(approach, [0, 0, -1], atol=0.02)
    np.testing.assert_allclose(pose[:3] + 0.12 * np.array(approach), lift.target.position, atol=0.008)


def test_an_arm_that_cannot_reach_holds_and_the_other_moves_on(lift: LiftBlock) -> None:
    command, before = hold(lift), {side: arm.joints for side, arm in lift.arms.items()}
    command[:7] = downward((-2.0, 2.0, 1.0), 0.0)
    command[8:11] += [0.0, 0.02, -0.02]
    lift.take_action(command)
    assert lift.plan_failures == 1
    np.testing.assert_array_equal(lift.arms["left"].joints, before["left"])
    np.testing.assert_allclose(lift.arms["right"].pose, command[8:15], atol=0.004)


def test_a_quaternion_of_no_length_is_a_pose_without_solution(lift: LiftBlock) -> None:
    command = hold(lift)
    command[3:7] = 0.0
    lift.take_action(command)
    assert lift.plan_failures == 1


def test_nothing_moves_after_the_limit_or_after_success(lift: LiftBlock) -> None:
    lift.step_lim = 2
    down = np.concatenate([np.append(downward((x, -0.1, 1.0), 0.0), 1.0) for x in (-0.3, 0.3)])
    for _ in range(2):
        lift.take_action(hold(lift))
    lift.take_action(down)
    assert lift.take_action_cnt == 2
    assert np.linalg.norm(lift.arms["left"].pose[:3] - down[:3]) > 0.05
    assert not lift.eval_success


def test_a_command_is_sixteen_numbers_and_an_end_effector_pose(lift: LiftBlock) -> None:
    with pytest.raises(BadAction, match=r"\(16,\).*got \(14,\)"):
        lift.take_action(np.zeros(14))
    with pytest.raises(BadInput, match=r"'ee'.*not 'qpos'"):
        lift.take_action(np.zeros(16), "qpos")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="easy, hard, not 'medium'"):
        lift.setup_demo(0, 0, setting="medium")


def test_progress_is_what_was_ever_reached() -> None:
    task = StackTwo()
    task.setup_demo(0, 2)
    task.play_once()
    lifted = next(k for k, command in enumerate(task.path) if min(command[7], command[15]) == 0.0) + 8
    path = task.path
    task.setup_demo(0, 2)
    for command in path[:lifted]:
        task.take_action(command)
    assert task.stages() == (1, 3)
    opened = path[lifted].copy()
    opened[[7, 15]] = 1.0
    for _ in range(10):
        task.take_action(opened)
    assert task.above_table(task.upper) < 0.04  # dropped again
    assert task.stages() == (1, 3)
    assert not task.eval_success


class Dropped(LiftBlock):
    """With a stick that is put into the air."""

    def load_actors(self) -> None:
        super().load_actors()
        self.put("stick", [Part((0.01, 0.01, 0.1), (0.5, 0.5, 0.5))], (0.4, 0.2), up=0.2)


def test_a_scene_that_does_not_rest_is_no_episode() -> None:
    with pytest.raises(UnStableError, match="stick moved"):
        Dropped().setup_demo(0, 0)


def test_wild_commands_break_nothing() -> None:
    task, generator = task_class("lift_tray")(), np.random.default_rng(0)
    task.setup_demo(0, 0, setting="hard")
    for _ in range(30):
        xyz = generator.uniform([[-0.5, -0.3, 0.75]] * 2, [[0.5, 0.2, 1.2]] * 2)
        task.take_action(np.concatenate([[*each, *generator.normal(size=4), generator.random()] for each in xyz]))
    speeds = [np.linalg.norm(_body(body).linear_velocity) for body in task._bodies]
    assert max(speeds) < 10.0
    for arm in task.arms.values():
        assert np.isfinite(arm.pose).all()


def _body(body: Body) -> object:
    import sapien

    return body.entity.find_component_by_type(sapien.physx.PhysxRigidDynamicComponent)


def test_every_task_in_the_catalogue_has_a_class() -> None:
    assert list(CLASSES) == list(TASKS)
