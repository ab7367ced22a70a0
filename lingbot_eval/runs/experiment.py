"""What must be the same for a run to be continued, or to be added to: other tasks of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from lingbot_eval.names import safe_name
from lingbot_eval.settings import RunSettings, protocol_hash, to_dict
from lingbot_eval.suites.machine import Machine


class Played(msgspec.Struct, frozen=True):
    """Which benchmark, and how much of each task."""

    name: str
    seed: int
    """The base seed."""
    episodes: int
    """How many each task has, in each setting."""


class Experiment(msgspec.Struct, frozen=True):
    """Everything that an episode's result depends on, besides the episode itself and the machine. It is kept in
    ``run.json``, which must be read by people who have neither the suite nor the agent installed: what those two say
    is plain data here."""

    suite: Played
    protocol: dict[str, Any]
    """The conventions, every value."""
    facts: dict[str, str]
    """What about the simulator can move a score."""
    protocol_hash: str
    """12 hex digits over both."""
    agent: dict[str, Any]
    """Its ``name``, and what of its settings is part of the experiment (``AgentSettings.identity``)."""
    checkpoint: str
    """12 hex digits over the content of what the agent plays from; empty where it plays from nothing."""
    regime: str
    """What the checkpoint was trained on, in the user's words."""

    @property
    def digest(self) -> str:
        """8 hex digits over all of it."""
        content = json.dumps(to_dict(self), sort_keys=True)  # as 0.1.0 named run directories by
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def folder_name(self) -> str:
        """The same for the same experiment, so that the same command goes on with it."""
        preset = str(self.protocol["name"]).split()[0]
        agent = safe_name(str(self.agent["name"]))
        return f"{self.suite.name}-{agent}-{preset}-{self.digest}"


def experiment_of(chosen: RunSettings, machine: Machine, checkpoint: str) -> Experiment:
    """The experiment that a run with these settings is, on this machine's simulator."""
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
        regime=chosen.regime,
    )
