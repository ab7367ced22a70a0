"""A toy environment, and the contract every environment must meet."""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.envs.spaces import check_action, look_space
from lingbot_eval.errors import BadAction, BadInput, UnknownName
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.toy import ToyProtocol, ToySettings
from lingbot_eval.types import Action, EnvSpec, Image, Observation

TASKS = {"reach": "go to the mark", "return": "go to the mark and come back"}


class ReachEnv(gym.Env[Observation, Action]):
    """A point moves along a line (metres) and must come within 5 cm of the mark at 1.0; ``return``: and then of 0.0.

    Action: (K, 1) float32, metres per command, within [-0.1, 0.1]. State: (1,) position in metres.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, settings: EnvSettings) -> None:
        if not isinstance(settings.protocol, ToyProtocol) or not isinstance(settings.simulator, ToySettings):
            raise BadInput(f"the toy needs the toy's protocol and simulator, got {settings}")
        if settings.task not in TASKS:
            raise UnknownName("toy task", settings.task, TASKS)
        self._protocol, self._faults = settings.protocol, settings.simulator.faults
        self.domain = self
        self._marks = [1.0] if settings.task == "reach" else [1.0, 0.0]
        self.render_mode = "rgb_array" if settings.render else None
        cameras = ("head",) if settings.cameras else ()
        self.env_spec = EnvSpec(
            cameras, (0,), 10.0, settings.commands_per_action, {"command": "metres to the right"}, (0.0,)
        )
        self._box = gym.spaces.Box(-0.1, 0.1, (settings.commands_per_action, 1), np.float32)
        self.action_space = self._box
        self.observation_space = look_space(dict.fromkeys(cameras, (64, 64)), state=1)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._fault = self._faults.get(seed, "") if seed is not None else ""
        self._position = float(self.np_random.uniform(-0.2, 0.2))
        self._commands = self._out_of_bounds = self._reached = 0
        self._over = False
        return self._look(), self._info()

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
        return self._look(), float(done), done, late and not done, self._info()

    def render(self) -> Image:
        """(64, 64, 3): a dark point on a light line, the mark in green."""
        picture = np.full((64, 64, 3), 235, np.uint8)
        for place, colour in ((1.0, (60, 160, 80)), (self._position, (40, 40, 40))):
            column = int(np.clip(8 + 48 * place, 2, 61))
            picture[24:40, column - 2 : column + 3] = colour
        return picture

    def _look(self) -> Observation:
        images = {name: self.render() for name in self.env_spec.cameras}
        return {"images": images, "state": np.array([self._position], np.float32)}

    def _info(self) -> dict[str, Any]:
        return {
            "commands": self._commands,
            "progress": self._reached,
            "max_progress": len(self._marks),
            "out_of_bounds": self._out_of_bounds,
            "protocol": self._protocol.name,
        }


class Pusher:
    """The toy's expert: towards the next mark, 5 cm per command."""

    def __init__(self, env: ReachEnv) -> None:
        self._env = env

    def reset(self) -> None:
        pass

    def command(self) -> Action:
        """(1,) float32, metres."""
        away = self._env._marks[self._env._reached] - self._env._position
        return np.clip(np.array([away], np.float32), -0.05, 0.05)


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


def check_env(env: gym.Env[Observation, Action]) -> None:
    """Raise AssertionError unless ``env`` keeps this package's promises on top of Gymnasium's."""
    first, info = env.reset(seed=3)
    again, _ = env.reset(seed=3)
    np.testing.assert_array_equal(first["state"], again["state"], "reset(seed) must repeat")
    for camera, picture in first["images"].items():
        np.testing.assert_array_equal(picture, again["images"][camera], f"reset(seed) must repeat picture {camera}")
    assert first in env.observation_space, "reset() returned an observation outside observation_space"
    assert info["commands"] == 0, "warm-up commands are not counted"
    action: Action = env.action_space.sample()
    _, _, terminated, truncated, info = env.step(action)
    assert not (terminated and truncated), "terminated (success) and truncated (command limit) are exclusive"
    expected = {"commands", "progress", "max_progress", "out_of_bounds", "protocol"}
    assert expected <= set(info), f"info lacks {expected - set(info)}"
    assert terminated or truncated or info["commands"] == len(action), "info must count every executed command"
    assert not any("privileged" in key for key in info), "nothing privileged belongs into info"
    others: list[Any] = [action[:, :0], action.astype(np.float64), action.tolist()]
    for bad in others:
        try:
            env.step(bad)
        except BadAction:
            continue
        raise AssertionError(f"an action of another shape or type must be refused, this was run: {bad!r}")
    outside = np.full_like(action, 7.0)
    if not (terminated or truncated):
        *_, info = env.step(outside)
        assert info["out_of_bounds"] > 0, "commands outside the action space are counted"
