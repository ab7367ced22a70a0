"""The toy's specification says what its environment speaks."""

from __future__ import annotations

from lingbot_eval.settings import EnvSettings
from lingbot_eval.types import EnvSpec, columns

SIZE = (64, 64)
"""Rows and columns of the one camera's picture."""


def env_spec(settings: EnvSettings) -> EnvSpec:
    """Return what ``ReachEnv`` speaks under these settings."""
    return EnvSpec(
        cameras={"head": SIZE} if settings.cameras else {},
        columns=columns("x", "m"),
        low=(-0.1,),
        high=(0.1,),
        state=columns("x", "m"),
        commands_per_second=10.0,
        commands_per_action=settings.commands_per_action,
        channels=(0,),
        conventions={"command": "metres to the right"},
        idle=(0.0,),
    )
