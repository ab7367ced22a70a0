"""A checkout's tasks are driven as RoboTwin's own evaluation drives them (script/eval_policy.py @ 2eeec322): a checkout
with one task that notes what it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
import yaml

pytest.importorskip("mplib", reason="the tabletop extra is not installed")

from lingbot_eval.envs.robotwin import task as robotwin_task
from lingbot_eval.envs.robotwin.task import CheckoutTasks
from lingbot_eval.settings.robotwin import RoboTwinSettings

TASK = """
from types import SimpleNamespace
import numpy as np

class stack_blocks_two:
    def setup_demo(self, **given):
        self.given, self.eval_success = given, False
        self.load_robot(**given)

    def load_robot(self, **given):
        if not hasattr(self, "robot"):
            self.robot = SimpleNamespace(
                left_plan_path=lambda pose: {"status": "Success" if pose else "Fail"},
                right_plan_path=lambda pose: {"status": "Success" if pose else "Fail"},
                get_left_gripper_val=lambda: 1, get_right_gripper_val=lambda: 0,
            )

    def get_arm_pose(self, side):
        return [0.1 if side == "left" else 0.2, 0, 0, 1, 0, 0, 0]

    def get_obs(self):
        return {"observation": {"head_camera": {"rgb": "drawn"}}}

    def take_action(self, action, action_type):
        self.drawn_within = bool(self.get_obs()["observation"])
        self.action = action, action_type
        self.robot.left_plan_path(1), self.robot.right_plan_path(0)

    def play_once(self):
        for _ in range(3):
            self._take_picture()
        return {"info": {"{A}": "block"}}
"""

SENTENCES = """
def generate_episode_descriptions(task, episodes, count):
    assert (task, episodes) == ("stack_blocks_two", [{"{A}": "block"}])
    return [{split: [f"{split} {k}" for k in range(count)] for split in ("unseen", "seen", "other")}]
"""

FILES = {
    "envs/__init__.py": "",
    "envs/_base_task.py": "",
    "envs/stack_blocks_two.py": TASK,
    "envs/utils/__init__.py": "",
    "envs/utils/create_actor.py": "class UnStableError(Exception): pass",
    "description/__init__.py": "",
    "description/utils/__init__.py": "",
    "description/utils/generate_episode_instructions.py": SENTENCES,
}

CONFIGS = {
    "_camera_config": {"D435": {"h": 240, "w": 320}, "L515": {"h": 180, "w": 320}},
    "_eval_step_limit": {"stack_blocks_two": 800},
    "_embodiment_config": {name: {"file_path": f"./{name}/"} for name in ("one", "other")},
}


@pytest.fixture
def made(tmp_path, monkeypatch) -> Iterator[object]:
    """Makes a checkout whose ``demo_*.yml`` name these arms, and its tasks."""

    def make(arms: list[object]) -> CheckoutTasks:
        cameras = {"head_camera_type": "D435", "wrist_camera_type": "L515"}
        demos = {
            name: {"embodiment": arms, "camera": cameras, "render_freq": 9, "save_freq": 15, "light": light}
            for name, light in (("demo_clean", "same"), ("demo_randomized", "random"))
        }
        texts = {f"task_config/{name}.yml": yaml.safe_dump(data) for name, data in {**CONFIGS, **demos}.items()}
        texts |= {f"{name}/config.yml": yaml.safe_dump({"arm": name}) for name in ("one", "other")}
        for name, text in {**FILES, **texts}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return CheckoutTasks(
            RoboTwinSettings(
                root=str(tmp_path),
                embodiment="checkout",
                planner="curobo",
                shader="default",
                denoiser="none",
                python=None,
            )
        )

    monkeypatch.setattr(robotwin_task, "prepare", lambda *_: None)  # SAPIEN, and what only a process of its own may do
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for name in [name for name in sys.modules if name.split(".")[0] in ("envs", "description")]:
        del sys.modules[name]


def set_up(tasks: CheckoutTasks, setting: str = "easy", pictures: bool = False) -> object:
    task = tasks.task_class("stack_blocks_two")()
    task.setup_demo(now_ep_num=0, seed=5, is_test=True, setting=setting, pictures=pictures)
    return task


def test_a_task_is_set_up_as_an_evaluation_with_the_settings_own_configuration(made):
    """script/eval_policy.py:78-116, 216-220, 256: eval_mode, or no limit is read; render_freq 0."""
    tasks = made(["one"])
    for setting, name, light in (("easy", "demo_clean", "same"), ("hard", "demo_randomized", "random")):
        given = set_up(tasks, setting).given
        assert given["eval_mode"] is True
        assert given["render_freq"] == 0
        assert (given["now_ep_num"], given["seed"], given["is_test"], given["save_freq"]) == (0, 5, True, 15)
        assert (given["task_name"], given["task_config"], given["light"]) == ("stack_blocks_two", name, light)
        assert (given["head_camera_h"], given["head_camera_w"]) == (240, 320)
    assert tasks.command_limit("stack_blocks_two") == 800


@pytest.mark.parametrize(
    ("arms", "left", "right", "dual", "apart"),
    [(["one"], "one", "one", True, None), (["one", "other", 0.7], "one", "other", False, 0.7)],
)
def test_one_name_is_a_robot_of_two_arms_and_two_names_are_two_apart(made, arms, left, right, dual, apart):
    """script/eval_policy.py:100-110."""
    given = set_up(made(arms)).given
    assert (given["left_robot_file"], given["right_robot_file"]) == (f"./{left}/", f"./{right}/")
    assert (given["left_embodiment_config"], given["right_embodiment_config"]) == ({"arm": left}, {"arm": right})
    assert given["dual_arm_embodied"] is dual
    assert given.get("embodiment_dis") == apart


def test_a_hundred_sentences_of_each_split_are_made(made):
    """script/eval_policy.py:162, 258."""
    found = made(["one"]).sentences("stack_blocks_two", {"{A}": "block"})
    assert {split: (len(words), words[0]) for split, words in found.items()} == {
        "seen": (100, "seen 0"),
        "unseen": (100, "unseen 0"),
    }


def test_poses_and_the_experts_path_are_left_then_right_with_grippers_as_commanded(made):
    task = set_up(made(["one"]))
    assert task.endpose() == {
        **{"left_endpose": [0.1, 0, 0, 1, 0, 0, 0], "left_gripper": 1.0},
        **{"right_endpose": [0.2, 0, 0, 1, 0, 0, 0], "right_gripper": 0.0},
    }
    task.play_once()
    left, right = [0.1, 0, 0, 1, 0, 0, 0, 1], [0.2, 0, 0, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(task.path, [[*left, *right]] * 3)


def test_nothing_is_drawn_within_a_command_and_paths_that_were_not_found_are_counted_anew_in_each_episode(made):
    tasks = made(["one"])
    task = set_up(tasks, pictures=True)
    for count in (1, 2):
        task.take_action(np.zeros(16), "ee")
        assert (task.plan_failures, task.drawn_within, task.action[1]) == (count, False, "ee")
    assert task.get_obs()["observation"]
    task.setup_demo(now_ep_num=0, seed=6, is_test=True, setting="easy", pictures=False)
    assert task.get_obs()["observation"] == {}
    task.take_action(np.zeros(16), "ee")
    assert task.plan_failures == 1
