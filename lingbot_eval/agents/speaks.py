"""Compare what an agent says it speaks with what an environment speaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lingbot_eval.errors import BadInput
from lingbot_eval.types import Column, EnvSpec


@dataclass(frozen=True)
class Speaks:
    """It says what an agent can be given and what it gives back. None says that it takes whatever there is."""

    cameras: tuple[str, ...] | None = None
    """Names of the cameras that it reads; the environment may show others besides."""
    picture_size: tuple[int, int] | None = None
    """Height and width in pixels of each picture that it reads."""
    state: tuple[str, ...] | None = None
    """(S,): names of the state's numbers, in order."""
    columns: tuple[str, ...] | None = None
    """(D,): names of its command columns, in order."""
    channels: tuple[int, ...] | None = None
    """(D,): LingBot-VA's shared action channel of each command column (:attr:`EnvSpec.channels`)."""
    commands_per_action: int | None = None
    """K: commands that it gives for each look."""


def require(speaks: Speaks, spec: EnvSpec, who: str) -> None:
    """Raise BadInput unless the agent can play the environment of ``spec``. ``who`` names the agent in the message, a
    line that gives both sides of everything that differs."""
    if words := refusal(speaks, spec):
        raise BadInput(f"{who} cannot play this environment: {words}")


def refusal(speaks: Speaks, spec: EnvSpec) -> str:
    """Say in words, on one line, where the agent and the environment of ``spec`` differ; empty where they do not."""
    return "; ".join(_differences(speaks, spec))


def _differences(speaks: Speaks, spec: EnvSpec) -> Iterator[str]:
    read = tuple(spec.cameras) if speaks.cameras is None else speaks.cameras
    if not {*read} <= {*spec.cameras}:
        yield f"it reads the cameras {_list(read)}, here are {_list(spec.cameras)}"
    if (wanted := speaks.picture_size) is not None:
        others = {name: spec.cameras[name] for name in read if spec.cameras.get(name, wanted) != wanted}
        if others:
            shown = ", ".join(f"{name} {_size(size)}" for name, size in others.items())
            yield f"it reads pictures of {_size(wanted)} (height x width), here are {shown}"
    for what, wanted_names, row in (
        ("state columns", speaks.state, spec.state),
        ("command columns", speaks.columns, spec.columns),
    ):
        if wanted_names is not None and wanted_names != (here := _names(row)):
            yield f"its {what} are ({_list(wanted_names)}), here ({_list(here)})"
    if speaks.channels is not None and speaks.channels != spec.channels:
        yield f"its commands are LingBot-VA's channels ({_list(speaks.channels)}), here ({_list(spec.channels)})"
    if speaks.commands_per_action not in (None, spec.commands_per_action):
        yield (
            f"it gives {speaks.commands_per_action} commands per action, here are {spec.commands_per_action} "
            f"(agent.commands_per_action={speaks.commands_per_action})"
        )


def _names(row: tuple[Column, ...]) -> tuple[str, ...]:
    return tuple(column.name for column in row)


def _list(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
