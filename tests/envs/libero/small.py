"""The part of LIBERO that LiberoEnv uses, in small: a point that commands push, so that the order of calls can be seen.

What it has in common with the real one is held by ``test_env.py``, on the real one.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from lingbot_eval.envs.libero.env import Libero

STATES = np.arange(50.0)[:, None] * 0.001
"""(50, 1): where the point is in each stored state, metres."""

MARK = 1.0
"""The task is done while the point is within 2.5 cm of it."""


class SmallDomain:
    """``reset`` draws once for each initializer, then where the fixture stands, from numpy's global generator."""

    def __init__(self) -> None:
        self.object_property_initializers = ["open the drawer"]
        self.parsed_problem = {"goal_state": ["at the mark", "beyond the mark"]}
        self.robots = [SimpleNamespace(gripper=SimpleNamespace(current_action=np.zeros(1)))]
        self.x = 0.0
        self.events: list[Any] = []
        self.sim = SimpleNamespace(get_state=lambda: np.array([self.x]))

    def reset(self) -> None:
        for _ in self.object_property_initializers:
            np.random.uniform()
        self.fixture = self.x = np.random.uniform()
        self.events.append(("reset", self.robots[0].gripper.current_action.copy()))

    def _eval_predicate(self, conjunct: str) -> bool:
        return abs(self.x - MARK) < 0.025 if conjunct == "at the mark" else self.x > MARK + 0.1


class SmallControl:
    """LIBERO's ControlEnv around it."""

    def __init__(self) -> None:
        self.env = SmallDomain()

    def set_init_state(self, state: np.ndarray) -> dict[str, Any]:
        self.env.x = float(state[0])
        self.env.events.append(("state", float(state[0])))
        return self._sample()

    def step(self, command: np.ndarray) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
        self.env.x += 0.05 * command[0]
        self.env.robots[0].gripper.current_action = self.env.robots[0].gripper.current_action + command[6]
        self.env.events.append(("command", np.array(command)))
        return self._sample(), 0.0, self.env._eval_predicate("at the mark"), {}

    def close(self) -> None:
        pass

    def _sample(self) -> dict[str, Any]:
        return {
            "robot0_eef_quat": np.array([0.0, 0.0, 0.6, -0.8]),  # x, y, z, w
            "robot0_eef_pos": np.array([self.env.x, 0.2, 0.3]),
            "robot0_gripper_qpos": np.array([0.04, -0.04]),
        }


def quat2axisangle(quaternion: np.ndarray) -> np.ndarray:
    """As robosuite 1.4.0, utils/transform_utils.py: scalar last, the angle runs to 2 pi."""
    angle = 2 * np.arccos(np.clip(quaternion[3], -1, 1))
    return quaternion[:3] / np.sqrt(1 - quaternion[3] ** 2) * angle


def small_libero(settings: Any, protocol: Any, horizon: int) -> Libero:
    """In the place of ``lingbot_eval.envs.libero.env._libero``."""
    return Libero(SmallControl(), STATES, quat2axisangle, ArithmeticError)
