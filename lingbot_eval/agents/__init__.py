"""Agents, by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lingbot_eval.agents.scripted import Expert, Idle, Random, Replay, recordings
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.settings import AgentSettings
from lingbot_eval.types import Agent

AGENTS = ("idle", "random", "replay", "expert")

EXPERTS = {
    "libero": "lingbot_eval.agents.libero.expert:LiberoExpert",
    "toy": "lingbot_eval.envs.testing:Pusher",
}
"""By suite: the class that the simulator's process loads."""


def load_agent(settings: AgentSettings, suite: str) -> Callable[[RemoteEnv], Agent]:
    """What a worker keeps for a run: a function that gives an agent for an environment's simulator.

    Raises UnknownName and BadInput before anything is played.
    """
    if settings.name not in AGENTS:
        raise UnknownName("agent", settings.name, AGENTS)
    if settings.name == "replay":
        if settings.path is None:
            raise BadInput("the replay agent needs agent.path=RUN/actions")
        files = recordings(Path(settings.path))
        return lambda simulator: Replay(_box(simulator), files)
    if settings.name == "expert":
        if settings.commands_per_action != 1:
            raise BadInput("the expert reads the state before every command: agent.commands_per_action=1")
        return lambda simulator: Expert(simulator, EXPERTS[suite])
    if settings.name == "random":
        return lambda simulator: Random(_box(simulator))
    return lambda simulator: Idle(_box(simulator))


def require_lingbot() -> None:
    """Raises NotReady where what LingBot-VA needs is not installed."""
    needed = ("torch", "diffusers", "transformers", "tokenizers", "safetensors", "ftfy")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise NotReady(f"LingBot-VA needs {', '.join(missing)}: pip install -c constraints.txt -e '.[lingbot]'")


def _box(simulator: RemoteEnv) -> Any:
    return simulator.action_space
