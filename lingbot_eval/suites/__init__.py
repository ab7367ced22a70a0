"""Find the benchmarks that can be played: this package's, and those that a distribution names in the entry-point group
``lingbot_eval.suites`` (docs/extending.md)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from lingbot_eval.errors import BadInput
from lingbot_eval.plugins import named, names
from lingbot_eval.settings import EnvSettings, Protocol, as_struct
from lingbot_eval.suites.suite import Suite

GROUP = "lingbot_eval.suites"


@functools.cache
def suite_named(name: str) -> Suite:
    """Return the benchmark of this name.

    Raises UnknownName; BadInput where it cannot be loaded, or is no suite.
    """
    found = named(GROUP, "benchmark", name)
    if not isinstance(found, Suite):
        raise BadInput(f"{GROUP}: {name} is a {type(found).__name__}, not a lingbot_eval.suites.suite.Suite")
    if found.name != name:
        raise BadInput(f"{GROUP}: {name} leads to a suite that calls itself {found.name!r}")
    return found


def suite_names() -> tuple[str, ...]:
    """Return the names of all benchmarks, this package's first."""
    return names(GROUP)


def suites() -> list[Suite]:
    """Return the benchmarks that can be loaded here; :func:`unloadable` says what is wrong with the others."""
    return [suite for suite in map(installed, suite_names()) if suite]


def unloadable() -> list[str]:
    """Return a sentence about each benchmark that cannot be loaded here."""
    said = []
    for name in suite_names():
        try:
            suite_named(name)
        except BadInput as error:
            said.append(str(error))
    return said


def installed(name: str) -> Suite | None:
    """The benchmark of this name, or None where it cannot be loaded here: a run of it that was played elsewhere, or one
    at a real robot, is reported all the same."""
    try:
        return suite_named(name)
    except BadInput:
        return None


def tasks_of(name: str, part: str) -> tuple[str, ...]:
    """Return the tasks of a part of a benchmark, in the order that gives them their index; none where it is not
    installed."""
    suite = installed(name)
    return suite.tasks.get(part, ()) if suite else ()


def suite_of(settings: EnvSettings) -> Suite:
    """Return the benchmark that an environment belongs to."""
    return suite_named(str(settings.protocol.__struct_config__.tag))


def load_protocol(suite: str, name: str) -> Protocol:
    """Return a protocol preset as shipped. Raises UnknownName."""
    return suite_named(suite).load_protocol(name)


def protocol_names(suite: str) -> list[str]:
    """Return the names of a benchmark's protocol presets. Raises UnknownName."""
    return suite_named(suite).protocol_names()


def env_settings(data: Mapping[str, Any]) -> EnvSettings:
    """Return plain data as the settings of an environment.

    Raises BadInput, UnknownName.
    """
    protocol = data.get("protocol")
    if not isinstance(protocol, Mapping) or not isinstance(name := protocol.get("benchmark"), str):
        raise BadInput("protocol.benchmark: the settings of an environment say no benchmark")
    settings: EnvSettings = as_struct(data, suite_named(name).env_settings())
    return settings


__all__ = [
    "Suite",
    "env_settings",
    "installed",
    "load_protocol",
    "protocol_names",
    "suite_named",
    "suite_names",
    "suite_of",
    "suites",
    "tasks_of",
    "unloadable",
]
