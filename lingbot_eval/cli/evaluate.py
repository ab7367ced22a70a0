"""``lingbot_eval.evaluate``: ``run-suite`` as a function, for scripts and notebooks (``docs/python.md``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from lingbot_eval.cli import run_suite
from lingbot_eval.cli.report import write_report
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.run import Run
from lingbot_eval.runs.compose import Choices, quoted

CHOICES = (*(one.name for one in fields(Choices) if one.name not in ("agent", "overrides")), "shard", "out", "rehash")
"""These flags of ``run-suite`` are arguments here."""


def evaluate(
    benchmark: str,
    agent: str | type | None = None,
    /,
    *,
    settings: Mapping[str, object] | None = None,
    progress: bool = True,
    **choices: object,
) -> Run:
    """Play ``benchmark`` with ``agent`` as ``run-suite`` does, and give the run: the same choices are the same
    experiment, in the same directory, of which nothing is played twice.

    ``agent`` is a name, a class in a module that can be imported, or None for the benchmark's default. ``choices`` are
    the flags of ``run-suite``: suite, tasks, group, setting, episodes, seed, protocol, workers, gpus, video, regime,
    shard, out, rehash; what takes several takes a list. ``settings`` are all others by their dotted names
    (``{"protocol.command_limit": 50}``). Without ``progress`` nothing is said while it plays.

    An episode that ends in ERROR raises nothing: the run's table says so. An interrupt finishes what is being played
    and then raises KeyboardInterrupt, a second one stops at once; in a thread other than the main one neither is heard.
    Raises UnknownName, BadInput, NotReady, RunMismatch and CorruptRecords.
    """
    if unknown := [name for name in choices if name not in CHOICES]:
        raise UnknownName("choice", unknown[0], (*CHOICES, "settings", "progress"))
    if flags := [name for name in (benchmark, *(settings or ())) if str(name).startswith("-")]:
        raise BadInput(f"{flags[0]!r} is of the command line; a flag of run-suite is an argument here: out='DIR'")
    given = {"agent": _importable(agent) if isinstance(agent, type) else agent, **choices}
    words = [str(benchmark), *(word for choice in given.items() for word in _words(*choice))]
    words += [f"{name}={_setting(value)}" for name, value in (settings or {}).items()]
    folder, _ = run_suite.play(run_suite.parsed(words), words, quiet=not progress)
    write_report(folder, quiet=True)
    return Run(folder.path)


def _importable(agent: type) -> str:
    """Name ``agent`` as ``--agent`` takes it. Raises BadInput for a class that no other process could import."""
    if agent.__module__ == "__main__" or "." in agent.__qualname__:
        raise BadInput(
            f"{agent.__qualname__} is defined here, where the processes that play cannot import it: put it into a "
            "file, and give its place as 'FILE.py:CLASS'"
        )
    return f"{agent.__module__}:{agent.__qualname__}"


def _words(name: str, value: object) -> list[str]:
    """Return what the command line has for it: at most one word, so that a value may begin with a dash."""
    value = _plain(value)
    if value is None or name == "rehash":
        return [f"--{name}"] if value else []
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ",".join(map(str, value)) or "none"
    return [f"--{name}={os.fspath(value) if isinstance(value, os.PathLike) else value}"]


def _setting(value: object) -> str:
    """Write a value in hydra's grammar."""
    value = _plain(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_setting, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_setting(inner)}' for key, inner in value.items())}}}"
    return str(value) if isinstance(value, int | float) else quoted(str(value))


def _plain(value: object) -> object:
    """Return a number or an array of numpy's as Python has it. A list or dict of hydra's is as good as Python's."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
