"""These are the answers that the simulator's process may give. Any other ends it: ImpossibleAnswer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from lingbot_eval.child import Answer
from lingbot_eval.plausible import MOST
from lingbot_eval.types import EnvSpec, Info

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Steps = Annotated[int, msgspec.Meta(ge=0, le=MOST)] | Annotated[float, msgspec.Meta(ge=0.0, le=float(MOST))]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Account(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """This is an :class:`Info` with the bounds of what it may say, and nothing else in it."""

    commands: Count
    progress: Steps
    max_progress: Steps
    out_of_bounds: Count
    protocol: str
    plan_failures: Count | msgspec.UnsetType = msgspec.UNSET
    first_pose: Annotated[tuple[float, ...], msgspec.Meta(min_length=16, max_length=16)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """A reset gives it where commands are relative to it."""

    def as_info(self) -> Info:
        info: Info = msgspec.to_builtins(self)
        return info


class Made(Answer):
    """The environment stands. Both spaces follow from its specification (``spaces.py``)."""

    env_spec: EnvSpec
    metadata: dict[str, list[str] | str | float | int | None]


class Looked(Answer):
    """The environment was reset; the observation is in the shared memory."""

    info: Account


class Stepped(Answer):
    """An action was run; the observation is in the shared memory."""

    reward: float
    terminated: bool
    truncated: bool
    info: Account


class Drawn(Answer):
    """A picture of this shape is in the shared memory."""

    shape: tuple[Pixels, Pixels, Literal[3]]


class Commanded(Answer):
    command: list[float]
    """(D,): what the expert would command now."""


class Auditioned(Answer):
    """The expert tried a scene: ``RoboTwinEnv.audition`` says what each field means."""

    outcome: Literal["solved", "unstable", "unsolved"]
    reason: str
    sentences: dict[str, str]
