"""An experiment is what must be the same for a run to be continued, or to be added to: other tasks of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.names import safe_name
from lingbot_eval.settings import RunSettings, protocol_hash, to_dict
from lingbot_eval.settings.run import UNSTATED
from lingbot_eval.settings.trained import Trained
from lingbot_eval.suites.machine import Machine


class Played(msgspec.Struct, frozen=True):
    """Says which benchmark is played, and how much of each task."""

    name: str
    seed: int
    """It is the base seed."""
    episodes: int = 0
    """Each task has so many episodes, in each setting."""


class Step(msgspec.Struct, frozen=True):
    name: str
    points: float


class Rubric(msgspec.Struct, frozen=True):
    """This much is read of a rubric of a real robot's protocol (``trials/rubric.py``)."""

    task: str
    title: str
    success: str
    steps: tuple[Step, ...]


class Conventions(msgspec.Struct, frozen=True):
    """This much is read of a protocol, whatever was played."""

    name: str
    rubrics: tuple[Rubric, ...] = ()
    """A simulator's protocol has none."""
    episodes_per_task: int = 0
    """A real robot's protocol leaves it open."""


class Experiment(msgspec.Struct, frozen=True):
    """Holds everything that an episode's result depends on, besides the episode itself and the machine. It is kept in
    ``run.json``, which must be read by people who have neither the suite nor the agent installed: what those two say
    is plain data here."""

    suite: Played
    protocol: Mapping[str, Any]
    """It has the conventions, every value."""
    facts: Mapping[str, str]
    """They are what can move a score about the simulator, or the robot."""
    protocol_hash: str
    """These are 12 hex digits over both."""
    agent: Mapping[str, Any]
    """It has the ``name``, and what of its settings is part of the experiment (``AgentSettings.identity``)."""
    checkpoint: str
    """These are 12 hex digits over the content of what the agent plays from; it is empty where that is nothing."""
    regime: str
    """It says what the checkpoint was trained on: in its own words where it has any, else in the user's."""
    trained: Trained | None = None
    """It is what the checkpoint says of its training; None where it says nothing, as in every run of 0.2.0."""
    more: Mapping[str, Any] = {}
    """Another version of this package wrote this besides, in the places where it stood."""

    @property
    def agent_name(self) -> str:
        return str(self.agent["name"])

    @property
    def protocol_name(self) -> str:
        return str(self.protocol["name"])

    @property
    def conventions(self) -> Conventions:
        return msgspec.convert(self.protocol, Conventions)

    @property
    def player(self) -> str:
        """Name the agent for people, with the hash of what it plays from."""
        return f"{self.agent_name} {self.checkpoint}".strip()

    @property
    def rules(self) -> str:
        """Name the protocol for people, with its hash."""
        return f"{self.protocol_name} [{self.protocol_hash}]"

    def as_dict(self) -> dict[str, Any]:
        """Return it as ``run.json`` has it."""
        known = to_dict(self)
        if self.trained is None:  # run directories are named by a hash over this
            del known["trained"]
        return _merged(known, known.pop("more"))

    @property
    def digest(self) -> str:
        """Return 8 hex digits over all of it."""
        content = json.dumps(self.as_dict(), sort_keys=True)  # as 0.1.0 named run directories by
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def folder_name(self) -> str:
        """Return the same name for the same experiment, so that the same command goes on with it."""
        preset = self.protocol_name.split()[0]
        return f"{self.suite.name}-{safe_name(self.agent_name)}-{preset}-{self.digest}"


def experiment_of(chosen: RunSettings, machine: Machine, checkpoint: str, trained: Trained | None = None) -> Experiment:
    """Return the experiment that a run with these settings is, on this machine's simulator. ``trained``: what the
    checkpoint says of its training.

    Raises BadInput for a regime that the checkpoint contradicts.
    """
    return Experiment(
        suite=Played(
            name=chosen.suite.name,
            seed=chosen.protocol.seed if chosen.suite.seed is None else chosen.suite.seed,
            episodes=chosen.suite.episodes or chosen.protocol.episodes_per_task,
        ),
        protocol=to_dict(chosen.protocol),
        facts=machine.facts,
        protocol_hash=protocol_hash(chosen.protocol, machine.facts),
        agent={**chosen.agent.identity(), "name": chosen.agent.name},
        checkpoint=checkpoint,
        regime=_regime(chosen.regime, trained),
        trained=trained,
    )


def _regime(said: str, trained: Trained | None) -> str:
    """Return the training regime. A checkpoint knows better than who plays it: other words than its own are refused,
    since a table would have them beside its hash."""
    if trained is None or said == trained.regime:
        return said
    if said == UNSTATED:
        return trained.regime
    raise BadInput(f"regime {said!r}: the checkpoint itself says {trained.regime!r}; leave --regime out")


def more_than_known(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :class:`Experiment` has no field for of the one in a ``run.json``, for :attr:`Experiment.more`."""
    known = set(Experiment.__struct_fields__) - {"more"}
    more = {name: value for name, value in plain.items() if name not in known}
    played = {name: value for name, value in plain["suite"].items() if name not in Played.__struct_fields__}
    return {**more, "suite": played} if played else more


def _merged(known: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {**known, **more, "suite": {**known["suite"], **more.get("suite", {})}}
