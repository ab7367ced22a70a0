"""Is this machine ready, and what about it can move a score?

``python -m lingbot_eval.suites.machine`` answers as JSON. It runs in the simulator's interpreter (``env.python``) but
imports no simulator, so it takes a fraction of a second; only what draws is tried out, in a process of its own, where
pictures are wanted.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

from lingbot_eval.attempt import Stuck, attempt
from lingbot_eval.errors import LingbotEvalError, NotReady
from lingbot_eval.settings import SimulatorSettings, as_struct, to_dict
from lingbot_eval.suites import suite_named
from lingbot_eval.suites.suite import Scenes, Suite

IDLE_SECONDS = 1800.0
"""The simulator's interpreter may make no progress for so long: assets may come over a network that stands still for a
while."""


@dataclass(frozen=True)
class Machine:
    """A simulator has found this on the machine."""

    simulator: SimulatorSettings
    """The settings with every choice made: where the assets are, which GL backend."""
    facts: dict[str, str]
    """Whatever can move a score; it is part of the protocol hash."""
    notes: dict[str, str]
    """Whatever is recorded beside the facts."""
    said: tuple[str, ...] = ()
    """Sentences for whoever waits; they are not recorded."""


@dataclass(frozen=True)
class _Answer:
    simulator: dict[str, object]
    facts: dict[str, str]
    notes: dict[str, str]
    said: tuple[str, ...]


def inspect(suite: Suite, simulator: SimulatorSettings, draws: bool, scenes: Scenes = ()) -> Machine:
    """Ask the simulator's interpreter what it has. ``draws`` says that pictures will be wanted. ``scenes`` are the
    (task, setting) pairs that will be played, where it matters to what is needed.

    Raises NotReady.
    """
    python = simulator.python or sys.executable
    asked = {"suite": suite.name, "simulator": to_dict(simulator), "draws": draws, "scenes": list(scenes)}
    try:
        done = attempt([python, "-m", "lingbot_eval.suites.machine"], json.dumps(asked), idle=IDLE_SECONDS)
    except OSError as error:
        raise NotReady(f"env.python={python} cannot be started: {error.strerror}") from None
    except Stuck as how:
        raise NotReady(
            f"the simulator's interpreter does not say what it has: `{python} -m lingbot_eval.suites.machine` {how}"
        ) from None
    if done.code:
        words = done.err.strip().splitlines()[-1:] or [f"exit {done.code}"]
        raise NotReady(f"{python} -m lingbot_eval.suites.machine: {words[0]}; is lingbot_eval installed there?")
    try:
        answer = json.loads((done.out.splitlines() or [""])[-1])
    except ValueError:
        raise NotReady(f"{python} -m lingbot_eval.suites.machine gave no answer; is env.python a Python?") from None
    if "error" in answer:
        raise NotReady(answer["error"])
    found: _Answer = as_struct(answer, _Answer)
    return Machine(as_struct(found.simulator, suite.simulator), found.facts, found.notes, found.said)


def installed(*packages: str) -> dict[str, str]:
    """Return the versions of those that are installed here."""
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def python_versions() -> dict[str, str]:
    """Return the versions of what every simulator runs on."""
    return {"python": platform.python_version(), **installed("numpy", "gymnasium", "numba", "scipy", "pillow")}


def main() -> None:
    question = json.load(sys.stdin)
    try:
        suite = suite_named(question["suite"])
        simulator = as_struct(question["simulator"], suite.simulator)
        scenes = [(task, setting) for task, setting in question["scenes"]]
        answer = to_dict(suite.look_around(simulator, question["draws"], scenes))
    except LingbotEvalError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
