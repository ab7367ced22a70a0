"""In one evaluation everything is decided and refused before the first process starts, then the episodes are played."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from lingbot_eval.agents import kind_of
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say
from lingbot_eval.revision import code_hash, git_revision
from lingbot_eval.runs import coordinator
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.experiment import Experiment, experiment_of
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.workers import decided
from lingbot_eval.settings import AgentSettings, EnvSettings, Limits, RaySettings, RunSettings
from lingbot_eval.suites import suite_named, training
from lingbot_eval.suites.machine import Machine, inspect
from lingbot_eval.suites.suite import Asked
from lingbot_eval.trackers import require
from lingbot_eval.types import EnvSpec, Episode, Provenance

RUNS = Path("runs")
"""Run directories that nobody named are here."""


@dataclass(frozen=True)
class Evaluation:
    """Says what will be played, with every choice made."""

    settings: RunSettings
    machine: Machine
    experiment: Experiment

    @property
    def folder(self) -> Path:
        """Return the run directory where no other is asked for."""
        return RUNS / self.experiment.folder_name

    def episodes(self, search: bool) -> list[Episode]:
        """Return the plan. ``search``: scenes that are missing are looked for first.

        Raises NotReady, and BadInput where another agent than the expert would play in scenes for training.
        """
        suite, chosen = suite_named(self.settings.suite.name), self.settings
        workers = chosen.workers or 1
        planned = suite.plan(suite, Asked(chosen.suite, chosen.protocol, self.machine, search, chosen.limits, workers))
        training.refuse_mixture(planned, expert=kind_of(chosen.agent).privileged)
        return planned

    def provenance(self) -> Provenance:
        """Return what is known of each record before a worker adds what it computes on."""
        chosen = self.settings
        versions = {
            "lingbot_eval": metadata.version("lingbot_eval"),
            "git": git_revision(),
            "code": code_hash(),
            **self.machine.notes,
            **self.machine.facts,
            **kind_of(chosen.agent).versions(chosen.agent, chosen.limits),
        }
        return Provenance(
            agent=chosen.agent.name,
            checkpoint=self.experiment.checkpoint,
            protocol=chosen.protocol.name,
            protocol_hash=self.experiment.protocol_hash,
            versions=versions,
            host=socket.gethostname(),
        )

    def play(
        self,
        folder: RunDirectory,
        episodes: Sequence[Episode],
        tell: Callable[[EpisodeUpdate], None],
        command: str,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Play those of ``episodes`` that have no record yet, as :func:`coordinator.play`."""
        coordinator.play(folder, episodes, self.settings, self.provenance(), tell, command, stopping)


def prepare(chosen: RunSettings, rehash: bool = False) -> Evaluation:
    """Look at this machine and the agent's files. ``rehash``: what is remembered of the hashes of its files does not
    count.

    Raises BadInput, UnknownName, and NotReady that says everything that is missing.
    """
    require(chosen.tracker)
    suite, kind = suite_named(chosen.suite.name), kind_of(chosen.agent)
    scenes = suite.scenes(suite, chosen.suite, chosen.protocol)
    specs = specs_of(chosen)  # a wrong name costs no look at the machine
    if not suite.expert_finds_scenes:
        suite.plan(suite, Asked(chosen.suite, chosen.protocol))
    missing: list[str] = []
    try:
        chosen = decided(chosen)
    except NotReady as error:
        missing.append(str(error))
    try:
        machine = inspect(suite, chosen.env, chosen.agent.looks or chosen.films != "off", scenes)
    except NotReady as error:
        missing.append(str(error))
    try:
        agent, checkpoint = _checked(chosen.agent, specs, rehash, chosen.limits)
        if not isinstance(chosen.cluster, RaySettings):  # they play on other machines: the device stays open
            agent = kind.place(agent, chosen.workers or 1, tuple(map(str, chosen.cluster.gpus or ())))
    except NotReady as error:
        missing.append(str(error))
    if missing:
        lines = "\n".join(missing).splitlines()
        raise NotReady("\n".join([*_listed(lines), *filter(None, (suite.instead,))]))
    for words in filter(None, (machine.notes.get("warning"), *machine.said)):
        say(f"run-suite: {words}", file=sys.stderr)
    chosen = msgspec.structs.replace(chosen, env=machine.simulator, agent=agent)
    return Evaluation(chosen, machine, experiment_of(chosen, machine, checkpoint, kind.trained(agent)))


def specs_of(chosen: RunSettings) -> list[tuple[str, EnvSpec]]:
    """Return what the environments of a run speak: each specification once, with the first task that has it.

    Raises UnknownName, BadInput.
    """
    suite = suite_named(chosen.suite.name)
    found: list[tuple[str, EnvSpec]] = []
    for part, task in suite.chosen(chosen.suite):
        spec = suite.env_spec(
            EnvSettings(
                simulator=chosen.env,
                protocol=chosen.protocol,
                suite=part,
                task=task,
                commands_per_action=chosen.agent.commands_per_action,
                cameras=chosen.agent.looks,
                render=False,
            )
        )
        if spec not in (known for _, known in found):
            found.append((f"{part}/{task}", spec))
    return found


def _checked(
    agent: AgentSettings, specs: Sequence[tuple[str, EnvSpec]], fresh: bool, limits: Limits
) -> tuple[AgentSettings, str]:
    """Return the agent's settings and hash, as :meth:`AgentKind.check`, once it can play all that there will be."""
    (_, first), *others = specs
    kind = kind_of(agent)
    chosen, checkpoint = kind.check(agent, first, fresh, limits)
    for task, spec in others:
        try:
            kind.check(chosen, spec, limits=limits)
        except BadInput as error:
            raise BadInput(f"{task}: {error}") from None
    return chosen, checkpoint


def _listed(missing: Sequence[str]) -> list[str]:
    """Write one thing on the same line, and several on a line each."""
    return list(missing) if len(missing) == 1 else ["not ready; what is missing:", *(f"  - {line}" for line in missing)]
