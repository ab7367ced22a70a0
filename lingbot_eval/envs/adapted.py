"""An environment of Gymnasium's as this package's: it runs K commands per action, counts them, and says how it went."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.spaces import action_space, check_action, look_space
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.types import Action, EnvSpec, Image, Observation

SCENE = ("task", "setting", "initial_state", "index")
"""The options that ``reset`` is given for an episode, besides its seed."""


class Adapted(gym.Env[Observation, Action]):
    """Keeps the contract of ``envs/testing.py`` around an environment that takes one command per step.

    A benchmark derives from it and says what an observation looks like (:meth:`look`) and, where success is not the end
    of an episode, what it is (:meth:`succeeded`).
    """

    def __init__(self, env: gym.Env[Any, Any], spec: EnvSpec, limit: int, protocol: str, render: bool = False) -> None:
        """``limit``: the most commands of an episode. ``protocol``: the preset's name. ``render``: whether somebody
        wants pictures for a person (:meth:`render`)."""
        self.metadata = {**env.metadata, "render_modes": ["rgb_array"], "render_fps": spec.commands_per_second}
        self.render_mode = "rgb_array" if render else None
        self.domain, self.env_spec = env, spec
        self._box = self.action_space = action_space(spec)
        self.observation_space = look_space(spec)
        self._limit, self._protocol = limit, protocol
        self._over = True

    def look(self, observation: Any) -> Observation:
        """Return what an agent sees of the environment's own observation: pictures by camera, where
        ``env_spec.cameras`` has some, and the state."""
        return {"images": {}, "state": np.asarray(observation, np.float32)}

    def choose(self, setting: str, initial_state: int | None) -> None:
        """Take note of what the next episode's scene is besides its seed. A benchmark with settings or stored initial
        states overrides it; here they are refused, because every setting would be the same scene."""
        for what, value in (("setting", setting), ("initial state", initial_state)):
            if value not in ("", None):
                raise BadInput(f"{type(self).__name__} knows no {what} {value!r}: it has no choose()")

    def succeeded(self, terminated: bool, info: dict[str, Any]) -> bool:
        """Return whether the task is done, after a command."""
        return terminated

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if unknown := [name for name in options or {} if name not in SCENE]:
            raise UnknownName("option", unknown[0], SCENE)
        self.choose((options or {}).get("setting", ""), (options or {}).get("initial_state"))
        observation, _ = self.domain.reset(seed=seed)
        self._commands = self._out_of_bounds = 0
        self._over = self._done = False
        return self.look(observation), self._info()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        outside = check_action(action, self._box)
        if self._over:
            raise BadInput("the episode is over; call reset() first")
        total = 0.0
        for command, out in zip(action, outside, strict=True):
            observation, reward, terminated, truncated, info = self.domain.step(command)
            self._commands += 1
            self._out_of_bounds += int(out)
            total += float(reward)
            self._done = bool(self.succeeded(bool(terminated), info))
            if truncated and not (terminated or self._done) and self._commands < self._limit:
                raise BadInput(
                    f"{type(self).__name__}: the environment cut the episode off after {self._commands} commands, and "
                    f"the protocol lets it take {self._limit}: make it without a limit of its own (.unwrapped)"
                )
            self._over = self._done or bool(terminated or truncated) or self._commands >= self._limit
            if self._over:
                break
        return self.look(observation), total, self._done, self._over and not self._done, self._info()

    def render(self) -> Image:
        picture: Any = self.domain.render()
        return np.asarray(picture, np.uint8)

    def close(self) -> None:
        self.domain.close()

    def _info(self) -> dict[str, Any]:
        return {
            "commands": self._commands,
            "progress": int(self._done),
            "max_progress": 1,
            "out_of_bounds": self._out_of_bounds,
            "protocol": self._protocol,
        }
