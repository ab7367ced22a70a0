"""Is this machine ready, and what about it can move a score?  ``python -m lingbot_eval.envs.check`` answers as JSON.

Runs in the simulator's interpreter (``env.python``) but imports no simulator, so it takes a fraction of a second; only
the GL backend is tried out, in a process of its own, where pictures are wanted, and otherwise whether SAPIEN loads.
"""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import msgspec

from lingbot_eval.attempt import Stuck, attempt
from lingbot_eval.envs.first_frame import FirstFrame
from lingbot_eval.errors import LingbotEvalError, NotReady
from lingbot_eval.settings import (
    LiberoSettings,
    RoboTwinSettings,
    SimulatorSettings,
    TabletopSettings,
    as_struct,
    to_dict,
)

IDLE_SECONDS = 1800.0
"""Without any progress: assets may come over a network that stands still for a while."""


@dataclass(frozen=True)
class Machine:
    """What a simulator found on this machine."""

    simulator: SimulatorSettings
    """The settings with every choice made: where the assets are, which GL backend."""
    facts: dict[str, str]
    """Score-moving; part of the protocol hash."""
    notes: dict[str, str]
    """Recorded beside them."""
    said: tuple[str, ...] = ()
    """What whoever waits should know; not recorded."""


def inspect(simulator: SimulatorSettings, draws: bool, scenes: Iterable[tuple[str, str]] = ()) -> Machine:
    """Ask the simulator's interpreter. ``draws``: pictures will be wanted. ``scenes``: (task, setting) pairs that will
    be played, where it matters to what is needed.

    Raises NotReady.
    """
    python = simulator.python or sys.executable
    question = json.dumps({"simulator": to_dict(simulator), "draws": draws, "scenes": list(scenes)})
    try:
        done = attempt([python, "-m", "lingbot_eval.envs.check"], question, idle=IDLE_SECONDS)
    except OSError as error:
        raise NotReady(f"env.python={python} cannot be started: {error.strerror}") from None
    except Stuck as how:
        raise NotReady(f"{python} -m lingbot_eval.envs.check {how}") from None
    if done.code:
        words = done.err.strip().splitlines()[-1:] or [f"exit {done.code}"]
        raise NotReady(f"{python} -m lingbot_eval.envs.check: {words[0]}; is lingbot_eval installed there?")
    try:
        answer = json.loads((done.out.splitlines() or [""])[-1])
    except ValueError:
        raise NotReady(f"{python} -m lingbot_eval.envs.check gave no answer; is env.python a Python?") from None
    if "error" in answer:
        raise NotReady(answer["error"])
    machine: Machine = as_struct(answer, Machine)
    return machine


def look_around(simulator: SimulatorSettings, draws: bool, scenes: Iterable[tuple[str, str]]) -> Machine:
    """As :func:`inspect`, for this interpreter."""
    notes = {"python": platform.python_version(), **_installed("numpy", "gymnasium", "numba", "scipy", "pillow")}
    if isinstance(simulator, RoboTwinSettings | TabletopSettings):
        from lingbot_eval.envs.robotwin.check import look_at

        resolved, facts, more, frame = look_at(simulator, draws, scenes)
        return Machine(resolved, facts, {**notes, **_installed("torch", "toppra"), **more}, _slow(frame))
    if not isinstance(simulator, LiberoSettings):
        return Machine(simulator, {}, notes)
    from lingbot_eval.envs.gl import choose
    from lingbot_eval.envs.libero.assets import INSTALL, assets_hash, find_assets
    from lingbot_eval.envs.libero.process import versions

    try:
        facts = versions()
    except metadata.PackageNotFoundError as error:
        raise NotReady(f"LIBERO is not installed ({error.name} is missing): {INSTALL}") from None
    assets = find_assets(simulator.assets, simulator.download)
    chosen: dict[str, Any] = {"assets": str(assets)}
    frame = None
    if draws:
        backend, frame = choose(simulator.gl)
        chosen["gl"] = backend
        notes.update(gl=backend, gl_device=frame.device)
    return Machine(
        msgspec.structs.replace(simulator, **chosen),
        {**facts, "assets": assets_hash(assets)},
        {**notes, "assets_folder": str(assets)},
        _slow(frame),
    )


def _slow(frame: FirstFrame | None) -> tuple[str, ...]:
    return (frame.slow,) if frame and frame.slow else ()


def _installed(*packages: str) -> dict[str, str]:
    """Versions of those that are installed here."""
    found = {}
    for package in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def main() -> None:
    question = json.load(sys.stdin)
    try:
        simulator = as_struct(question["simulator"], SimulatorSettings)
        scenes = [(task, setting) for task, setting in question["scenes"]]
        answer = to_dict(look_around(simulator, question["draws"], scenes))
    except LingbotEvalError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
