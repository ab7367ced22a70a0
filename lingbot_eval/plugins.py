"""Find what distributions bring of their own, by entry points: benchmarks (``suites``) and kinds of agents
(``agents``)."""

from __future__ import annotations

import functools
import warnings
from importlib import metadata

from lingbot_eval.errors import BadInput, UnknownName

OURS = "lingbot_eval"
"""This distribution, whose names come first and which nobody else takes."""


@functools.cache
def _points(group: str) -> dict[str, list[metadata.EntryPoint]]:
    """Return the entry points by name, this package's first, in the order of ``pyproject.toml``. Those of a name lead
    to different objects; there is more than one only between other distributions.

    Raises BadInput where this package is not installed.
    """
    points: dict[str, list[metadata.EntryPoint]] = {}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: not _is_ours(point)):
        known = points.setdefault(point.name, [])
        if point.value in [other.value for other in known]:
            continue  # a distribution that the path has twice
        if known and _is_ours(known[0]):
            warnings.warn(
                f"{group}: {point.name} is lingbot_eval's own; that of {_words_for(point)} is left out", stacklevel=2
            )
            continue
        known.append(point)
    if not points:
        raise BadInput(f"no entry points of {group}: lingbot_eval is not installed (pip install -e . in its checkout)")
    return points


def names(group: str) -> tuple[str, ...]:
    return tuple(_points(group))


def named(group: str, what: str, name: str) -> object:
    """Return what the entry point leads to.

    Raises UnknownName; BadInput where it cannot be loaded, or two distributions have the name.
    """
    if name not in _points(group):
        raise UnknownName(what, name, names(group))
    point, *others = _points(group)[name]
    if others:
        theirs = " and ".join(map(_words_for, (point, *others)))
        raise BadInput(f"{what} {name} is brought by {theirs}; uninstall all but one")
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise BadInput(f"{what} {name} ({point.value}) cannot be loaded: {error}") from None
    except (Exception, SystemExit) as error:
        words = f"{type(error).__name__}: {error}"
        raise BadInput(f"{what} {name} ({point.value}) cannot be loaded: {words}") from error


def brought_by(group: str, name: str) -> str:
    """Return the distribution that brings a name; empty for those of this package, and for one that nobody brings."""
    point = next(iter(_points(group).get(name, [])), None)
    return "" if point is None or point.dist is None or _is_ours(point) else point.dist.name


def _is_ours(point: metadata.EntryPoint) -> bool:
    return point.value.partition(":")[0].partition(".")[0] == OURS


def _words_for(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist else point.value
