"""These are the requests that an agent's process is made: ``RemoteAgent`` sends them, ``host.py`` answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingbot_eval.child import Close, Request
from lingbot_eval.types import EnvSpec


class Hello(Request, tag="hello"):
    pass


class Describe(Request, tag="describe"):
    entry: str
    options: Mapping[str, Any]
    fresh: bool


class Declare(Request, tag="declare"):
    entry: str


class Load(Request, tag="load"):
    entry: str
    options: Mapping[str, Any]
    content: str
    """The hash that it must have; empty for any."""
    spec: EnvSpec


class Reset(Request, tag="reset"):
    instruction: str
    seed: int


class See(Request, tag="see"):
    count: int
    """So many observations are in the shared memory."""


class Act(Request, tag="act"):
    count: int
    """So many observations are in the shared memory, the last before the agent acts."""


AnyRequest = Hello | Declare | Describe | Load | Reset | See | Act | Close
