"""Find what distributions bring of their own, by entry points: benchmarks (``suites``) and kinds of agents
(``agents``)."""

from __future__ import annotations

import functools
from importlib import metadata

from lingbot_eval.errors import BadInput, UnknownName

OURS = "lingbot_eval"
"""This distribution, whose names come first and nobody else may take."""


@functools.cache
def _points(group: str) -> dict[str, metadata.EntryPoint]:
    """Return the entry points by name, this package's first, in the order of ``pyproject.toml``.

    Raises BadInput where two distributions have one name.
    """
    found = sorted(metadata.entry_points(group=group), key=lambda point: point.value.partition(".")[0] != OURS)
    points: dict[str, metadata.EntryPoint] = {}
    for point in found:
        if (known := points.setdefault(point.name, point)).value != point.value:
            raise BadInput(f"{group}: {point.name} is both {known.value} and {point.value}; uninstall one of them")
    if not points:
        raise BadInput(f"no entry points of {group}: lingbot_eval is not installed (pip install -e . in its checkout)")
    return points


def names(group: str) -> tuple[str, ...]:
    return tuple(_points(group))


def named(group: str, what: str, name: str) -> object:
    """Return what the entry point leads to.

    Raises UnknownName, BadInput.
    """
    if name not in _points(group):
        raise UnknownName(what, name, names(group))
    point = _points(group)[name]
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise BadInput(f"{what} {name} ({point.value}) cannot be loaded: {error}") from None
