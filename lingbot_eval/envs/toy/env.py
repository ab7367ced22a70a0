"""The toy is a point on a line: a real environment, if small, for tests and for checking an installation."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.spaces import action_space, check_action, look_space
from lingbot_eval.envs.toy.spec import SIZE, env_spec
from lingbot_eval.envs.toy.tasks import TASKS
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.toy import ToyProtocol, ToySettings
from lingbot_eval.types import Action, Image, Info, Observation


class ReachEnv(gym.Env[Observation, Action]):
    """A point moves along a line (metres) and must come within 5 cm of the mark at 1.0, and in the task ``return`` then
    within 5 cm of 0.0.

    Action: (K, 1) float32, metres per command, within [-0.1, 0.1]. State: (1,) position in metres.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, settings: EnvSettings) -> None:
        if not isinstance(settings.protocol, ToyProtocol) or not isinstance(settings.simulator, ToySettings):
            raise BadInput(
                "the toy is played under its own protocol, with its own simulator's settings; got "
                f"{settings.protocol.name} and {type(settings.simulator).__name__}"
            )
        if settings.task not in TASKS:
            raise UnknownName("toy task", settings.task, TASKS)
        self._protocol, self._faults = settings.protocol, settings.simulator.faults
        self.domain = self
        self._marks = [1.0] if settings.task == "reach" else [1.0, 0.0]
        self.render_mode = "rgb_array" if settings.render else None
        self.env_spec = env_spec(settings)
        self._box = self.action_space = action_space(self.env_spec)
        self.observation_space = look_space(self.env_spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._fault = self._faults.get(seed, "") if seed is not None else ""
        self._position = float(self.np_random.uniform(-0.2, 0.2))
        self._commands = self._out_of_bounds = self._reached = 0
        self._over = False
        return self._look(), dict(self._info())

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        outside = check_action(action, self._box)
        if self._over:
            raise BadInput("the episode is over; call reset() first")
        for command, out in zip(action, outside, strict=True):
            self._commands += 1
            self._out_of_bounds += int(out)
            if self._commands == 3 and self._fault:
                misbehave(self._fault)
            self._position += float(command[0])
            self._reached += abs(self._position - self._marks[self._reached]) < 0.05
            done, late = self._reached == len(self._marks), self._commands >= self._protocol.command_limit
            if done or late:
                break
        self._over = done or late
        return self._look(), float(done), done, late and not done, dict(self._info())

    def render(self) -> Image:
        """Draw a dark point on a light line and the mark in green, (64, 64, 3)."""
        picture = np.full((*SIZE, 3), 235, np.uint8)
        for place, colour in ((1.0, (60, 160, 80)), (self._position, (40, 40, 40))):
            column = int(np.clip(8 + 48 * place, 2, 61))
            picture[24:40, column - 2 : column + 3] = colour
        return picture

    def _look(self) -> Observation:
        images = {name: self.render() for name in self.env_spec.cameras}
        return {"images": images, "state": np.array([self._position], np.float32)}

    def _info(self) -> Info:
        return {
            "commands": self._commands,
            "progress": self._reached,
            "max_progress": len(self._marks),
            "out_of_bounds": self._out_of_bounds,
            "protocol": self._protocol.name,
        }


def misbehave(fault: str) -> None:
    """Do what simulators do: raise, die, take their time, take memory (2 GB in 2 s), or hang: asleep, stopped, or
    spinning in native code."""
    if fault == "raise":
        raise RuntimeError("the toy was told to raise")
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if fault == "spin":
        sum(itertools.repeat(0))  # for ever in C, which neither lets another thread run nor sees a signal's handler
    eaten: list[bytearray] = []
    while fault == "eat" and len(eaten) < 40:
        eaten.append(bytearray(b"x") * 50_000_000)
        time.sleep(0.05)
    time.sleep(0.2 if fault == "slow" else 3600.0)
