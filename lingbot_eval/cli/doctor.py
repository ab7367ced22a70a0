"""``lingbot-eval doctor``: each line ok, or what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import metadata

from rich.text import Text

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.screen import Screen
from lingbot_eval.envs.gl import BACKENDS, probe
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady
from lingbot_eval.suites import Suite, suites
from lingbot_eval.suites.machine import inspect

LIBRARIES = ("numpy", "gymnasium", "hydra-core", "imageio", "imageio-ffmpeg", "rich")


def doctor(
    console: Screen, places: Mapping[str, str | None], python: str | None, checkpoint: str | None, parts: str | None
) -> int:
    """Return 0 when what is not optional can be played here, with pictures, and LingBot-VA where a checkpoint is
    given; 1 otherwise. ``places`` are by flag of a suite (``Suite.places``)."""
    _line(console, True, "python", sys.version.split()[0])
    for library in ("lingbot_eval", *LIBRARIES):
        _line(console, True, library, metadata.version(library))
    ready = [_lingbot(console, checkpoint, parts)]
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
    if not drawn:
        libraries = "apt install libegl1 libegl-mesa0 libosmesa6 (Debian), or a GPU driver with EGL"
        _line(console, False, "pictures", libraries)
    for suite in sorted(suites(), key=lambda suite: not suite.optional):
        changes = {field: places[flag] for flag, (field, _) in suite.places.items() if places.get(flag) is not None}
        ready.append(_suite(console, suite, {**changes, "python": python}, bool(drawn)) or suite.optional)
    return 0 if all(ready) else 1


def _suite(console: Screen, suite: Suite, changes: Mapping[str, str | None], draws: bool) -> bool:
    """Say whether it can be played, with pictures."""
    try:
        machine = inspect(suite, suite.simulator_settings(changes), draws)
    except LingbotEvalError as error:
        for problem in str(error).splitlines():
            _line(console, False, suite.title, problem)
        return False
    if warning := machine.notes.get("warning"):
        _line(console, False, suite.title, warning)
    said = {**machine.facts, **machine.notes}
    _line(console, True, suite.title, ", ".join(f"{name} {value}" for name, value in said.items()))
    _slow(console, suite.title, *machine.said)
    return draws


def _lingbot(console: Screen, checkpoint: str | None, parts: str | None) -> bool:
    """Say whether LingBot-VA can be played, if that is asked, and what a session of it occupies."""
    try:
        require_lingbot()
        from lingbot_eval.agents.lingbot_va.memory import PUBLISHED, Cache, free_bytes, gigabytes
        from lingbot_eval.models.lingbot_va.checkpoint import locate
        from lingbot_eval.models.lingbot_va.configuration import benchmark_names, load_benchmark, overridden

        found = None if checkpoint is None else locate(checkpoint, parts)
    except LingbotEvalError as error:
        _line(
            console,
            checkpoint is None,
            "not needed without a checkpoint" if checkpoint is None else "LingBot-VA",
            str(error),
        )
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


def _slow(console: Screen, what: str, *words: str) -> None:
    """Say that ``what`` works but takes its time, which is nothing to do about here."""
    for text in filter(None, words):
        console.print(Text.assemble(("note ", "yellow"), f" {what}: {text}"), soft_wrap=True)


def _line(console: Screen, fine: bool, what: str, text: str) -> None:
    mark = ("ok   ", "green") if fine else ("TO DO", "red")
    console.print(Text.assemble(mark, f" {what}: {text}"), soft_wrap=True)
