"""An environment in a process of its own, watched."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from lingbot_eval.child import A, Child, Close, Done, Kind, Request
from lingbot_eval.envs import requests
from lingbot_eval.envs.answers import (
    Auditioned,
    Commanded,
    Drawn,
    Looked,
    Made,
    Stepped,
)
from lingbot_eval.envs.spaces import action_space, as_float32, check_action, check_state, look_space, misfit
from lingbot_eval.errors import (
    ChildError,
    ImpossibleAnswer,
    LingbotEvalError,
    SimulatorDied,
    SimulatorHung,
    SimulatorRaised,
)
from lingbot_eval.settings import EnvSettings, Limits, Setting, to_dict
from lingbot_eval.settings.pace import AS_IT_IS, Pace
from lingbot_eval.shared_memory import PICTURE_BYTES, SharedObservation
from lingbot_eval.types import Action, EnvSpec, Image, Observation

SIMULATOR = Kind(
    module="lingbot_eval.envs.host",
    who="the simulator",
    setting="env.python",
    raised=SimulatorRaised,
    died=SimulatorDied,
    hung=SimulatorHung,
    impossible=ImpossibleAnswer,
    # Mesa's, matplotlib's and numba's caches stay out of the user's home.
    folders={"XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "MPLCONFIGDIR": "matplotlib", "TMPDIR": "tmp"},
    memory_limit="limits.env_gigabytes",
)


class RemoteEnv(gym.Env[Observation, Action]):
    """The environment that ``settings`` describe, in a child process.

    Spaces, specification, observations and info are the child's. A child that raises, dies, gives no answer in time or
    one that cannot be is killed, with all that it started, and the call raises SimulatorRaised, SimulatorDied,
    SimulatorHung or ImpossibleAnswer; the next ``reset`` starts a fresh one. ``log``: the file to which the child's
    prints are appended.

    The child dies with the *thread* that started it (Linux ties the request to the thread): make it in one that lasts.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, settings: EnvSettings, limits: Limits, log: Path | None = None) -> None:
        self._settings, self._limits, self._log = settings, limits, log
        self._expert: requests.Expert | None = None
        self._child: Child | None = None
        self.render_mode = "rgb_array" if settings.render else None
        self._start()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if self._child is None or self._child.ended:
            self._start()
        self._deadline = time.monotonic() + self._limits.reset_seconds + self._limits.episode_seconds
        answer = self._ask(Looked, requests.Reset(seed, options or {}), self._limits.reset_seconds)
        return self._look("reset"), dict(answer.info.as_info())

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        check_action(action, self._box)
        seconds = self._limits.command_seconds * len(action)
        answer = self._ask(Stepped, requests.Step(action.tolist()), seconds)
        return self._look("step"), answer.reward, answer.terminated, answer.truncated, dict(answer.info.as_info())

    def render(self) -> Image:
        """(H, W, 3) RGB, drawn now."""
        shape = self._ask(Drawn, requests.Render(), self._limits.reset_seconds).shape
        if math.prod(shape) > PICTURE_BYTES:
            raise self._impossible("render", f"a picture of {shape}")
        return self._shared.read_picture(shape)

    def use_expert(self, pace: Pace = AS_IT_IS) -> None:
        """Load the suite's privileged expert in the simulator's process, which follows a path that it knows beforehand
        at this pace.

        It is asked with :meth:`expert_reset` and :meth:`expert_command` and never appears in an observation or info.
        """
        self._expert = requests.Expert(pace)
        self._deadline = math.inf
        self._ask(Done, self._expert, self._limits.start_seconds)

    def expert_reset(self) -> None:
        self._ask(Done, requests.ExpertReset(), self._limits.reset_seconds)  # it may play the scene to its end first

    def expert_command(self) -> Action:
        """(D,) float32: what the expert would command now."""
        command = as_float32(self._ask(Commanded, requests.ExpertCommand(), self._limits.command_seconds).command)
        if command.shape != self._box.shape[1:] or not np.isfinite(command).all():
            raise self._impossible("expert_command", f"a command of {command.tolist()}")
        return command

    def audition(self, seed: int, setting: Setting) -> Auditioned:
        """Return whether the task's expert solves the scene of ``seed``; for benchmarks whose scenes it chooses."""
        if self._child is None or self._child.ended:
            self._start()
        self._deadline = math.inf
        return self._ask(Auditioned, requests.Audition(seed, setting), self._limits.reset_seconds)

    def close(self) -> None:
        if self._child is None or self._child.ended:
            return
        with contextlib.suppress(LingbotEvalError):  # it is being ended either way
            self._ask(Done, Close(), 10.0)
        self._child.end()

    def __del__(self) -> None:
        if child := getattr(self, "_child", None):
            child.end()

    def _start(self) -> None:
        python = self._settings.simulator.python or sys.executable
        self._child = Child(SIMULATOR, python, self._log, self._limits.env_gigabytes)
        self._deadline = math.inf  # no episode yet
        made = self._ask(Made, requests.Make(to_dict(self._settings)), self._limits.start_seconds)
        self.env_spec = spec = made.env_spec
        if words := misfit(spec) or self._not_asked_for(spec):
            raise self._impossible("make", words)
        try:
            self._shared = SharedObservation(self._child.memory, spec)
        except ValueError as error:
            raise self._impossible("make", str(error)) from None
        self._box = self.action_space = action_space(spec)
        self.observation_space = look_space(spec)
        self.metadata = made.metadata
        if self._expert is not None:
            self._ask(Done, self._expert, self._limits.start_seconds)

    def _not_asked_for(self, spec: EnvSpec) -> str:
        """Say in words what of ``spec`` is not as the settings ask; empty where everything is."""
        asked = self._settings
        if spec.commands_per_action != asked.commands_per_action:
            return f"{spec.commands_per_action} commands per action; asked for were {asked.commands_per_action}"
        if bool(spec.cameras) > asked.cameras:
            return f"cameras {list(spec.cameras)}; asked for was none"
        return ""

    def _look(self, op: str) -> Observation:
        observation = self._shared.read()
        try:
            check_state(observation)
        except ImpossibleAnswer as error:
            raise self._impossible(op, str(error)) from None
        return observation

    def _ask(self, answer: type[A], request: Request, seconds: float) -> A:
        if self._child is None or self._child.ended:
            raise SimulatorDied("the simulator's process has ended; reset() starts another")
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._child.end()
            raise SimulatorHung(
                f"the episode exceeded limits.episode_seconds={self._limits.episode_seconds:g} before "
                f"{request.op!r} was sent"
            )
        within = "" if seconds <= left else f"the episode's {self._limits.episode_seconds:g} s"
        return self._child.ask(answer, request, min(seconds, left), within)

    def _impossible(self, op: str, words: str) -> ChildError:
        """Kill the child, and return the error to raise."""
        assert self._child is not None  # noqa: S101  (it has answered)
        return self._child.impossible(op, words)
