"""Every agent's settings have these. Each kind of agent adds its own; ``agents/`` says which kinds there are."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from lingbot_eval.settings.pace import AS_IT_IS, Metres, Pace
from lingbot_eval.settings.structs import Count, to_dict


class AgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="name"):
    """These are the settings of one kind of agent, whose name is their tag."""

    APART: ClassVar[frozenset[str]] = frozenset({"sessions"})
    """A run may be continued with other values of these fields: where something lies whose content counts
    (``AgentKind.check``), and where and with how many others an episode is computed. Each record says the device."""

    looks: bool
    """Whether the agent is given pictures; one that looks at none is not made to pay for any."""
    commands_per_action: Count
    """K: how many commands the agent gives between two looks."""
    sessions: Count
    """How many episodes one worker plays at the same time, with one set of weights."""

    @property
    def kind(self) -> str:
        """The name of the kind of agent."""
        return str(self.__struct_config__.tag)

    @property
    def name(self) -> str:
        """Return what tables and records call the agent."""
        return self.kind

    @property
    def imagines(self) -> bool:
        """Say whether the agent predicts what it will see."""
        return False

    @property
    def loads_in_its_lane(self) -> bool:
        """Whether the agent is loaded at a lane's first episode, and not with its worker."""
        return False

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the devices that the settings name, as torch names them."""
        return ()

    def identity(self) -> dict[str, Any]:
        """Return those settings that are part of the experiment."""
        return {name: value for name, value in to_dict(self).items() if name not in self.APART}


class ModelFree(AgentSettings, frozen=True, forbid_unknown_fields=True):
    """The settings of the agents that check an environment without a model."""

    def identity(self) -> dict[str, Any]:
        # Version 0.1.0 wrote this for every agent, and run directories are named by a hash over it.
        return {**AgentSettings.identity(self), "lingbot": None}


class IdleSettings(ModelFree, frozen=True, forbid_unknown_fields=True, tag="idle"):
    """The agent that asks for no motion."""


class RandomSettings(ModelFree, frozen=True, forbid_unknown_fields=True, tag="random"):
    """The agent that draws commands uniformly from the action space."""


class ExpertSettings(ModelFree, frozen=True, forbid_unknown_fields=True, tag="expert"):
    """The benchmark's own scripted expert, which sees the simulator's state."""

    waypoints_per_command: Count
    """One command is given for at most so many waypoints of a path that the expert knows beforehand; 1: for each."""
    beat: Count
    """On such a path a hand arrives above what it comes down on at a multiple of so many commands; 1: as it happens."""
    stray: Metres
    """How far beside it, as a normal distribution's deviation along x and along y. It is not always so far."""

    @property
    def pace(self) -> Pace:
        return Pace(self.waypoints_per_command, self.beat, self.stray)

    @property
    def name(self) -> str:
        if self.beat > 1 or self.stray:
            return f"paced-{self.kind}"
        return self.kind if self.pace.usual else f"thinned-{self.kind}"

    def identity(self) -> dict[str, Any]:
        usual = to_dict(AS_IT_IS).items()  # older versions had no such settings
        return {name: value for name, value in ModelFree.identity(self).items() if (name, value) not in usual}


class ReplaySettings(ModelFree, frozen=True, forbid_unknown_fields=True, tag="replay"):
    """The agent that plays recorded commands again."""

    APART: ClassVar[frozenset[str]] = ModelFree.APART | {"path"}

    path: str | None
    """A run directory's ``actions`` folder."""
