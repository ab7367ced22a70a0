"""These are the requests that a simulator's process is made: ``RemoteEnv`` sends them, ``host.py`` answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingbot_eval.child import Close, Request
from lingbot_eval.settings import Setting
from lingbot_eval.settings.pace import Pace


class Make(Request, tag="make"):
    settings: Mapping[str, Any]
    """They are the EnvSettings, whose types the suite says."""


class Reset(Request, tag="reset"):
    seed: int | None
    options: Mapping[str, Any]


class Step(Request, tag="step"):
    action: list[list[float]]
    """(K, D)"""


class Render(Request, tag="render"):
    pass


class Expert(Request, tag="expert"):
    """Load the suite's privileged expert."""

    pace: Pace


class ExpertReset(Request, tag="expert_reset"):
    pass


class ExpertCommand(Request, tag="expert_command"):
    pass


class Audition(Request, tag="audition"):
    seed: int
    setting: Setting


AnyRequest = Make | Reset | Step | Render | Expert | ExpertReset | ExpertCommand | Audition | Close
