"""Hydra stops here: choices and overrides come in, frozen settings go out."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

import msgspec
from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.singleton import Singleton
from hydra.errors import HydraException, MissingConfigException
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lingbot_eval.agents import OWN, kind_named, kind_names, kind_of
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.runs.settings import run_settings
from lingbot_eval.settings import RunSettings, as_struct, to_dict
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.suites import suite_named, suites
from lingbot_eval.suites.suite import Suite

OF_YOUR_OWN = ("FILE.py:Class", "package.module:Class")
"""How a class of the user's own is named."""

Brought = tuple[str, str, Mapping[str, Any]]
"""Group, name and content of a configuration that has no file in ``conf/``."""

SETTINGS = {"easy": ("easy",), "hard": ("hard",), "both": ("easy", "hard")}


@dataclass(frozen=True)
class Choices:
    """Holds what has a flag of its own (``run-suite --help``); None: the benchmark's default. Anything else is an
    override, ``group.key=value``."""

    agent: str | None = None
    protocol: str | None = None
    suite: str | None = None
    """Parts of the benchmark, comma-separated."""
    tasks: str | None = None
    """Indices or names, comma-separated."""
    group: int | None = None
    setting: str | None = None
    episodes: int | None = None
    """This counts episodes per task and setting."""
    seed: int | None = None
    workers: int | None = None
    gpus: str | None = None
    """``0,1,...`` or ``none``."""
    video: str | None = None
    regime: str | None = None
    overrides: Sequence[str] = ()


def choose(benchmark: str, choices: Choices) -> RunSettings:
    """Make the settings of a run. Raises UnknownName and BadInput."""
    suite = suite_named(benchmark)
    if empty := [one.name for one in fields(choices) if getattr(choices, one.name) == ""]:
        raise BadInput(f"--{empty[0]} is empty; leave it out for the default")
    agent = choices.agent or suite.default_agent
    if ":" not in agent and agent not in kind_names():
        raise UnknownName("agent", agent, [*kind_names(), *OF_YOUR_OWN])
    protocol = choices.protocol or suite.default_protocol
    if protocol not in suite.protocol_names():
        raise UnknownName("protocol", protocol, suite.protocol_names())
    overrides = []
    if choices.suite is not None:
        parts = [part for name in choices.suite.split(",") for part in suite.parts_of(name)]
        overrides.append(f"suite.suites=[{','.join(parts)}]")
    overrides += _of_scenes(suite, choices)
    if choices.tasks is not None:
        overrides.append(f"suite.tasks=[{','.join(quoted(task.strip()) for task in choices.tasks.split(','))}]")
    numbers = {"suite.episodes": choices.episodes, "suite.seed": choices.seed, "workers": choices.workers}
    overrides += [f"{key}={value}" for key, value in numbers.items() if value is not None]
    if choices.gpus is not None:
        names = [] if choices.gpus == "none" else [quoted(name.strip()) for name in choices.gpus.split(",")]
        overrides.append(f"cluster.gpus=[{','.join(names)}]")
    words = {"regime": choices.regime, "video": choices.video}
    overrides += [f"{key}={quoted(text)}" for key, text in words.items() if text is not None]
    return settings(suite, suite.agent_presets.get(agent, agent), protocol, [*overrides, *choices.overrides])


def _of_scenes(suite: Suite, choices: Choices) -> list[str]:
    """Return overrides for the group and the settings, which not every benchmark has."""
    overrides = []
    if choices.group is not None:
        if not suite.groups or choices.tasks is not None:
            having = [one for one in suites() if one.groups]
            owners = ", ".join(f"{one.title}'s tasks: run-suite {one.name} --group 0" for one in having)
            raise BadInput(f"--group chooses among {owners}, without --tasks")
        if not 0 <= choices.group < len(suite.groups):
            raise BadInput(f"group {choices.group}: {suite.title}'s tasks are in groups 0..{len(suite.groups) - 1}")
        overrides.append(f"suite.tasks=[{','.join(suite.groups[choices.group])}]")
    if choices.setting is not None:
        if not suite.settings:
            names = [one.name for one in suites() if one.settings]
            raise BadInput(f"{suite.name} has no --setting; {' and '.join(names)} have easy and hard")
        if choices.setting not in SETTINGS:
            raise UnknownName("setting", choices.setting, SETTINGS)
        overrides.append(f"suite.settings=[{','.join(SETTINGS[choices.setting])}]")
    return overrides


def settings(suite: Suite, agent: str, protocol: str, overrides: Sequence[str]) -> RunSettings:
    """Return the presets of ``conf/`` with values changed by ``overrides``. ``agent`` is the name of a preset or
    what names a class.

    A changed protocol keeps its name with "(modified)" behind it, so that no table shows it as the preset.
    Raises UnknownName for a key that does not exist, BadInput for a value that does not fit.
    """
    said = _given(overrides)
    brought = list(_brought(suite, agent, said))
    groups = [f"suite={suite.name}", f"env={suite.name}", f"agent={_kind(agent)}", f"protocol={suite.name}/{protocol}"]
    data = _composed("run", groups, overrides, brought)
    if (name := suite_named(str(data["suite"]["name"])).name) != suite.name:
        raise BadInput(f"suite={name}: the benchmark is the first word of run-suite, here {suite.name}")
    chosen = run_settings(data)
    chosen = msgspec.structs.replace(chosen, agent=kind_of(chosen.agent).settled(chosen.agent, said))
    if to_dict(suite.load_protocol(chosen.protocol.name)) == to_dict(chosen.protocol):
        return chosen
    modified = msgspec.structs.replace(chosen.protocol, name=f"{chosen.protocol.name} (modified)")
    return msgspec.structs.replace(chosen, protocol=modified)


def training_settings(overrides: Sequence[str]) -> TrainSettings:
    """Return a preset of ``conf/train`` with values changed by ``overrides``. ``train=NAME`` says which; without it,
    ``robot=NAME`` does.

    Raises UnknownName for a name or key that does not exist, BadInput for what is missing or does not fit.
    """
    given = dict(override.split("=", 1) for override in overrides if "=" in override)
    preset = given.get("train", given.get("robot"))
    if preset is None or ("train" not in given and preset not in training_names()):
        raise BadInput(f"which recipe? train=NAME, one of {', '.join(training_names())} (they are robots, too)")
    if preset not in training_names():
        raise UnknownName("recipe", preset, training_names())
    rest = [override for override in overrides if not override.startswith(("train=", "robot="))]
    data = _composed("training", [f"train@_global_={preset}"], rest)
    data["robot"] = given.get("robot", data["robot"])  # to hydra, a folder of conf/ is a choice among its files
    if missing := [name for name in ("data", "checkpoint", "out") if data[name] is None]:
        raise BadInput(f"{' and '.join(f'{name}=DIR' for name in missing)} must be said (docs/training.md)")
    found: TrainSettings = as_struct(data, TrainSettings)
    return found


def training_names() -> list[str]:
    """Return the names of the presets in ``conf/train``."""
    folder = resources.files("lingbot_eval") / "conf" / "train"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _composed(
    config: str, groups: Sequence[str], overrides: Sequence[str], brought: Sequence[Brought] = ()
) -> dict[str, Any]:
    """Return the plain data of ``config`` with ``groups`` chosen and values changed. ``brought``: what is not in
    ``conf/``.

    Raises UnknownName and BadInput.
    """
    with _hydra_of_ours() as store:
        for group, name, node in brought:
            store.store(group=group, name=name, node=node)
        try:
            plain = compose(config, overrides=list(groups))
            choices = [override for override in overrides if OmegaConf.is_dict(plain.get(override.partition("=")[0]))]
            plain = compose(config, overrides=[*groups, *choices])  # cluster=ray has other keys than cluster=local
            addable = [_checked(plain, override) for override in overrides]
            composed = compose(config, overrides=[*groups, *addable])
            data: Any = OmegaConf.to_container(composed, resolve=False)  # "${x}" in somebody's words is words
        except MissingConfigException as error:
            group, _, name = (error.missing_cfg_file or "").rpartition("/")
            raise UnknownName(group, name, [known for known in error.options or () if known != OWN]) from None
        except (HydraException, OmegaConfBaseException) as error:
            words = " ".join(str(error).split()) or type(error).__name__
            raise BadInput(f"setting: {words}; quote special characters, as in \"regime='a, b'\"") from None
    plain_data: dict[str, Any] = data
    return plain_data


def _given(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the agent's settings among the overrides, by name; hydra refuses later what it cannot read."""
    given: dict[str, Any] = {}
    for override in overrides:
        if override.startswith("agent."):
            with contextlib.suppress(HydraException):
                read = OverridesParser.create().parse_override(override)
                given[read.key_or_group.removeprefix("agent.")] = read.value()
    return given


_SINGLETONS: tuple[type, ...] = (GlobalHydra, ConfigStore, VersionBase)
"""Hydra has one of each per process."""

_composing = threading.Lock()


@contextmanager
def _hydra_of_ours() -> Iterator[ConfigStore]:
    """Let hydra read ``conf/`` and the store that this gives. A program of hydra's own that plays a run finds its
    hydra, its store and its version of hydra's rules afterwards as they were, and we nothing of them."""
    with _composing:
        hydras = ConfigStore.instance().repo["hydra"]
        theirs = {kind: Singleton._instances.pop(kind) for kind in _SINGLETONS if kind in Singleton._instances}
        try:
            store = ConfigStore.instance()
            store.repo["hydra"] = hydras  # the same dict: a plugin stores in it when it is imported, and never again
            with initialize_config_module("lingbot_eval.conf", version_base=None):
                yield store
        finally:
            for kind in _SINGLETONS:
                Singleton._instances.pop(kind, None)
            Singleton._instances.update(theirs)


def _brought(suite: Suite, agent: str, given: Mapping[str, Any]) -> Iterator[Brought]:
    """Yield group, name and content of what a benchmark or an agent brings that has no files in ``conf/``."""
    if suite.protocols is not None:
        for name, protocol in suite.protocols.items():
            yield f"protocol/{suite.name}", name, to_dict(protocol)
        default = {
            **{"name": suite.name, "suites": list(suite.tasks), "tasks": [], "settings": list(suite.settings)},
            **{"episodes": None, "seed": None, "manifest": None},
        }
        yield "suite", suite.name, default
        yield "env", suite.name, to_dict(suite.simulator_settings({}))
    if (name := _kind(agent)) in (*kind_names(), OWN) and (preset := kind_named(name).preset(agent, given)) is not None:
        yield "agent", name, preset


def _kind(agent: str) -> str:
    """Name the kind of agent: ``file.py:Class`` and ``package.module:Class`` are the user's own."""
    return OWN if ":" in agent else agent


def quoted(text: str) -> str:
    """Write ``text`` as a value in hydra's override grammar, whatever characters it has."""
    # in hydra's grammar a backslash is one, except before a quote
    return "'" + re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"


def _checked(plain: DictConfig, override: str) -> str:
    """Return the override as hydra takes it: hydra refuses to add keys to a dict unless told to. A dict that is empty
    in the preset takes any key."""
    key, equals, _ = override.partition("=")
    if not equals:
        raise BadInput(f"{override!r} is neither a flag nor a setting; settings look like env.gl=osmesa")
    parent, _, name = key.rpartition(".")
    group = OmegaConf.select(plain, parent) if parent else plain
    if not OmegaConf.is_dict(group):
        raise UnknownName("setting", key, _keys(plain))
    if not group or _takes_any(group, name):
        return f"++{override}"
    if name not in group:
        raise UnknownName("setting", key, [f"{parent}.{known!s}".lstrip(".") for known in group])
    return override


def _takes_any(group: DictConfig, name: str) -> bool:
    """Say whether ``name`` is such a dict itself, given whole."""
    return name in group and OmegaConf.is_dict(group[name]) and not group[name]


def _keys(plain: DictConfig) -> list[str]:
    keys = []
    for group, value in plain.items():
        keys += [f"{group!s}.{name!s}" for name in value] if OmegaConf.is_dict(value) else [str(group)]
    return keys
