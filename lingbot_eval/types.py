"""The types every other module speaks.  Read this file first.

    Episode ─► env.reset ─► Observation ─► agent.act ─► Actions ─► env.step ─► ... ─► EpisodeRecord

Only numpy and the standard library are imported here, so that any module may import this one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypedDict, runtime_checkable

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, row 0 at the top."""

Action = npt.NDArray[np.float32]
"""(K, D): K controller commands, executed one after another before the next observation."""

Actions = npt.NDArray[np.float32]
"""(N, K, D): the next N actions an agent commits to; N observations will come back."""


class Observation(TypedDict):
    """One look at the scene; an element of the environment's ``observation_space``."""

    images: dict[str, Image]
    """The picture of each camera: ``head`` first, then ``left_wrist``, ``right_wrist``, or ``wrist`` where there is one
    arm. Empty for an agent that looks at no picture."""
    state: npt.NDArray[np.float32]
    """(S,) proprioception, in the layout the environment's docstring gives."""


class _EveryInfo(TypedDict):
    commands: int
    """Controller commands executed since the reset, warm-up not counted."""
    progress: int | float
    """Steps of the task reached, at most ``max_progress``."""
    max_progress: int | float
    """Steps that the task defines."""
    out_of_bounds: int
    """Commands with a value outside the action space, which the simulator got unchanged."""
    protocol: str


class Info(_EveryInfo, total=False):
    """An environment says this besides, as Gymnasium's ``info``: its account of the episode so far. Nothing privileged
    is in it. The keys here may be missing, those of its base never are (Python 3.10 has no NotRequired)."""

    plan_failures: int
    """It is counted where the simulator has a planner."""
    first_pose: Sequence[float]
    """(D,): a reset gives it where commands are relative to the first pose."""


@dataclass(frozen=True)
class Column:
    """One number of a command or of a state."""

    name: str
    """The name is unique among its row's. An ``x``, ``y`` or ``z`` is a position or a translation; ``rx``, ``ry``,
    ``rz`` are an axis-angle; ``qw``, ``qx``, ``qy``, ``qz`` a quaternion. Where there are two arms, ``left_`` or
    ``right_`` comes before it. The frame is in :attr:`EnvSpec.conventions`."""
    unit: str
    """The unit in words: "m", "rad", "1" for a number that has none, "1 = 5 cm" for a command that is scaled, or what
    its ends mean, "0 closed .. 1 open"."""


@dataclass(frozen=True)
class EnvSpec:
    """Everything that an agent may know of an environment, known before a simulator starts.

    Whoever makes an agent compares this with what the agent speaks (``agents/speaks.py``). The environment's action and
    observation space follow from it (``envs/spaces.py``).
    """

    cameras: Mapping[str, tuple[int, int]]
    """Height and width in pixels of each picture, by camera, in the order of ``Observation.images``; empty when no
    picture is rendered."""
    columns: tuple[Column, ...]
    """(D,): what each number of a command is."""
    low: tuple[float, ...]
    """(D,): the least value of each command column that counts as inside the bounds."""
    high: tuple[float, ...]
    """(D,): the largest."""
    state: tuple[Column, ...]
    """(S,): what each number of ``Observation.state`` is."""
    commands_per_second: float
    """Control rate in Hz."""
    commands_per_action: int
    """K: commands run before the next look."""
    channels: tuple[int, ...] = ()
    """(D,): which of LingBot-VA's 30 shared action channels each command column is: 0-6 left EEF pose, 7-13 right EEF
    pose, 14-20 left joints, 21-27 right joints, 28 left gripper, 29 right gripper. Empty where LingBot-VA has none
    for them."""
    conventions: Mapping[str, str] = field(default_factory=dict)
    """Conventions by name, in words: pose frame, rotation, gripper."""
    idle: tuple[float, ...] = ()
    """(D,): the command that asks for no motion. Empty where commands are laid out as the state, which then is one."""

    @property
    def looks_per_second(self) -> float:
        """Return how often the agent sees the scene, in Hz."""
        return self.commands_per_second / self.commands_per_action


def columns(names: str, unit: str) -> tuple[Column, ...]:
    """Return one column of this unit for each of the ``names``, which stand apart by spaces."""
    return tuple(Column(name, unit) for name in names.split())


class Agent(Protocol):
    """An agent is anything that turns what it has seen into what to do next."""

    def reset(self, instruction: str, *, seed: int) -> None:
        """Forget the last episode and read the new instruction."""

    def act(self, frames: Sequence[Observation]) -> Actions:
        """Return the next actions, given every observation since the last call, oldest first."""


@dataclass(frozen=True)
class Imagined:
    """One observation as an agent had predicted it."""

    images: dict[str, Image]
    """The picture of each camera; the size is the agent's own."""
    caption: str
    """It says in words of which prediction this is part."""


@dataclass(frozen=True, slots=True)
class ImaginationError:
    """This says how far predictions were from what came: over the latent frames of an episode that were predicted,
    executed and read by the agent (the last chunk's never are)."""

    latent_mse: float
    """Mean squared error of the latents, in standard deviations of the encoder's training data squared."""
    frames: int
    """Latent frames compared."""
    psnr: float | None
    """Peak signal-to-noise ratio in dB, peak 1, of the decoded predictions against the decoded latents of the real
    pictures, so without what the encoder itself loses; from the mean squared error over all pixels. It is None where
    nothing was decoded."""


@runtime_checkable
class Imagines(Protocol):
    """An :class:`Agent` that predicts what it will see can do this besides."""

    def imagined(self) -> Iterator[Imagined]:
        """Yield one for each observation since the last reset, oldest first, and beyond them to the last prediction's
        end. The first is the given observation itself."""

    def imagination_error(self) -> ImaginationError | None:
        """Return the error since the last reset; None where nothing came back yet, or something is not finite. PSNR is
        over what :meth:`imagined` gave."""


class _WithId:
    """It keeps an id that was put together once. That is no field: it is neither compared nor written."""

    __slots__ = ("_id",)
    if TYPE_CHECKING:
        _id: str


@dataclass(frozen=True, slots=True)
class Episode(_WithId):
    """One cell of the experiment, fixed before anything runs."""

    suite: str
    task: str
    seed: int
    """Seeds the environment (scene, fixtures). The agent's noise is seeded with :attr:`agent_seed`."""
    instruction: str
    setting: str = ""
    """"easy" or "hard" where the benchmark has them."""
    initial_state: int | None = None
    """The index of the stored initial state, where the benchmark stores some."""
    index: int = 0
    """k: its place among its task's episodes. Under protocols that keep one environment per task, the scene depends on
    the k resets before it. It is not part of the id: seed and initial state tell the episodes of a task apart."""

    @property
    def id(self) -> str:
        try:
            return self._id
        except AttributeError:
            state = "-" if self.initial_state is None else self.initial_state
            id = f"{self.suite}/{self.task}/{self.setting or '-'}/{self.seed}/{state}"
            object.__setattr__(self, "_id", id)
            return id

    @property
    def agent_seed(self) -> int:
        """Return 31 bits of the id's hash: protocols that give every episode the same environment seed (openpi: 7)
        would otherwise show the agent the same noise fifty times."""
        return seed_of(self.id)


def seed_of(episode_id: str) -> int:
    return zlib.crc32(episode_id.encode()) & 0x7FFF_FFFF


class Outcome(str, Enum):  # StrEnum needs Python 3.11; simulators are on 3.10
    SUCCESS = "success"
    FAILURE = "failure"
    """The command limit came first."""
    ERROR = "error"
    """Something raised, hung or died. Counted apart: it says nothing about the agent."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """It says who played an episode, under which rules, on what."""

    agent: str
    checkpoint: str
    """Content hash of the weights; empty for an agent without any."""
    protocol: str
    protocol_hash: str
    versions: Mapping[str, str]
    host: str


@dataclass(frozen=True, slots=True)
class Spent:
    """It says where an episode's wall time went, in seconds."""

    model: float
    """Seconds in the agent, apart from waiting."""
    simulator: float
    """Seconds in the environment, reset and warm-up included."""
    waiting: float
    """Seconds of waiting for forwards that the agent shares with other sessions."""

    @property
    def sum(self) -> float:
        return self.model + self.simulator + self.waiting


@dataclass(frozen=True, slots=True)
class Trial:
    """The person at a real robot noted this of an episode."""

    operator: str
    points: tuple[float, ...]
    """Points by step of the rubric; their sum is ``progress``."""
    reason: str = ""
    """Why the episode failed, where it did."""
    interventions: int = 0
    retries: int = 0
    note: str = ""
    videos: tuple[str, ...] = ()
    """Absolute paths of files."""


@dataclass(frozen=True, slots=True)
class Correction:
    """It says why a record takes the place of the one before it, which stays in the file."""

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """It says what happened in an episode; it is one line of the results file."""

    episode: Episode
    outcome: Outcome
    commands: int
    """Controller commands executed; the unit of the benchmarks' limits. Warm-up is not counted. 0 for a trial that a
    person scored: nobody counts there."""
    seconds: float
    """Wall time from reset to outcome."""
    progress: float = 0.0
    """Steps of the task reached, at most ``max_progress``."""
    max_progress: float = 0.0
    """Steps the task defines; 0 where the benchmark defines none."""
    out_of_bounds: int = 0
    """Commands with a value outside the action space, which the simulator got unchanged."""
    plan_failures: int = 0
    """Times an arm held still because the simulator's planner found no path for a command."""
    error: str = ""
    attempt: int = 1
    finished: str = ""
    """UTC, ISO 8601."""
    provenance: Provenance | None = None
    spent: Spent | None = None
    """None for an ERROR."""
    imagination: ImaginationError | None = None
    """None for an agent that imagines nothing."""
    trial: Trial | None = None
    """None where no person scored."""
    correction: Correction | None = None
    """None for what was recorded first."""
    schema: int = 1
    """Version of this record's layout."""

    @property
    def recording(self) -> float | None:
        """Return those of ``seconds`` that were not ``spent``: drawing pictures for a film, keeping commands."""
        return max(0.0, self.seconds - self.spent.sum) if self.spent else None
