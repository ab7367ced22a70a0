"""An environment in a process of its own, watched."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import msgspec
import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.answers import (
    Answer,
    Auditioned,
    Commanded,
    Done,
    Drawn,
    Failed,
    Looked,
    Made,
    Stepped,
)
from lingbot_eval.envs.shared_memory import PICTURE_BYTES, SharedObservation, anonymous_memory
from lingbot_eval.envs.spaces import action_space, check_action, check_state, look_space, misfit
from lingbot_eval.errors import (
    BadAction,
    BadInput,
    ImpossibleAnswer,
    LingbotEvalError,
    NotReady,
    SimulatorDied,
    SimulatorHung,
    SimulatorRaised,
    UnstableScene,
)
from lingbot_eval.processes import Closed, Garbled, Kin, Line, Log, decoded, how_it_ended, resident_bytes
from lingbot_eval.settings import EnvSettings, Limits, Setting, to_dict
from lingbot_eval.types import Action, EnvSpec, Image, Observation

WATCH_SECONDS = 0.5
"""How often a simulator's memory is looked at."""

SURVIVED: dict[str, type[LingbotEvalError]] = {
    "BadAction": BadAction,
    "BadInput": BadInput,
    "UnknownName": BadInput,  # made of other things than its message
    "NotReady": NotReady,
    "UnstableScene": UnstableScene,
}
"""What a simulator may raise and go on, by the name that it gives. Whatever else it raises, it is not asked again."""

A = TypeVar("A", bound=Answer)


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
        self._has_expert = False
        self._child: _Child | None = None
        self.render_mode = "rgb_array" if settings.render else None
        self._start()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if self._child is None:
            self._start()
        self._deadline = time.monotonic() + self._limits.reset_seconds + self._limits.episode_seconds
        answer = self._ask(Looked, "reset", self._limits.reset_seconds, seed=seed, options=options or {})
        return self._look("reset"), answer.info.as_dict()

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        check_action(action, self._box)
        seconds = self._limits.command_seconds * len(action)
        answer = self._ask(Stepped, "step", seconds, action=action.tolist())
        return self._look("step"), answer.reward, answer.terminated, answer.truncated, answer.info.as_dict()

    def render(self) -> Image:
        """(H, W, 3) RGB, drawn now."""
        shape = self._ask(Drawn, "render", self._limits.reset_seconds).shape
        if math.prod(shape) > PICTURE_BYTES:
            raise self._impossible("render", f"a picture of {shape}")
        return self._shared.read_picture(shape)

    def use_expert(self) -> None:
        """Load the suite's privileged expert in the simulator's process.

        It is asked with :meth:`expert_reset` and :meth:`expert_command` and never appears in an observation or info.
        """
        self._has_expert = True
        self._deadline = math.inf
        self._ask(Done, "expert", self._limits.start_seconds)

    def expert_reset(self) -> None:
        self._ask(Done, "expert_reset", self._limits.reset_seconds)  # it may play the scene to its end first

    def expert_command(self) -> Action:
        """(D,) float32: what the expert would command now."""
        command = as_float32(self._ask(Commanded, "expert_command", self._limits.command_seconds).command)
        if command.shape != self._box.shape[1:] or not np.isfinite(command).all():
            raise self._impossible("expert_command", f"a command of {command.tolist()}")
        return command

    def audition(self, seed: int, setting: Setting) -> dict[str, Any]:
        """RoboTwin and tabletop: whether the task's expert solves the scene of ``seed`` (``RoboTwinEnv.audition``)."""
        if self._child is None:
            self._start()
        self._deadline = math.inf
        return msgspec.structs.asdict(
            self._ask(Auditioned, "audition", self._limits.reset_seconds, seed=seed, setting=setting)
        )

    def close(self) -> None:
        if self._child is None:
            return
        with contextlib.suppress(LingbotEvalError):  # it is being ended either way
            self._ask(Done, "close", 10.0)
        self._end()

    def __del__(self) -> None:
        self._end()

    def _start(self) -> None:
        self._child = _Child(self._settings.simulator.python or sys.executable, self._log)
        self._deadline = math.inf  # no episode yet
        made = self._ask(Made, "make", self._limits.start_seconds, settings=to_dict(self._settings))
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
        if self._has_expert:
            self._ask(Done, "expert", self._limits.start_seconds)

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

    def _ask(self, kind: type[A], op: str, seconds: float, **values: Any) -> A:
        if self._child is None:
            raise SimulatorDied("the simulator's process has ended; reset() starts another")
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._end()
            raise SimulatorHung(f"the episode outlasted its {self._limits.episode_seconds:g} s before {op!r} was asked")
        end = time.monotonic() + min(seconds, left)
        try:
            self._child.line.send({"op": op, **values}, min(seconds, left))
            answer: A | Failed = decoded(self._receive(self._child, op, end), kind | Failed)
        except TimeoutError:
            self._end()
            limit = f"{seconds:g} s" if seconds <= left else f"the episode's {self._limits.episode_seconds:g} s"
            raise SimulatorHung(f"the simulator gave no answer to {op!r} within {limit} and was killed") from None
        except Closed:
            how = self._child.how_it_ended()
            self._end()
            raise SimulatorDied(f"the simulator's process {how} during {op!r}") from None
        except Garbled as error:
            raise self._impossible(op, str(error)) from None
        if not isinstance(answer, Failed):
            return answer
        if survived := SURVIVED.get(answer.kind):
            raise survived(answer.error)
        self._end()
        raise SimulatorRaised(f"{op!r} raised in the simulator's process:\n{answer.error}")

    def _impossible(self, op: str, words: str) -> ImpossibleAnswer:
        """To be raised; the child is killed."""
        self._end()
        return ImpossibleAnswer(f"the simulator's answer to {op!r} cannot be, and it was killed: {words}")

    def _receive(self, child: _Child, op: str, end: float) -> bytes:
        """The answer to ``op``, with a look at the child's memory every WATCH_SECONDS, also over many short answers and
        in the middle of a long one.

        Raises Closed, Garbled, SimulatorDied, and TimeoutError at ``end``.
        """
        while True:
            if (now := time.monotonic()) >= child.watched + WATCH_SECONDS:
                child.watched = now
                if words := child.excess(self._limits):
                    self._end()
                    raise SimulatorDied(f"the simulator's process was ended during {op!r}: {words}")
            if now >= end:
                raise TimeoutError
            with contextlib.suppress(TimeoutError):
                return child.line.receive(min(end, child.watched + WATCH_SECONDS) - now)

    def _end(self) -> None:
        child, self._child = getattr(self, "_child", None), None
        if child is not None:
            child.end()


class _Child:
    """The process, its socket and its memory."""

    def __init__(self, python: str, log: Path | None) -> None:
        ours, theirs = socket.socketpair()
        self.line, self.memory = Line(ours), anonymous_memory()
        self.watched = time.monotonic()
        self._scratch = Path(tempfile.mkdtemp(prefix="lingbot_eval-"))
        self._kin, self._log = Kin(), Log(log or self._scratch / "log")
        command = [python, "-m", "lingbot_eval.envs.host", "--socket", str(theirs.fileno())]
        command += ["--memory", str(self.memory), "--parent", str(os.getpid())]
        try:
            output = self._log.open()
        except OSError as error:
            self.line.close()
            self._forget()
            theirs.close()
            raise NotReady(f"cannot write to {self._log.path}: {error.strerror}") from None
        try:
            with output:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(), self.memory),
                    start_new_session=True,  # so that Ctrl-C reaches us alone, and killing it kills what it started
                    env={**os.environ, **_private_folders(self._scratch), **self._kin.environment()},
                )
        except OSError as error:
            self.line.close()
            self._forget()
            raise NotReady(f"env.python={python} cannot be started: {error.strerror}") from None
        finally:
            theirs.close()

    def excess(self, limits: Limits) -> str:
        """What it has too much of, in words; empty where it has not."""
        if (held := resident_bytes(self._process.pid)) > (limit := limits.env_gigabytes) * 1e9:
            return f"it had {held / 1e9:.3g} GB of memory, and limits.env_gigabytes={limit:g} allows no more"
        words = self._log.excess()
        return words and f"it {words}"

    def how_it_ended(self) -> str:
        """In words, with the last lines it printed."""
        how, tail = how_it_ended(self._process, 5.0), self._log.last_words()
        return how + (f" (its last words: {' | '.join(tail)})" if tail else "")

    def end(self) -> None:
        """Kill it and everything it started."""
        self.line.close()
        self._kin.end(self._process, patience=0.5)
        self._forget()

    def _forget(self) -> None:
        os.close(self.memory)
        shutil.rmtree(self._scratch, ignore_errors=True)


def as_float32(values: Sequence[Any]) -> npt.NDArray[np.float32]:
    """What float32 has no room for becomes infinity. Raises ValueError for rows of different lengths."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def _private_folders(scratch: Path) -> dict[str, str]:
    """Variables that keep the caches of Mesa, matplotlib and numba out of the user's home."""
    caches = {"XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "MPLCONFIGDIR": "matplotlib", "TMPDIR": "tmp"}
    for folder in caches.values():
        (scratch / folder).mkdir()
    return {"PYTHONUNBUFFERED": "1", **{name: str(scratch / folder) for name, folder in caches.items()}}
