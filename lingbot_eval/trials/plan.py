"""The plan says which method is tried when, before the first trial."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.names import safe_name
from lingbot_eval.runs.experiment import Experiment, Played
from lingbot_eval.settings import protocol_hash, to_dict
from lingbot_eval.trials.rubric import Rubric
from lingbot_eval.types import Episode

SUITE = "real"

SEED_BLOCK = 1000
"""Set-up k of a trial session has seed ``SEED_BLOCK * seed + k``: sessions with other seeds share no episode."""

Order = Literal["alternating", "blinded"]


class TrialProtocol(msgspec.Struct, frozen=True, tag_field="benchmark", tag=SUITE):
    """Scores can be compared where this is equal, together with the platform."""

    name: str
    order: Order
    rubrics: tuple[Rubric, ...]


class TrialPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In a trial session every method tries every task from the same set-ups.

    Raises BadInput, UnknownName.
    """

    rubrics: Annotated[tuple[Rubric, ...], msgspec.Meta(min_length=1)]
    methods: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    trials: Annotated[int, msgspec.Meta(ge=1, le=SEED_BLOCK)]
    """Each method has so many trials at each task."""
    order: Order
    """From one set-up, the methods follow each other as they are listed (alternating), or in an order drawn anew for
    every set-up, and then they are not shown to the person who scores (blinded)."""
    seed: Annotated[int, msgspec.Meta(ge=0)]
    """The drawn order comes from it, and the episodes' names."""
    platform: str
    """The name of the robot; it may be empty."""
    regime: str
    """It says what the methods were trained on, in the user's words."""

    def __post_init__(self) -> None:
        tasks = [rubric.task for rubric in self.rubrics]
        for what, names in (("task", tasks), ("method", [safe_name(method) for method in self.methods])):
            if len(set(names)) < len(names):
                given = ", ".join(names)
                raise BadInput(
                    f"every {what} must be named once, and the names must differ as names of folders too; given: "
                    f"{given}"
                )
        for rubric in self.rubrics:
            if rubric.platforms and self.platform not in rubric.platforms:
                raise UnknownName(f"platform of {rubric.task}", self.platform, rubric.platforms)

    def rubric(self, task: str) -> Rubric:
        return next(rubric for rubric in self.rubrics if rubric.task == task)

    def episodes(self) -> list[Episode]:
        """List each method's episodes, task by task and set-up by set-up."""
        return [
            Episode(SUITE, rubric.task, SEED_BLOCK * self.seed + k, rubric.instruction, index=k)
            for rubric in self.rubrics
            for k in range(self.trials)
        ]

    def slots(self) -> list[Slot]:
        """List every trial in the order in which they are run."""
        return [Slot(method, episode) for episode in self.episodes() for method in self._turns(episode)]

    def _turns(self, episode: Episode) -> list[str]:
        if self.order == "alternating":
            return list(self.methods)
        return sorted(self.methods, key=lambda method: _draw(f"{self.seed}/{episode.id}/{method}"))

    def experiment(self, method: str) -> Experiment:
        """Say what the run directory of ``method`` holds, in the words of ``run-suite``."""
        protocol = TrialProtocol("trials", self.order, self.rubrics)
        facts = {"platform": self.platform} if self.platform else {}
        return Experiment(
            suite=Played(SUITE, self.seed, self.trials),
            protocol=to_dict(protocol),
            facts=facts,
            protocol_hash=protocol_hash(protocol, facts),
            agent={"name": method},
            checkpoint="",
            regime=self.regime,
        )


@dataclass(frozen=True)
class Slot:
    """One trial to be run."""

    method: str
    episode: Episode


def _draw(text: str) -> bytes:
    """Draw the same on every machine, whatever its numpy."""
    return hashlib.sha256(text.encode()).digest()
