"""What the simulator's process may answer. Anything else ends it: ImpossibleAnswer."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from lingbot_eval.child import Answer
from lingbot_eval.plausible import MOST
from lingbot_eval.types import EnvSpec

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Steps = Annotated[int, msgspec.Meta(ge=0, le=MOST)] | Annotated[float, msgspec.Meta(ge=0.0, le=float(MOST))]
Pixels = Annotated[int, msgspec.Meta(ge=1, le=8192)]


class Info(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Gymnasium's ``info``, as every environment here gives it."""

    commands: Count
    progress: Steps
    max_progress: Steps
    out_of_bounds: Count
    protocol: str
    plan_failures: Count | msgspec.UnsetType = msgspec.UNSET
    """Where there is a planner."""
    first_pose: Annotated[tuple[float, ...], msgspec.Meta(min_length=16, max_length=16)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    """Of a reset where commands are relative to it (``envs/robotwin/relative.py``)."""

    def as_dict(self) -> dict[str, Any]:
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


class Made(Answer):
    """The environment stands. Both spaces follow from its specification (``spaces.py``)."""

    env_spec: EnvSpec
    metadata: dict[str, list[str] | str | float | int | None]


class Looked(Answer):
    """After ``reset``; the observation is in the frame."""

    info: Info


class Stepped(Answer):
    """As :class:`Looked`."""

    reward: float
    terminated: bool
    truncated: bool
    info: Info


class Drawn(Answer):
    """A picture is in the frame."""

    shape: tuple[Pixels, Pixels, Literal[3]]


class Commanded(Answer):
    command: list[float]
    """(D,)"""


class Auditioned(Answer):
    """As ``RoboTwinEnv.audition``."""

    outcome: Literal["solved", "unstable", "unsolved"]
    reason: str
    sentences: dict[str, str]
