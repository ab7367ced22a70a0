"""These are the settings of tabletop, the embedded suite."""

from __future__ import annotations

from lingbot_eval.settings.robotwin import RoboTwinProtocol
from lingbot_eval.settings.suite import SimulatorSettings


class TabletopProtocol(RoboTwinProtocol, frozen=True, forbid_unknown_fields=True, tag="tabletop"):
    """The embedded suite speaks RoboTwin's task contract, so its protocol has the same fields."""


class TabletopSettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="tabletop"):
    """These settings say how the embedded suite runs on this machine."""
