"""Find the kinds of agents that can play: this package's, and those that a distribution names in the entry-point group
``lingbot_eval.agents`` (docs/extending.md)."""

from __future__ import annotations

import functools
from typing import Any

from lingbot_eval.agents.kind import AgentKind
from lingbot_eval.errors import BadInput
from lingbot_eval.plugins import named, names
from lingbot_eval.settings import AgentSettings

GROUP = "lingbot_eval.agents"

OWN = "own"
"""The kind of a class of the user's own, which is typed as what names the class (``own_kind.py``)."""


@functools.cache
def kind_named(name: str) -> AgentKind[Any]:
    """Return the kind of agents of this name.

    Raises UnknownName; BadInput where it cannot be loaded, or is no kind of agent.
    """
    found = named(GROUP, "agent", name)
    if not (isinstance(found, type) and issubclass(found, AgentKind)):
        raise BadInput(f"{GROUP}: {name} is no class derived from lingbot_eval.agents.kind.AgentKind")
    kind: AgentKind[Any] = found()
    if kind.name != name or kind.settings.__struct_config__.tag != name:
        raise BadInput(f"{GROUP}: {name} leads to a kind, or to settings, of another name ({kind.name})")
    return kind


def kind_of(settings: AgentSettings) -> AgentKind[Any]:
    return kind_named(settings.kind)


def kind_names() -> tuple[str, ...]:
    """Return the names of the kinds that are typed by name, this package's first."""
    return tuple(name for name in names(GROUP) if name != OWN)


__all__ = ["OWN", "AgentKind", "kind_named", "kind_names", "kind_of"]
