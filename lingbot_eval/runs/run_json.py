"""Reads what ``run.json`` and the coordinators' files say of a run, whichever version of this package wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from lingbot_eval.errors import CorruptRecords
from lingbot_eval.runs.experiment import Conventions, Experiment, more_than_known


class CoordinatorFile(msgspec.Struct, frozen=True):
    """This much is read of a coordinator's file, of whatever version; today's has more (``presence.Coordinator``)."""

    command: str = ""
    settings: dict[str, Any] | None = None
    """It is None where the file does not say."""
    versions: dict[str, str] = {}
    checksum: str = ""
    """Files of 0.1.0 have none."""


class RunJson(msgspec.Struct, frozen=True):
    """``run.json``, together with the files in ``sessions/``."""

    schema: Literal[1, 2]
    experiment: Experiment
    coordinators: tuple[CoordinatorFile, ...] = msgspec.field(default=(), name="sessions")
    """The oldest comes first. Those of schema 1 are in ``run.json``."""
    checksum: str = ""
    """0.1.0 wrote none."""


class _Agent(msgspec.Struct):
    name: str


class _PlainParts(msgspec.Struct):
    agent: _Agent
    protocol: Conventions


class _PlainShape(msgspec.Struct):
    """What is plain data in an :class:`Experiment` has this shape."""

    experiment: _PlainParts


class _Coordinators(msgspec.Struct):
    sessions: tuple[CoordinatorFile, ...]


T = TypeVar("T")


def run_json(content: Mapping[str, Any], file: Path) -> RunJson:
    """Read the content of ``file``. Raises CorruptRecords where it is not what this package writes."""
    _converted(content, _PlainShape, file)
    run = _converted(_without_more(content), RunJson, file)
    experiment = msgspec.structs.replace(run.experiment, more=more_than_known(content["experiment"]))
    return msgspec.structs.replace(run, experiment=experiment)


def coordinator_files(contents: Iterable[Mapping[str, Any]], folder: Path) -> tuple[CoordinatorFile, ...]:
    """Read the contents of the files in ``folder``. Raises CorruptRecords as :func:`run_json`."""
    return _converted({"sessions": list(contents)}, _Coordinators, folder).sessions


def _without_more(content: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out a field named ``more``, which is none of ours: another version may use it for something else."""
    experiment = {name: value for name, value in content["experiment"].items() if name != "more"}
    return {**content, "experiment": experiment}


def _converted(content: Mapping[str, Any], kind: type[T], file: Path) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise CorruptRecords(f"{file} is not what this package writes: {str(error).replace('`', '')}") from None
