"""The toy environment's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lingbot_eval.settings.structs import Count
from lingbot_eval.settings.suite import Protocol, SimulatorSettings


class ToyProtocol(Protocol, frozen=True, forbid_unknown_fields=True, tag="toy"):
    """The toy environment's: a point on a line, for checking an installation."""

    command_limit: Count


class ToySettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="toy"):
    """The toy simulator, and the faults it shows on purpose."""

    faults: Mapping[int, Literal["raise", "die", "hang", "stop", "spin", "slow", "eat"]]
    """By seed: what happens at the third command of such an episode."""
