"""These are RoboTwin's settings."""

from __future__ import annotations

from typing import Literal

from lingbot_eval.settings.structs import Count
from lingbot_eval.settings.suite import SceneProtocol, SimulatorSettings


class RoboTwinProtocol(SceneProtocol, frozen=True, forbid_unknown_fields=True, tag="robotwin"):
    """A protocol is one way in which RoboTwin 2.0 numbers are made; ``conf/protocol/robotwin/*.yaml`` gives each
    value's source."""

    commands: Literal["relative", "absolute"]
    """What an agent's poses mean (``envs/robotwin/poses.py``). relative: to the episode's first pose, in LingBot-VA's
    algebra. absolute: in the world frame, quaternion w first."""
    command_limit: Count | None
    """The most commands of an episode, for every task; None: the task's own (RoboTwin's ``_eval_step_limit.yml``)."""
    success: Literal["any-moment", "after-command"]
    """When ``check_success`` is asked; the first yes ends the episode. any-moment: after every physics step, as
    RoboTwin does, so that a passing state counts. after-command: when a command has been executed."""


class RoboTwinSettings(SimulatorSettings, frozen=True, forbid_unknown_fields=True, tag="robotwin"):
    """These settings describe a RoboTwin checkout on this machine. All but ``root`` and ``python`` can move a score,
    and are in the protocol hash as they were resolved."""

    root: str | None
    """The folder of the checkout; None: $ROBOTWIN_ROOT."""
    embodiment: Literal["checkout", "tabletop"]
    """checkout: the arms that its ``demo_*.yml`` name, from its assets. tabletop: this package's mesh-free ones, which
    need no download."""
    planner: Literal["auto", "curobo", "mplib"]
    """auto: CuRobo where it imports, else ours on mplib, which avoids no obstacle."""
    shader: Literal["auto", "rt", "default"]
    """rt: ray tracing, as RoboTwin asks for. default: the rasteriser. auto: rt where a GPU draws."""
    denoiser: Literal["oidn", "optix", "none"]
    """The denoiser of ray tracing."""
