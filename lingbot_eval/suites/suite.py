"""A benchmark is one object. Read ``toy.py`` beside this file for the smallest one.

A benchmark of your own is a :class:`Suite` that the entry-point group ``lingbot_eval.suites`` names, and a Gymnasium
environment that keeps the contract (``envs/testing.py`` checks it); docs/extending.md has one in a file.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import yaml

from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.plugins import brought_by
from lingbot_eval.settings import (
    AgentSettings,
    Count,
    EnvSettings,
    Limits,
    Protocol,
    RunSettings,
    Setting,
    SimulatorSettings,
    SuiteSettings,
    as_struct,
)
from lingbot_eval.suites.paper import Paper
from lingbot_eval.types import EnvSpec, Episode, Info

if TYPE_CHECKING:
    from lingbot_eval.episode import Env
    from lingbot_eval.suites.machine import Machine

LARGEST_SEED = 2**32 - 1
"""The largest seed that numpy's global generator takes."""

DOCTORS = ("checkpoint", "help", "parts", "python")
"""The flags that ``doctor`` has of its own."""

Task = tuple[str, str, str]
"""Part of the benchmark, task, setting."""

Scenes = Iterable[tuple[str, str]]
"""(task, setting) pairs that will be played."""

Command = npt.NDArray[np.float32]
"""(D,): one command."""


@dataclass(frozen=True)
class Asked:
    """A plan is made for this."""

    suite: SuiteSettings
    protocol: Protocol
    machine: Machine | None = None
    """The simulator has found this on the machine; None before anybody has looked."""
    search: bool = False
    """Whether scenes that are missing are looked for, which may take hours."""
    limits: Limits | None = None
    """The limits of the simulators that look for scenes."""
    workers: int = 1
    """How many simulators look for scenes at once."""

    @property
    def base_seed(self) -> int:
        return self.protocol.seed if self.suite.seed is None else self.suite.seed

    @property
    def episodes(self) -> int:
        """Return how many episodes each task has, in each setting."""
        return self.suite.episodes or self.protocol.episodes_per_task


PLAIN: Mapping[str, int] = {"seed": 0, "seed_block": 10000, "episodes_per_task": 10}
"""What a preset has that does not say it otherwise."""


class LimitedProtocol(Protocol, frozen=True, forbid_unknown_fields=True):
    """The protocol of a benchmark that has no type of its own for it."""

    command_limit: Count
    """The most commands that an episode may take."""


def plan_by_seed(suite: Suite, asked: Asked) -> list[Episode]:
    """A plan whose scenes follow from seeds."""
    return by_seed(suite, asked, suite.instruction)


def limit_of_protocol(protocol: Protocol, task: Task) -> int:
    limit: int = msgspec.structs.asdict(protocol)["command_limit"]
    return limit


def needs(*distributions: str) -> Callable[[SimulatorSettings, bool, Scenes], Machine]:
    """A :attr:`Suite.look_around` for environments that run wherever these distributions are installed; their versions
    can move a score."""

    def look_around(simulator: SimulatorSettings, draws: bool, scenes: Scenes) -> Machine:
        from lingbot_eval.suites.machine import Machine, installed, python_versions

        facts = installed(*distributions)
        if missing := [name for name in distributions if name not in facts]:
            raise NotReady(f"{', '.join(missing)}: not installed (pip install {' '.join(missing)})")
        return Machine(simulator, facts, python_versions())

    return look_around


needs_nothing = needs()


def needs_itself(simulator: SimulatorSettings, draws: bool, scenes: Scenes) -> Machine:
    """The :attr:`Suite.look_around` of a benchmark that says none: another version of the distribution that brings it
    can move a score. This package's own benchmarks say themselves what can."""
    from lingbot_eval.suites import GROUP

    brings = brought_by(GROUP, str(simulator.__struct_config__.tag))
    return needs(*filter(None, [brings]))(simulator, draws, scenes)


def no_scenes(suite: Suite, asked: SuiteSettings, protocol: Protocol) -> list[tuple[str, str]]:
    return []


def nothing_to_say(protocol: Protocol) -> list[str]:
    return []


def no_wordings(task: str, instruction: str) -> Sequence[str]:
    return ()


def as_it_was(protocol: Protocol, first: Info, command: Command) -> Command:
    return command


@dataclass(frozen=True)
class Suite:
    """A suite says what a benchmark consists of, under which conventions it is played, and what it needs."""

    name: str
    """The name as it is typed (``run-suite NAME``); also the tag of its protocol and its simulator's settings."""
    title: str
    """The name as people write it; also part of the Gymnasium ids ``lingbot_eval/<title>-…-v0``."""
    tasks: Mapping[str, tuple[str, ...]]
    """The tasks of each part of the benchmark (``Episode.suite``), in the order that gives them their index. A
    benchmark in one piece has one part, which bears its name."""
    make_env: Callable[[EnvSettings], Env]
    """Makes the environment in this process, which its simulator then changes for good. It imports the simulator."""
    env_spec: Callable[[EnvSettings], EnvSpec]
    """Returns what such an environment speaks, which is known without a simulator."""
    protocol: type[Protocol] = LimitedProtocol
    """A type of its own, where its protocols say more than how many commands an episode may take."""
    simulator: type[SimulatorSettings] = SimulatorSettings
    """A type of its own, where its simulator has settings."""
    instructions: Mapping[str, str] = field(default_factory=dict)
    """The sentence that the agent is given, by task; a task that is missing is told by its name."""
    plan: Callable[[Suite, Asked], list[Episode]] = plan_by_seed
    """Returns every episode, task by task. Raises UnknownName, BadInput; NotReady where scenes are missing."""
    command_limit: Callable[[Protocol, Task], int] = limit_of_protocol
    """Returns the most commands that an episode of a task may take. Before any task was measured, tasks are taken to
    need time in this proportion."""
    look_around: Callable[[SimulatorSettings, bool, Scenes], Machine] = needs_itself
    """Says whether this machine is ready (NotReady names everything that is missing, a line each), which choices are
    made here, and what about it can move a score. It runs in the simulator's interpreter. The flag: pictures will be
    wanted."""
    default_protocol: str = ""
    """Empty: the first of :attr:`protocols`."""
    default_agent: str = "random"
    expert: str = ""
    """``module:Class`` of the privileged expert, which the simulator's process loads; empty where there is none."""
    settings: tuple[Setting, ...] = ()
    """The settings that tasks are played in, where the benchmark has them."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Short names of parts, for ``--suite``."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Groups of tasks that ``--group`` chooses among."""
    agent_presets: Mapping[str, str] = field(default_factory=dict)
    """The preset of ``conf/agent`` that an agent is played with here, by agent, if it is not the one of its own
    name."""
    post_training: str = ""
    """The preset of ``conf/agent/lingbot-va`` whose names of cameras and commands an exported dataset has; empty where
    LingBot-VA does not play the benchmark."""
    commands_per_action: int = 1
    """K of environments that ``gymnasium.make`` gives."""
    scenes: Callable[[Suite, SuiteSettings, Protocol], Sequence[tuple[str, str]]] = no_scenes
    """Returns the (task, setting) pairs that will be played, for benchmarks that need other things for other scenes."""
    expert_finds_scenes: bool = False
    """Whether an episode's scene is one that the expert solved before: the plan then depends on the machine, and on a
    manifest of scenes (``manifest.py``)."""
    remarks: Callable[[Protocol], list[str]] = nothing_to_say
    """Returns sentences that whoever starts a run under a protocol should read."""
    instead: str = ""
    """A sentence about what could be played where this benchmark is not ready."""
    optional: bool = True
    """Whether ``doctor`` is content with a machine that is not ready for it."""
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """The field of the simulator's settings that a flag of ``doctor`` sets, and the flag's help, by flag. A flag that
    two benchmarks have sets the fields of both."""
    absolute: Callable[[Protocol, Info, Command], Command] = as_it_was
    """Returns a recorded command in the world frame, given the info of the episode's reset, for whoever exports it."""
    wordings: Callable[[str, str], Sequence[str]] = no_wordings
    """Returns how a task's instruction (both are given) may be said otherwise to a model in training: never a sentence
    that evaluation keeps back."""
    to_collect: Mapping[str, str] = field(default_factory=dict)
    """By name, settings of the protocol that demonstrations are collected under, where evaluation's would give away
    what it keeps back: sentences that are never trained on, stored scenes."""
    moves_a_score: Mapping[str, str] = field(default_factory=dict)
    """By fact of :attr:`look_around`: why another value of it can move a score."""
    paper: Paper | None = None
    """How papers print it; None: task by task, with no row in papers."""
    protocols: Mapping[str, Protocol | Mapping[str, Any]] | None = None
    """The presets, as plain data or as such structs; None: ``conf/protocol/<name>/*.yaml`` of this package. What plain
    data does not say, PLAIN says."""
    here: SimulatorSettings | None = None
    """The simulator's settings where nothing else is said; None: ``conf/env/<name>.yaml`` of this package, or this
    interpreter for a benchmark from elsewhere."""

    def __post_init__(self) -> None:
        if self.protocol is LimitedProtocol:
            object.__setattr__(self, "protocol", _named(LimitedProtocol, self.name))
        if self.simulator is SimulatorSettings:
            object.__setattr__(self, "simulator", _named(SimulatorSettings, self.name))
            object.__setattr__(self, "here", self.here or self.simulator(python=None))
        for kind in (self.protocol, self.simulator):
            if (tag := kind.__struct_config__.tag) != self.name:
                raise BadInput(f"suite {self.name!r}: {kind.__name__} has tag={tag!r}; it must be the suite's name")
        if self.command_limit is limit_of_protocol and "command_limit" not in self.protocol.__struct_fields__:
            name = self.protocol.__name__
            raise BadInput(f"suite {self.name!r}: {name} has no command_limit; say Suite.command_limit")
        if self.protocols is not None:
            presets = {name: self._preset(name, plain) for name, plain in self.protocols.items()}
            object.__setattr__(self, "protocols", presets)
            object.__setattr__(self, "default_protocol", self.default_protocol or next(iter(presets), ""))
        if not self.protocol_names():
            elsewhere = "" if self.protocols is not None else f", and conf/protocol/{self.name} has none"
            raise BadInput(f"suite {self.name!r}: protocols: a benchmark has at least one{elsewhere}")
        for flag in self.places:
            if flag in DOCTORS:
                raise BadInput(f"suite {self.name!r}: places: --{flag} is a flag of doctor's own")
            if not re.fullmatch("[a-z][a-z0-9-]*", flag):
                raise BadInput(
                    f"suite {self.name!r}: places: {flag!r} is no flag (lower-case letters, digits, hyphens)"
                )
        for part in self.paper.parts if self.paper else ():
            if part not in (self.settings or self.tasks):
                raise UnknownName(f"suite {self.name!r}: part of the paper's table", part, self.settings or self.tasks)

    def _preset(self, name: str, plain: Protocol | Mapping[str, Any]) -> Protocol:
        if isinstance(plain, Protocol):
            return plain
        protocol: Protocol = as_struct({"name": name, **PLAIN, **plain, "benchmark": self.name}, self.protocol)
        return protocol

    def instruction(self, part: str, task: str) -> str:
        """The sentence that an agent is given for a task."""
        return self.instructions.get(task, task.replace("_", " ").replace("-", " "))

    @property
    def tasks_in(self) -> dict[str, int]:
        """How many tasks each column of a table is about: each part, or each setting where there are settings."""
        if self.settings:
            return dict.fromkeys(self.settings, sum(map(len, self.tasks.values())))
        return {part: len(tasks) for part, tasks in self.tasks.items()}

    def protocol_names(self) -> list[str]:
        if self.protocols is not None:
            return sorted(self.protocols)
        folder = resources.files("lingbot_eval") / "conf" / "protocol" / self.name
        if not folder.is_dir():
            return []
        return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))

    def load_protocol(self, name: str) -> Protocol:
        """Return the preset as shipped, without hydra.

        Raises UnknownName.
        """
        if name not in self.protocol_names():
            raise UnknownName("protocol", name, self.protocol_names())
        if self.protocols is not None:
            return self._preset(name, self.protocols[name])
        text = (resources.files("lingbot_eval") / "conf" / "protocol" / self.name / f"{name}.yaml").read_text()
        protocol: Protocol = as_struct(yaml.safe_load(text), self.protocol)
        return protocol

    def simulator_settings(self, changes: Mapping[str, Any]) -> SimulatorSettings:
        """Return the simulator's settings as shipped, with ``changes``, without hydra.

        Raises BadInput.
        """
        if self.here is not None:
            plain = msgspec.to_builtins(self.here)
        else:
            text = (resources.files("lingbot_eval") / "conf" / "env" / f"{self.name}.yaml").read_text()
            plain = yaml.safe_load(text)
        settings: SimulatorSettings = as_struct({**plain, **changes}, self.simulator)
        return settings

    def parts_of(self, given: str) -> list[str]:
        """Return the parts that a name of ``--suite`` stands for.

        Raises UnknownName.
        """
        if given in self.tasks:
            return [given]
        if given not in self.aliases:
            raise UnknownName(f"{self.title} suite", given, [*self.aliases, *self.tasks])
        return list(self.aliases[given])

    def chosen(self, suite: SuiteSettings) -> list[tuple[str, str]]:
        """Return the (part, task) pairs that ``suite.suites`` and ``suite.tasks`` choose, in the benchmark's order. An
        index counts within each part.

        Raises UnknownName, BadInput.
        """
        if not suite.suites:
            raise BadInput("suite.suites is empty: nothing to play")
        parts = list(dict.fromkeys(part for given in suite.suites for part in self.parts_of(given)))
        wanted = [str(task) for task in suite.tasks]
        known = [task for part in parts for task in self.tasks[part]]
        largest = max(len(self.tasks[part]) for part in parts) - 1
        for given in wanted:
            if not (given in known or (given.isdecimal() and int(given) <= largest)):
                raise UnknownName(f"task (an index 0..{largest} or a name)", given, known)
        indices = {int(given) for given in wanted if given.isdecimal()}
        return [
            (part, task)
            for part in parts
            for index, task in enumerate(self.tasks[part])
            if not wanted or task in wanted or index in indices
        ]

    def run_settings(self, agent: type[AgentSettings]) -> type[RunSettings]:
        """Return the type of the settings of a run of this benchmark with such an agent."""
        return _run_settings(self.protocol, self.simulator, agent)

    def env_settings(self) -> type[EnvSettings]:
        return _env_settings(self.protocol, self.simulator)


@functools.cache
def _named(kind: type[Any], name: str) -> type[Any]:
    """The type that derives from ``kind`` and has a benchmark's name as its tag."""
    return msgspec.defstruct(kind.__name__, [], bases=(kind,), frozen=True, forbid_unknown_fields=True, tag=name)


@functools.cache
def _run_settings(protocol: type[Protocol], simulator: type[SimulatorSettings], agent: type[Any]) -> type[RunSettings]:
    fields = [("env", simulator), ("protocol", protocol), ("agent", agent)]
    made: Any = msgspec.defstruct("RunSettings", fields, bases=(RunSettings,), frozen=True, forbid_unknown_fields=True)
    return made  # type: ignore[no-any-return]


@functools.cache
def _env_settings(protocol: type[Protocol], simulator: type[SimulatorSettings]) -> type[EnvSettings]:
    fields = [("simulator", simulator), ("protocol", protocol)]
    made: Any = msgspec.defstruct("EnvSettings", fields, bases=(EnvSettings,), frozen=True, forbid_unknown_fields=True)
    return made  # type: ignore[no-any-return]


def _settings_of(suite: Suite, asked: SuiteSettings) -> Sequence[str]:
    """Return the settings that are played; an empty one where the benchmark has none.

    Raises UnknownName, BadInput.
    """
    if not suite.settings:
        if asked.settings:
            raise BadInput(f"{suite.name} is played in no settings, and suite.settings is {', '.join(asked.settings)}")
        return [""]
    if not asked.settings:
        raise BadInput(f"suite.settings is empty; {suite.name} is played in {' or '.join(suite.settings)}")
    for setting in asked.settings:
        if setting not in suite.settings:
            raise UnknownName("setting", setting, suite.settings)
    return list(dict.fromkeys(asked.settings))


def by_seed(
    suite: Suite,
    asked: Asked,
    instruction: Callable[[str, str], str],
    seed: Callable[[str, str, int], int] | None = None,
    initial_state: Callable[[int], int | None] = lambda k: None,
) -> list[Episode]:
    """Plan episodes whose scenes follow from seeds: in each setting, episode k of every task has seed
    ``base * seed_block + k``, unless ``seed`` says otherwise. ``instruction`` is given part and task, ``seed`` these
    and k, ``initial_state`` k.

    Raises UnknownName, BadInput.
    """
    base, count, protocol = asked.base_seed, asked.episodes, asked.protocol
    chosen = [(setting, *one) for setting in _settings_of(suite, asked.suite) for one in suite.chosen(asked.suite)]
    if base < 0:
        raise BadInput(f"seed {base} is negative; numpy takes 0..{LARGEST_SEED}")
    episodes = []
    for setting, part, task in chosen:
        seeds = [base * protocol.seed_block + k if seed is None else seed(part, task, k) for k in range(count)]
        if min(seeds) < 0 or max(seeds) > LARGEST_SEED:
            raise BadInput(f"seed {base} gives episode seeds {min(seeds)}..{max(seeds)}; numpy takes 0..{LARGEST_SEED}")
        sentence = instruction(part, task)
        episodes += [Episode(part, task, one, sentence, setting, initial_state(k), k) for k, one in enumerate(seeds)]
    if len({episode.id for episode in episodes}) < len(episodes):
        raise BadInput(
            f"{count} episodes per task, but protocol {protocol.name} has fewer different ones: with one seed per task "
            "each stored state can be played once"
        )
    return episodes
