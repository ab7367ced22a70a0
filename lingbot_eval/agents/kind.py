"""A kind of agent is one object: its settings, and how it is checked, placed and loaded.

A kind of your own derives from :class:`AgentKind` and is named in the entry-point group ``lingbot_eval.agents``. A
single policy needs none: ``--agent file.py:Class`` plays a class as it is (``own.py``; docs/extending.md).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from lingbot_eval.settings import AgentSettings, Limits
from lingbot_eval.settings.pace import AS_IT_IS, Pace
from lingbot_eval.settings.trained import Trained
from lingbot_eval.types import Action, Agent, EnvSpec

S = TypeVar("S", bound=AgentSettings)

AgentFor = Callable[[EnvSpec], Agent]
"""It gives an agent for an episode in an environment that speaks so. A privileged kind's is given an :class:`Expertise`
instead."""


class Expertise(Protocol):
    """This is the suite's scripted expert in the simulator's process, and all that a privileged agent gets of a
    simulator."""

    def use_expert(self, pace: Pace = AS_IT_IS) -> None:
        """Load the expert there, which follows a path that it knows beforehand at this pace."""

    def expert_reset(self) -> None: ...

    def expert_command(self) -> Action:
        """Return (D,) float32: what the expert would command now."""


class AgentKind(Generic[S]):
    """A kind of agent says everything that is known of it before anything is loaded. Every method may raise BadInput
    and NotReady."""

    name: ClassVar[str]
    """The name as it is typed (``--agent NAME``); also the tag of its settings."""
    settings: ClassVar[type[AgentSettings]]
    """The type of its settings, an AgentSettings."""
    privileged: ClassVar[bool] = False
    """Whether it asks the suite's expert, which sees the simulator's state."""

    def preset(self, name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Return the settings where nothing else is said, as plain data; None: ``conf/agent/<name>.yaml`` of this
        package. ``given`` are those that are said, by name: what they are may decide what the others are."""
        return None

    def settled(self, settings: S, said: Collection[str] = ()) -> S:
        """Return the settings with those that the agent's files decide, where the files are here already. What was
        ``said``, by name (``sessions``, ``lingbot.settings.window``), stays: :meth:`check` refuses or corrects it."""
        return settings

    def check(self, settings: S, spec: EnvSpec, fresh: bool = False, limits: Limits | None = None) -> tuple[S, str]:
        """Refuse now what every worker would refuse, and load no weights for it. ``spec`` says what the environments
        speak that will be played. With ``fresh``, files are read again for the hash, whatever is remembered of them.
        ``limits`` are for processes that are started for it; None: the default ones.

        Returns the settings with what the agent's files say themselves, which wins; and 12 hex digits over the content
        of what it plays from, empty for an agent that plays from nothing.
        """
        return settings, ""

    def trained(self, settings: S) -> Trained | None:
        """Return what the agent was trained on, as its files say themselves; None where they do not."""
        return None

    def place(self, settings: S, workers: int, gpus: Sequence[str] = ()) -> S:
        """Return the settings with the device decided, for ``workers`` on this machine, in turn on ``gpus`` where there
        are any. Raises NotReady where they do not fit."""
        return settings

    def versions(self, settings: S, limits: Limits | None = None) -> dict[str, str]:
        """Return what computes the agent's actions, for the record: libraries, precision, device."""
        return {}

    def hardware(self, settings: S) -> dict[str, str]:
        """Return what it computes on besides the processor; this is asked in the worker."""
        return {}

    def in_words(self, settings: S) -> str:
        """Say how it computes, for whoever starts a run; empty where there is nothing to say."""
        return ""

    def load(self, settings: S, limits: Limits, log: Path) -> AgentFor:
        """Return what a worker keeps for a run. It is asked for an agent at every episode, in the thread of its lane.
        ``limits`` are for processes that an agent starts, and ``log`` is the file for their prints."""
        raise NotImplementedError
