"""A checkout's tasks keep the contract of tabletop's here (``tabletop/__init__.py``), so one environment drives
both."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lingbot_eval.envs.robotwin.checkout import CONFIGS, Checkout, read_yaml
from lingbot_eval.envs.robotwin.planner import Planner
from lingbot_eval.envs.robotwin.process import APART, OWN_ARMS, prepare
from lingbot_eval.settings.robotwin import RoboTwinSettings

SENTENCES = 100
"""So many sentences are generated per episode and split, and one of them is drawn: test_num of
script/eval_policy.py:162, 258-259 @ 2eeec322."""

SIDES = ("left", "right")


class CheckoutTasks:
    """It has ``command_limit``, ``sentences`` and ``task_class`` as the tabletop module has them."""

    def __init__(self, simulator: RoboTwinSettings) -> None:
        """Import the checkout, which changes this process for good.

        Raises NotReady, BadInput.
        """
        self._checkout, self._simulator = Checkout(simulator.root), simulator
        prepare(self._checkout, simulator)
        create_actor = importlib.import_module("envs.utils.create_actor")
        self.UnStableError: type[Exception] = create_actor.UnStableError

    def command_limit(self, name: str) -> int:
        return self._checkout.command_limit(name)

    def sentences(self, name: str, info: Mapping[str, Any]) -> dict[str, list[str]]:
        """Return the sentences by split, drawn with Python's and numpy's global generators, which whoever asks has
        seeded."""
        generator = importlib.import_module("description.utils.generate_episode_instructions")
        (found,) = generator.generate_episode_descriptions(name, [info], SENTENCES)
        return {split: found[split] for split in ("seen", "unseen")}

    def task_class(self, name: str) -> Any:
        """Return the checkout's class, extended."""
        theirs = getattr(importlib.import_module(f"envs.{name}"), name)
        arguments = {setting: self._arguments(name, setting) for setting in CONFIGS}
        return type(name, (_Extended, theirs), {"arguments": arguments})

    def _arguments(self, name: str, setting: str) -> dict[str, Any]:
        """Return what ``setup_demo`` is called with: script/eval_policy.py:72-124 @ 2eeec322, without its video."""
        config = self._checkout.config(setting)
        cameras = read_yaml(self._checkout.configs / "_camera_config.yml")
        head = cameras[config["camera"]["head_camera_type"]]
        own = self._simulator.embodiment == "tabletop"
        arms: list[Any] = [OWN_ARMS, OWN_ARMS, APART] if own else config["embodiment"]
        folders = {OWN_ARMS: f"./assets/embodiments/{OWN_ARMS}/"}
        if not own:
            known = read_yaml(self._checkout.configs / "_embodiment_config.yml")
            folders = {arm: known[arm]["file_path"] for arm in arms if isinstance(arm, str)}
        left, right = (folders[arm] for arm in (arms[0], arms[1] if len(arms) == 3 else arms[0]))
        return {
            **config,
            "task_name": name,
            "task_config": CONFIGS[setting],
            "embodiment": arms,
            "head_camera_h": head["h"],
            "head_camera_w": head["w"],
            "left_robot_file": left,
            "right_robot_file": right,
            "left_embodiment_config": read_yaml(Path(left) / "config.yml"),
            "right_embodiment_config": read_yaml(Path(right) / "config.yml"),
            "dual_arm_embodied": len(arms) == 1,
            **({"embodiment_dis": arms[2]} if len(arms) == 3 else {}),
            "eval_mode": True,  # or no command limit is read
            "render_freq": 0,
        }


class _Extended:
    """It comes before a RoboTwin task class and adds what the contract has and it has not."""

    arguments: Mapping[str, dict[str, Any]]
    _pictures = False
    plan_failures = 0

    # Of RoboTwin's Base_Task:
    robot: Any
    get_arm_pose: Any

    def setup_demo(self, now_ep_num: int, seed: int, is_test: bool = True, *, setting: str, pictures: bool) -> None:
        given = copy.deepcopy(self.arguments[setting])  # RoboTwin writes into it
        self._pictures = pictures
        super().setup_demo(now_ep_num=now_ep_num, seed=seed, is_test=is_test, **given)  # type: ignore[misc]
        self.plan_failures = 0
        for _, planner in self._own_planners():
            planner.restart(seed)

    def load_robot(self, **given: Any) -> None:
        first = not hasattr(self, "robot")
        super().load_robot(**given)  # type: ignore[misc]
        for side in SIDES if first else ():
            self._count_failures(side)
        for side, planner in self._own_planners():
            hand = self.robot._trans_from_gripper_to_endlink(self.get_arm_pose(side), arm_tag=side)
            planner.check(getattr(self.robot, f"{side}_entity").get_qpos(), hand)

    def get_obs(self) -> dict[str, Any]:
        if not self._pictures:
            return {"observation": {}, "endpose": self.endpose()}
        seen: dict[str, Any] = super().get_obs()  # type: ignore[misc]
        return seen

    def endpose(self) -> dict[str, Any]:
        grippers = {f"{side}_gripper": float(getattr(self.robot, f"get_{side}_gripper_val")()) for side in SIDES}
        return {**{f"{side}_endpose": self.get_arm_pose(side) for side in SIDES}, **grippers}

    def take_action(self, action: Any, action_type: str = "ee") -> None:
        pictures, self._pictures = self._pictures, False  # RoboTwin draws all cameras at success
        super().take_action(action, action_type)  # type: ignore[misc]
        self._pictures = pictures

    def play_once(self) -> dict[str, Any]:
        self._samples: list[list[float]] = []
        info: dict[str, Any] = super().play_once()  # type: ignore[misc]
        self.path = np.array(self._samples, np.float64).reshape(-1, 16)
        return info

    def stages(self) -> tuple[int, int]:
        """Return (0, 0): RoboTwin defines none."""
        return 0, 0

    def _take_picture(self) -> None:
        """Take a sample of the expert's path where RoboTwin's data collection takes one: every ``save_freq`` physics
        steps, and at the ends of a motion."""
        poses = self.endpose()
        self._samples.append([v for side in SIDES for v in (*poses[f"{side}_endpose"], poses[f"{side}_gripper"])])

    def _own_planners(self) -> list[tuple[str, Planner]]:
        """Return them by arm; there is none where CuRobo plans."""
        planners = ((side, getattr(self.robot, f"{side}_planner", None)) for side in SIDES)
        return [(side, planner) for side, planner in planners if isinstance(planner, Planner)]

    def _count_failures(self, side: str) -> None:
        name = f"{side}_plan_path"
        plan = getattr(self.robot, name)

        def counted(*given: Any, **named: Any) -> Any:
            result = plan(*given, **named)
            self.plan_failures += result["status"] != "Success"
            return result

        setattr(self.robot, name, counted)
