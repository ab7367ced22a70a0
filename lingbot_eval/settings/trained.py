"""What a checkpoint says of its own training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

Episodes = Annotated[int, msgspec.Meta(ge=0)]

LONGEST_REGIME = 200
"""Characters that a table has room for."""


class Trained(msgspec.Struct, frozen=True):
    """This much of it belongs to an experiment, and stands in its tables."""

    regime: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_REGIME)]
    """What it was trained on, in words short enough for a table."""
    tasks: Mapping[str, Mapping[str, Mapping[str, Episodes]]]
    """Episodes in the data, by part of the benchmark, task and setting (empty where the benchmark has none)."""

    def contains(self, part: str, task: str) -> bool:
        """Say whether the data has an episode of a task, in whatever setting."""
        return any(self.tasks.get(part, {}).get(task, {}).values())

    @property
    def as_trained(self) -> Trained:
        """Return this much alone."""
        return Trained(self.regime, self.tasks)


class Rate(msgspec.Struct, frozen=True):
    """Says how often the checkpoint succeeded at a task, and under which rules."""

    part: str
    task: str
    setting: str
    successes: Annotated[int, msgspec.Meta(ge=0)]
    trials: Annotated[int, msgspec.Meta(ge=1)]
    protocol: str
    protocol_hash: str


class Training(Trained, frozen=True):
    """All of it, for ``lingbot_eval.json`` and the model card."""

    data: str
    """Hash of the content of the data."""
    base: str
    """Hash of the checkpoint that training began with."""
    steps: int
    """Optimizer steps taken."""
    recipe: Mapping[str, Any]
    """The trainer's settings, as plain data."""
    curve: Mapping[str, float]
    """The last value of each curve, by name."""
    versions: Mapping[str, str]
    rates: tuple[Rate, ...] = ()
    """Measured afterwards; another rate makes no other checkpoint (:meth:`identity`)."""

    def identity(self) -> dict[str, Any]:
        """Return what counts in the checkpoint's hash: everything but ``rates``, which were measured of that hash."""
        known: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in known.items() if name != "rates"}
