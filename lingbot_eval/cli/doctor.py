"""``lingbot-eval doctor``: each line ok, or what to do about it."""

from __future__ import annotations

import sys
from importlib import metadata

from rich.text import Text

from lingbot_eval.agents import require_lingbot
from lingbot_eval.cli.screen import Screen
from lingbot_eval.envs.check import inspect
from lingbot_eval.envs.gl import BACKENDS, probe
from lingbot_eval.envs.robotwin.make import simulator_settings
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady
from lingbot_eval.settings import LiberoSettings

LIBRARIES = ("numpy", "gymnasium", "hydra-core", "imageio", "imageio-ffmpeg", "rich")


def doctor(
    console: Screen,
    assets: str | None,
    python: str | None,
    checkpoint: str | None,
    robotwin: str | None,
    parts: str | None = None,
) -> int:
    """0 when LIBERO can be played here, with pictures, and with LingBot-VA where a checkpoint is given; 1 otherwise."""
    _line(console, True, "python", sys.version.split()[0])
    for library in ("lingbot_eval", *LIBRARIES):
        _line(console, True, library, metadata.version(library))
    plays = _lingbot(console, checkpoint, parts)
    _bimanual(console, robotwin, python)
    drawn, failed = [], []
    for backend in BACKENDS:
        try:
            frame = probe(backend, python)
            _line(console, True, f"GL backend {backend}", f"a frame was drawn by {frame.device}")
            _slow(console, f"GL backend {backend}", frame.slow)
            drawn.append(backend)
        except NotReady as error:
            failed.append(f"GL backend {backend}: {error}")
    for text in failed:
        _line(console, bool(drawn), "not needed" if drawn else "no picture can be drawn", text)
    simulator = LiberoSettings(assets=assets, download=False, gl="auto", python=python)
    try:
        machine = inspect(simulator, draws=False)
    except LingbotEvalError as error:
        _line(console, False, "LIBERO", str(error))
        return 1
    for name, value in {**machine.facts, "assets folder": machine.notes["assets_folder"]}.items():
        _line(console, True, name, value)
    if not drawn:
        _line(
            console, False, "pictures", "apt install libegl1 libegl-mesa0 libosmesa6 (Debian), or a GPU driver with EGL"
        )
        return 1
    return 0 if plays else 1


def _lingbot(console: Screen, checkpoint: str | None, parts: str | None) -> bool:
    """Whether LingBot-VA can be played, if that is asked; and what a session of it occupies."""
    try:
        require_lingbot()
        from lingbot_eval.agents.lingbot_va.memory import PUBLISHED, Cache, free_bytes, gigabytes
        from lingbot_eval.models.lingbot_va.checkpoint import locate
        from lingbot_eval.models.lingbot_va.configuration import benchmark_names, load_benchmark, overridden

        found = None if checkpoint is None else locate(checkpoint, parts)
    except LingbotEvalError as error:
        _line(console, checkpoint is None, "not needed for LIBERO" if checkpoint is None else "LingBot-VA", str(error))
        return checkpoint is None
    _line(console, True, "free memory on the host", gigabytes(free_bytes("cpu")))
    for name in benchmark_names():
        try:
            settings, _ = overridden(load_benchmark(name), found.settings if found else {})
        except BadInput as error:
            _line(console, True, f"the checkpoint does not play {name}", str(error))
            continue
        cache = Cache.of(settings, found.config if found else PUBLISHED, "bfloat16")
        _line(console, True, f"LingBot-VA session, {name}", str(cache))
    return True


def _bimanual(console: Screen, root: str | None, python: str | None) -> None:
    """Whether tabletop and RoboTwin can be played; LIBERO needs neither."""
    for suite, changes in (("tabletop", {}), ("robotwin", {"root": root})):
        try:
            machine = inspect(simulator_settings(suite, {**changes, "python": python}), draws=True)
        except LingbotEvalError as error:
            for problem in str(error).splitlines():
                _line(console, False, suite, problem)
            continue
        if warning := machine.notes.get("warning"):
            _line(console, False, suite, warning)
        facts = ", ".join(f"{name} {value}" for name, value in machine.facts.items())
        _line(console, True, suite, f"{facts}; pictures drawn by {machine.notes['vulkan_device']}")
        _slow(console, suite, *machine.said)


def _slow(console: Screen, what: str, *words: str) -> None:
    """What works but takes its time is nothing to do about here."""
    for text in filter(None, words):
        console.print(Text.assemble(("note ", "yellow"), f" {what}: {text}"), soft_wrap=True)


def _line(console: Screen, fine: bool, what: str, text: str) -> None:
    mark = ("ok   ", "green") if fine else ("TO DO", "red")
    console.print(Text.assemble(mark, f" {what}: {text}"), soft_wrap=True)
