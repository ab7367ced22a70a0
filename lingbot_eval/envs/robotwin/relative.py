"""A wrapper around the absolute environment takes relative commands."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from lingbot_eval.envs.robotwin import poses
from lingbot_eval.envs.robotwin.env import Change, RoboTwinEnv, unchanged
from lingbot_eval.envs.robotwin.spec import relative_spec
from lingbot_eval.envs.spaces import action_space, check_action
from lingbot_eval.settings import Setting
from lingbot_eval.types import Action, Observation


class RelativePose(gym.Wrapper[Observation, Action, Observation, Action]):
    """Commands are relative to where both arms were at ``reset``, in LingBot-VA's algebra (``poses.py``).

    Action: (K, 16) float32. Per arm xyz in metres, added in world axes; four raw quaternion numbers, whose identity is
    (0, 0, 0, 1) and whose length does not matter; the gripper as it is. Observations are the environment's; ``info`` of
    a reset has ``first_pose`` besides, the (16,) that commands are relative to, with all the simulator's digits.

    From the simulator's pose to the simulator's command everything is float64, as in LingBot-VA's client (Robbyant/
    lingbot-va @ 6f092cb, evaluation/robotwin/eval_polict_client_openpi.py:533-537): rounded to float32 on the way,
    poses drift by millimetres and other pictures are seen. Only what an agent gives is float32 there and here.
    """

    def __init__(self, env: RoboTwinEnv) -> None:
        super().__init__(env)
        self._inner = env
        self.env_spec = relative_spec(env.env_spec)
        self._box = self.action_space = action_space(self.env_spec)
        self.domain = self

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        observation, info = self._inner.reset(seed=seed, options=options)
        self._first = self._inner.pose()
        return observation, {**info, "first_pose": self._first.tolist()}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        outside = check_action(action, self._box)
        return self._inner.follow(poses.absolute(self._first, action), outside)

    def audition(self, seed: int, setting: Setting) -> dict[str, Any]:
        return self._inner.audition(seed, setting)

    def rehearse(self, change: Change = unchanged) -> poses.Array:
        """Return the expert's path as relative commands, (n, 16), after ``change`` to its absolute ones."""
        return poses.relative(self._first, self._inner.rehearse(change))
