"""The embedded suite's settings."""

from __future__ import annotations

from lingbot_eval.settings.robotwin import RoboTwinProtocol
from lingbot_eval.settings.suite import SimulatorSettings


class TabletopProtocol(RoboTwinProtocol, frozen=True, forbid_unknown_fields=True, tag="tabletop"):
    """The embedded suite's, which speaks RoboTwin's task contract."""


class TabletopSettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="tabletop"):
    """The embedded suite."""
