"""Agents, by name."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingbot_eval.agents.scripted import Expert, Idle, Random, Replay, recordings
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.plain import say
from lingbot_eval.settings import AgentSettings
from lingbot_eval.settings.lingbot_va import LingBotAgentSettings
from lingbot_eval.types import Agent

if TYPE_CHECKING:
    from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint

AGENTS = ("idle", "random", "replay", "expert", "lingbot-va")

EXPERTS = {
    "libero": "lingbot_eval.agents.experts.libero.expert:LiberoExpert",
    "robotwin": "lingbot_eval.agents.experts.rehearsed:Rehearsed",
    "tabletop": "lingbot_eval.agents.experts.rehearsed:Rehearsed",
    "toy": "lingbot_eval.envs.testing:Pusher",
}
"""By suite: the class that the simulator's process loads."""


LINGBOT_PLAYS = {"libero": "libero", "robotwin": "robotwin", "tabletop": "robotwin"}
"""By suite: the benchmark whose cameras and channels it has (``conf/agent/lingbot-va/``)."""


def check_agent(
    settings: AgentSettings, suite: str, workers: int = 1, gpus: Sequence[str] = (), fresh: bool = False
) -> tuple[AgentSettings, str]:
    """Refuse now what every worker would refuse, and load no weights for it. ``workers``, ``gpus``: as for
    :func:`place_agent`; no workers: they play on other machines, and the device stays open. ``fresh``: a checkpoint's
    files are read again for its hash, whatever is remembered of them.

    Returns the settings with every choice made: the device, and what the checkpoint says itself, which wins; what
    differs is printed (stderr). And 12 hex digits over the content of what the agent plays from, a checkpoint or
    recordings; empty for an agent that needs nothing. Raises UnknownName, BadInput and NotReady.
    """
    if settings.name == "lingbot-va":
        settings, checkpoint = _check_lingbot(settings, suite, fresh)
        return (place_agent(settings, suite, workers, gpus) if workers else settings), checkpoint
    if settings.checkpoint is not None:
        raise BadInput(f"the agent {settings.name} has no weights: agent.checkpoint is for lingbot-va")
    load_agent(settings, suite)
    if settings.name != "replay" or settings.path is None:
        return settings, ""
    files = recordings(Path(settings.path))
    digest = hashlib.sha256()
    for seed in sorted(files):
        digest.update(hashlib.sha256(files[seed].read_bytes()).digest())
    return settings, digest.hexdigest()[:12]


def place_agent(settings: AgentSettings, suite: str, workers: int, gpus: Sequence[str] = ()) -> AgentSettings:
    """``settings`` with the device decided, for ``workers`` on this machine, in turn on ``gpus`` where there are any.

    Raises NotReady where they do not fit, BadInput where the device does not suit the other settings.
    """
    if settings.name != "lingbot-va":
        return settings
    checkpoint, chosen = _lingbot_checkpoint(settings, suite)
    from lingbot_eval.agents.lingbot_va.memory import chosen_device, require_memory

    chosen = msgspec.structs.replace(chosen, device=chosen_device(checkpoint, chosen))
    if chosen.graphs and (chosen.exact or chosen.device == "cpu"):
        found = f"device={chosen.device}, exact={chosen.exact}"
        raise BadInput(f"agent.lingbot.graphs=true needs device=cuda and exact=false, not {found}")
    require_memory(checkpoint, chosen, workers, settings.sessions, gpus)
    return msgspec.structs.replace(settings, lingbot=chosen)


def _check_lingbot(settings: AgentSettings, suite: str, fresh: bool) -> tuple[AgentSettings, str]:
    checkpoint, chosen = _lingbot_checkpoint(settings, suite)
    from lingbot_eval.models.lingbot_va.configuration import load_benchmark, overridden

    own, differences = overridden(chosen.settings, checkpoint.settings)
    for line in differences:
        say(f"LingBot-VA {settings.checkpoint}: {line}", file=sys.stderr)
    theirs = load_benchmark(LINGBOT_PLAYS[suite])
    for what, ours, wanted in (
        ("cameras", tuple(own.cameras), tuple(theirs.cameras)),
        ("channels", own.channels, theirs.channels),
        ("pictures: agent.looks", settings.looks, True),
    ):
        if ours != wanted:
            raise BadInput(f"LingBot-VA plays {suite} with {what}={wanted}, not {ours}")
    looks = own.commands_per_look
    if settings.commands_per_action != looks:
        raise BadInput(f"LingBot-VA looks after every {looks} commands here: agent.commands_per_action={looks}")
    return msgspec.structs.replace(settings, lingbot=msgspec.structs.replace(chosen, settings=own)), checkpoint.hash(
        fresh
    )


def agent_versions(settings: AgentSettings) -> dict[str, str]:
    """What computes the agent's actions, for the record: libraries, how attention is done, how precisely, and where."""
    if settings.name != "lingbot-va" or settings.lingbot is None:
        return {}
    found = {name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "tokenizers")}
    attention = "torch.nn.functional.scaled_dot_product_attention"
    return {**found, "attention": attention, "precision": settings.lingbot.dtype, "device": settings.lingbot.device}


def hardware(settings: AgentSettings) -> dict[str, str]:
    """What an episode is computed on, asked by the worker, which may be on another machine than who started it: the
    processor, NVIDIA's driver where there is one, and the agent's GPU."""
    found = {"cpu": _processor()}
    with contextlib.suppress(OSError):
        found["nvidia_driver"] = Path("/sys/module/nvidia/version").read_text().strip()
    if settings.lingbot is not None and settings.lingbot.device != "cpu":
        from lingbot_eval.agents.lingbot_va.gpu import described

        found |= described(settings.lingbot.device)
    return found


def _processor() -> str:
    """Its name as Linux gives it; elsewhere its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.machine()


def load_agent(settings: AgentSettings, suite: str) -> Callable[[RemoteEnv], Agent]:
    """What a worker keeps for a run: a function that gives an agent for an environment's simulator.

    Raises UnknownName, BadInput and NotReady before anything is played.
    """
    if settings.name not in AGENTS:
        raise UnknownName("agent", settings.name, AGENTS)
    if settings.name == "lingbot-va":
        return _load_lingbot(settings, suite)
    if settings.name == "replay":
        if settings.path is None:
            raise BadInput("the replay agent needs agent.path=RUN/actions")
        files = recordings(Path(settings.path))
        return lambda simulator: Replay(_box(simulator), simulator.env_spec.idle, files)
    if settings.name == "expert":
        if settings.commands_per_action != 1:
            raise BadInput("the expert reads the state before every command: agent.commands_per_action=1")
        return lambda simulator: Expert(simulator, EXPERTS[suite])
    if settings.name == "random":
        return lambda simulator: Random(_box(simulator))
    return lambda simulator: Idle(_box(simulator), simulator.env_spec.idle)


def _lingbot_checkpoint(settings: AgentSettings, suite: str) -> tuple[Checkpoint, LingBotAgentSettings]:
    require_lingbot()
    from lingbot_eval.models.lingbot_va.checkpoint import locate

    if settings.lingbot is None or settings.checkpoint is None:
        raise BadInput("lingbot-va needs agent.checkpoint=DIR; lingbot-eval make-tiny DIR writes a random one")
    if suite not in LINGBOT_PLAYS:
        raise BadInput(f"the agent lingbot-va plays {', '.join(LINGBOT_PLAYS)}; it has no settings for {suite}")
    return locate(settings.checkpoint, settings.lingbot.parts), settings.lingbot


def _load_lingbot(settings: AgentSettings, suite: str) -> Callable[[RemoteEnv], Agent]:
    """The weights once; a session for each simulator."""
    _, chosen = _lingbot_checkpoint(settings, suite)
    from lingbot_eval.agents.lingbot_va.imagination import Imagination
    from lingbot_eval.agents.lingbot_va.sessions import Sessions

    assert settings.checkpoint is not None  # noqa: S101  (checked above)
    sessions = Sessions.from_pretrained(
        settings.checkpoint,
        chosen.settings,
        parts=chosen.parts,
        dtype=chosen.dtype,
        device=chosen.device,
        text_device=chosen.text_device,
        vae_device=chosen.vae_device,
        exact=chosen.exact,
        graphs=chosen.graphs,
    )

    def session(simulator: RemoteEnv) -> Agent:
        sessions.model.check_env(simulator.env_spec)
        return Imagination(sessions.new(), sessions.model.vision)

    return session


def require_lingbot() -> None:
    """Raises NotReady where what LingBot-VA needs is not installed."""
    needed = ("torch", "diffusers", "transformers", "tokenizers", "safetensors", "ftfy")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise NotReady(
            f"LingBot-VA needs {', '.join(missing)}: make lingbot, or pip install -c constraints.txt -e '.[lingbot]' "
            "(--agent expert needs none of it)"
        )


def _box(simulator: RemoteEnv) -> Any:
    return simulator.action_space
