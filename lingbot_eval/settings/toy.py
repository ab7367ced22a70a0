"""These are the toy environment's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from lingbot_eval.settings.structs import Count
from lingbot_eval.settings.suite import Protocol, SimulatorSettings


class ToyProtocol(Protocol, frozen=True, forbid_unknown_fields=True, tag="toy"):
    """The toy's protocol is for checking an installation with a point on a line."""

    command_limit: Count


class ToySettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="toy"):
    """These settings say which faults the toy simulator shows on purpose."""

    faults: Mapping[int, Literal["raise", "die", "hang", "stop", "spin", "slow", "eat"]]
    """By seed, what happens at the third command of an episode of that seed."""
