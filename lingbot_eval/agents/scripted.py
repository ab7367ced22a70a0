"""These agents check an environment without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lingbot_eval.agents.kind import AgentFor, AgentKind, Expertise
from lingbot_eval.errors import BadInput
from lingbot_eval.recording import recording
from lingbot_eval.settings import Limits
from lingbot_eval.settings.agent import ExpertSettings, IdleSettings, RandomSettings, ReplaySettings
from lingbot_eval.settings.pace import AS_IT_IS, Pace
from lingbot_eval.types import Actions, EnvSpec, Observation, seed_of


class Idle:
    """It asks for no motion, with ``EnvSpec.idle``; where that is empty, commands are laid out as the state, so the
    state is the command that asks for none."""

    def __init__(self, spec: EnvSpec) -> None:
        self._command, self._shape = spec.idle, (spec.commands_per_action, len(spec.columns))

    def reset(self, instruction: str, *, seed: int) -> None:
        pass

    def act(self, frames: Sequence[Observation]) -> Actions:
        command = self._command or frames[-1]["state"]
        return np.broadcast_to(np.asarray(command, np.float32), (1, *self._shape)).copy()


class Random:
    """It draws uniformly from the action space, the same for the same seed."""

    def __init__(self, spec: EnvSpec) -> None:
        self._low, self._high = (np.asarray(bound, np.float32) for bound in (spec.low, spec.high))
        self._shape = (spec.commands_per_action, len(spec.columns))

    def reset(self, instruction: str, *, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def act(self, frames: Sequence[Observation]) -> Actions:
        return self._generator.uniform(self._low, self._high, (1, *self._shape)).astype(np.float32)


def recordings(folder: Path) -> dict[int, Path]:
    """Return the recorded episodes in ``RUN/actions`` of a run (unless ``actions=false``), by the seed their agent had.

    Raises BadInput where there are none, CorruptRecords for a file that is no recording.
    """
    files: dict[int, Path] = {}
    for file in sorted(folder.glob("*/*.npz")):
        episode, _ = recording(file)
        if seed_of(episode) in files:
            raise BadInput(
                f"{files[seed_of(episode)]} and {file} are recordings of the same episode; remove one of them, or "
                "replay would not know which to play"
            )
        files[seed_of(episode)] = file
    if not files:
        raise BadInput(f"no recorded actions in {folder}; a run keeps them in RUN/actions unless actions=false")
    return files


class Replay:
    """It plays recorded actions again, then holds still.

    Which recording is meant follows from the agent's seed, which is made of the episode's id.
    """

    def __init__(self, spec: EnvSpec, files: Mapping[int, Path]) -> None:
        self._idle, self._files = Idle(spec), files
        self._shape = (spec.commands_per_action, len(spec.columns))

    def reset(self, instruction: str, *, seed: int) -> None:
        """Take this episode's recording.

        Raises BadInput where there is none, or one with another number of commands per action, and CorruptRecords where
        it cannot be read any more.
        """
        if seed not in self._files:
            raise BadInput(
                f"none of the {len(self._files)} recordings is of this episode ({instruction!r}): replay plays the "
                "episodes of the run that kept them, under the same --seed and protocol"
            )
        _, actions = recording(self._files[seed])
        if actions.shape[1:] != self._shape:
            raise BadInput(
                f"{self._files[seed]} holds actions of shape {actions.shape[1:]}, and the environment takes "
                f"{self._shape}: it is of another suite or another agent.commands_per_action"
            )
        self._rest = list(actions)

    def act(self, frames: Sequence[Observation]) -> Actions:
        return self._rest.pop(0)[None] if self._rest else self._idle.act(frames)


class Expert:
    """It plays what the suite's scripted expert commands, which sees the simulator's state.

    It runs in the simulator's process and is asked over its own channel, one command at a time; nothing that it knows
    enters an observation.
    """

    def __init__(self, expertise: Expertise, pace: Pace = AS_IT_IS) -> None:
        expertise.use_expert(pace)
        self._expertise = expertise

    def reset(self, instruction: str, *, seed: int) -> None:
        self._expertise.expert_reset()

    def act(self, frames: Sequence[Observation]) -> Actions:
        return self._expertise.expert_command()[None, None]


class IdleKind(AgentKind[IdleSettings]):
    name = "idle"
    settings = IdleSettings

    def load(self, settings: IdleSettings, limits: Limits, log: Path) -> AgentFor:
        return Idle


class RandomKind(AgentKind[RandomSettings]):
    name = "random"
    settings = RandomSettings

    def load(self, settings: RandomSettings, limits: Limits, log: Path) -> AgentFor:
        return Random


class ReplayKind(AgentKind[ReplaySettings]):
    name = "replay"
    settings = ReplaySettings

    def check(
        self, settings: ReplaySettings, spec: EnvSpec, fresh: bool = False, limits: Limits | None = None
    ) -> tuple[ReplaySettings, str]:
        files, digest = _recordings_of(settings), hashlib.sha256()
        for seed in sorted(files):
            digest.update(hashlib.sha256(files[seed].read_bytes()).digest())
        return settings, digest.hexdigest()[:12]

    def load(self, settings: ReplaySettings, limits: Limits, log: Path) -> AgentFor:
        files = _recordings_of(settings)
        return lambda spec: Replay(spec, files)


class ExpertKind(AgentKind[ExpertSettings]):
    name = "expert"
    settings = ExpertSettings
    privileged = True

    def check(
        self, settings: ExpertSettings, spec: EnvSpec, fresh: bool = False, limits: Limits | None = None
    ) -> tuple[ExpertSettings, str]:
        if settings.commands_per_action != 1:
            raise BadInput("the expert reads the state before every command: agent.commands_per_action=1")
        return settings, ""

    def load(self, settings: ExpertSettings, limits: Limits, log: Path) -> Callable[[Any], Expert]:
        return lambda expertise: Expert(expertise, settings.pace)


def _recordings_of(settings: ReplaySettings) -> dict[int, Path]:
    if settings.path is None:
        raise BadInput("the replay agent needs agent.path=RUN/actions")
    return recordings(Path(settings.path))
