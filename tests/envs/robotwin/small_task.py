"""RoboTwin's task contract (``lingbot_eval/envs/tabletop/__init__.py``) in small: two hands that move as they are told.

Positions come from the seed; a command takes ten steps, straight. No simulator, no planner.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np

SIZE = (240, 320, 3)
COLOURS = {"head_camera": (255, 0, 0), "left_camera": (0, 255, 0), "right_camera": (0, 0, 255)}

STEPS = 10
"""Of the simulation, for each command."""


class Unstable(Exception):
    """A scene that does not come to rest."""


class SmallTask:
    """Done while the left hand is within 1 cm of x = 0.25 m."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        """The calls, with what came."""

    def setup_demo(self, now_ep_num: int, seed: int, is_test: bool = True, *, setting: str, pictures: bool) -> None:
        given = {"now_ep_num": now_ep_num, "seed": seed, "is_test": is_test, "setting": setting, "pictures": pictures}
        self.asked.append(("setup", given, random.random(), np.random.random()))  # noqa: S311
        if seed == 13:
            raise Unstable("it rolled away")
        start = np.random.default_rng(seed).uniform(-0.1, 0.1, 6)
        self.hands = np.concatenate([start[:3], [0.5, -0.5, 0.5, 0.5, 1.0], start[3:], [0.5, -0.5, 0.5, 0.5, 0.0]])
        self.plan_success, self.plan_failures, self.eval_success = seed != 14, 0, False
        self.commands: list[Any] = []
        self.take_action_cnt = 0

    def check_success(self) -> bool:
        return bool(abs(self.hands[0] - 0.25) < 0.01)

    def take_action(self, action: Any, action_type: str) -> None:
        assert action_type == "ee"
        if self.eval_success:
            return
        self.commands.append(np.array(action))
        before = self.hands
        for step in range(1, STEPS + 1):
            self.hands = before + (action - before) * step / STEPS
            if self.check_success():
                self.eval_success = True
                return

    def play_once(self) -> dict[str, Any]:
        self.asked.append(("play",))
        goal = self.hands.copy()
        goal[0] = 0.5 if int(self.asked[-2][1]["seed"]) == 15 else 0.25
        self.hands, self.path = goal, np.stack([goal, goal])
        return {"info": {"{A}": "mark"}}

    def get_obs(self) -> dict[str, Any]:
        pictures = {name: {"rgb": np.full(SIZE, colour, np.uint8)} for name, colour in COLOURS.items()}
        return {"observation": pictures, "endpose": self.endpose()}

    def endpose(self) -> dict[str, Any]:
        left, right = self.hands[:8].tolist(), self.hands[8:].tolist()
        poses = {"left_endpose": left[:7], "right_endpose": right[:7]}
        return {**poses, "left_gripper": left[7], "right_gripper": right[7]}

    def stages(self) -> tuple[int, int]:
        return 0, 0

    def close_env(self, clear_cache: bool = False) -> None:
        self.asked.append(("close",))


class SmallTasks:
    """Where tasks come from."""

    def command_limit(self, name: str) -> int:
        return 7

    def task_class(self, name: str) -> type[SmallTask]:
        return SmallTask

    def sentences(self, name: str, info: dict[str, str]) -> dict[str, list[str]]:
        """Draws from both global generators, as RoboTwin's does."""
        words = [f"{random.random():.6f} {np.random.random():.6f}" for _ in range(100)]  # noqa: S311
        return {split: [f"{split} {info['{A}']} {word}" for word in words] for split in ("unseen", "seen")}
