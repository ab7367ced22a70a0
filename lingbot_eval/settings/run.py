"""A run's settings are frozen structs that hydra fills (``conf/``) and that travel as JSON.

No field has a default here: defaults are written once, in ``conf/``. ``msgspec`` checks types and refuses unknown keys.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Literal

import msgspec
import yaml

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.agent import AgentSettings
from lingbot_eval.settings.structs import Count, Seconds, as_struct
from lingbot_eval.settings.suite import Protocol, SimulatorSettings, SuiteSettings

UNSTATED = "unstated"
"""The training regime of a run of which nobody says it."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process counts as hung after so much wall time, and may take so much memory."""

    load_seconds: Seconds
    """A worker may take so long to import, and to load the agent's weights."""
    start_seconds: Seconds
    """A simulator's process may take so long to import, and to construct the environment."""
    reset_seconds: Seconds
    command_seconds: Seconds
    episode_seconds: Seconds
    agent_seconds: Seconds
    """An agent in an interpreter of its own may take so long for one answer."""
    env_gigabytes: Annotated[float, msgspec.Meta(gt=0)]
    """A simulator's process and those that it started may hold so much memory (resident, 1e9 bytes) before they are
    killed."""


class LocalSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="local"):
    """The workers run on this machine."""

    gpus: tuple[str | int, ...] | None
    """NVIDIA's GPUs, as $CUDA_VISIBLE_DEVICES names them; worker k has the k-th, in turn. Empty: none. None: all that
    are visible or, once everything is decided (``workers.decided``), workers see what we see."""


Amount = Annotated[float, msgspec.Meta(ge=0)]


class RaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ray"):
    """The workers run on a Ray cluster (``runs/ray_workers.py``). Amounts are what Ray's scheduler counts with, not
    limits."""

    address: str | None
    """``host:port`` or ``auto``; None: $RAY_ADDRESS, else one of our own on this machine."""
    gpus_per_worker: Amount | None
    """GPUs of a worker; None: one where any node has one, else none."""
    cpus_per_worker: Amount
    """CPUs of a worker in addition to those of its environments."""
    cpus_per_environment: Amount
    patience_seconds: Seconds
    """How long to wait for room while no worker has any."""


ClusterSettings = LocalSettings | RaySettings


class RunSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: SuiteSettings
    env: SimulatorSettings
    protocol: Protocol
    agent: AgentSettings
    limits: Limits
    cluster: ClusterSettings
    workers: Count | None
    """Processes that play at the same time. None: one per GPU, or one; on Ray: as many as there is room for."""
    video: Literal["auto", "imagined", "on", "off"]
    """on: what the agent saw is filmed. imagined: what it had imagined stands below that. auto: imagined where the
    agent imagines, on where it looks at pictures anyway, else off."""
    video_every: Count
    """Film every n-th episode of a task."""
    actions: bool
    """Keep every episode's commands, to be played again by the replay agent."""
    tracker: Literal["none", "tensorboard", "wandb"]
    """Where progress goes besides the screen (``trackers/``)."""
    regime: str
    """What the checkpoint was trained on, in the user's words; UNSTATED: as the checkpoint says, if it does."""

    def __post_init__(self) -> None:
        if self.video == "imagined" and not self.agent.imagines:
            raise BadInput(
                f"video=imagined: the agent {self.agent.name} imagines nothing (valid: auto, on, off; or lingbot-va)"
            )

    @property
    def films(self) -> Literal["imagined", "on", "off"]:
        """Return ``video`` with auto resolved."""
        if self.video == "auto":
            return "imagined" if self.agent.imagines else "on" if self.agent.looks else "off"
        return self.video


def default_limits() -> Limits:
    """Return the limits of ``conf/limits/default.yaml``."""
    text = (resources.files("lingbot_eval") / "conf" / "limits" / "default.yaml").read_text()
    limits: Limits = as_struct(yaml.safe_load(text), Limits)
    return limits
