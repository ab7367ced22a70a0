"""LingBot-VA is a kind of agent, which imports no torch before it is loaded."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Collection, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingbot_eval.agents.kind import AgentFor, AgentKind
from lingbot_eval.agents.speaks import Speaks, refusal
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say
from lingbot_eval.settings import Limits
from lingbot_eval.settings.lingbot_va import (
    IMAGES_PER_FRAME,
    LingBotAgentSettings,
    LingBotSettings,
    LingBotVASettings,
)
from lingbot_eval.settings.trained import Trained
from lingbot_eval.types import Agent, EnvSpec

if TYPE_CHECKING:
    from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint

ATTENTION = "torch.nn.functional.scaled_dot_product_attention"


class LingBotVAKind(AgentKind[LingBotVASettings]):
    name = "lingbot-va"
    settings = LingBotVASettings

    def settled(self, settings: LingBotVASettings, said: Collection[str] = ()) -> LingBotVASettings:
        """A checkpoint that was trained here brings all settings of its own, and any that says how many commands a
        latent frame has decides how many there are between two looks."""
        if (checkpoint := _at_hand(settings)) is None:
            return settings
        if checkpoint.sampling and "lingbot.settings" not in said:
            from lingbot_eval.models.lingbot_va.configuration import proposed

            names = {name.removeprefix("lingbot.settings.").partition(".")[0] for name in said}
            own = proposed(settings.lingbot.settings, {**checkpoint.settings, **checkpoint.sampling}, names)
            settings = _with(settings, msgspec.structs.replace(settings.lingbot, settings=own))
        count = checkpoint.settings.get("commands_per_frame", 0) // IMAGES_PER_FRAME
        if count and "commands_per_action" not in said:
            settings = msgspec.structs.replace(settings, commands_per_action=count)
        return settings

    def check(
        self, settings: LingBotVASettings, spec: EnvSpec, fresh: bool = False, limits: Limits | None = None
    ) -> tuple[LingBotVASettings, str]:
        """Print (stderr) where the checkpoint says something other than the settings."""
        checkpoint, chosen = _checkpoint(settings), settings.lingbot
        from lingbot_eval.models.lingbot_va.configuration import overridden

        own, differences = overridden(chosen.settings, checkpoint.settings)
        for line in differences:
            say(f"LingBot-VA {settings.checkpoint}: {line}", file=sys.stderr)
        if not settings.looks:
            raise BadInput("LingBot-VA needs pictures: agent.looks=true")
        if words := refusal(speaks(own), spec):
            raise BadInput(
                f"LingBot-VA cannot play this environment: {words}: choose the --agent preset of this benchmark, or "
                "another checkpoint"
            )
        return _with(settings, msgspec.structs.replace(chosen, settings=own)), checkpoint.hash(fresh)

    def trained(self, settings: LingBotVASettings) -> Trained | None:
        training = _checkpoint(settings).training
        return training and training.as_trained

    def place(self, settings: LingBotVASettings, workers: int, gpus: Sequence[str] = ()) -> LingBotVASettings:
        checkpoint = _checkpoint(settings)
        from lingbot_eval.agents.lingbot_va.memory import chosen_device, require_memory

        chosen = msgspec.structs.replace(settings.lingbot, device=chosen_device(checkpoint, settings.lingbot))
        if chosen.graphs and (chosen.exact or chosen.device == "cpu"):
            found = f"device={chosen.device}, exact={chosen.exact}"
            raise BadInput(f"agent.lingbot.graphs=true needs device=cuda and exact=false, not {found}")
        require_memory(checkpoint, chosen, workers, settings.sessions, gpus)
        return _with(settings, chosen)

    def versions(self, settings: LingBotVASettings, limits: Limits | None = None) -> dict[str, str]:
        found = {name: metadata.version(name) for name in ("torch", "diffusers", "transformers", "tokenizers")}
        return {**found, "attention": ATTENTION, "precision": settings.lingbot.dtype, "device": settings.lingbot.device}

    def hardware(self, settings: LingBotVASettings) -> dict[str, str]:
        if settings.lingbot.device == "cpu":
            return {}
        from lingbot_eval.agents.lingbot_va.gpu import described

        return described(settings.lingbot.device)

    def in_words(self, settings: LingBotVASettings) -> str:
        return f"{self.name} in {settings.lingbot.dtype} on {settings.lingbot.device}, attention by {ATTENTION}"

    def load(self, settings: LingBotVASettings, limits: Limits, log: Path) -> AgentFor:
        """Load the weights once; return what makes a session for each episode."""
        _checkpoint(settings)
        chosen = settings.lingbot
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

        def session(spec: EnvSpec) -> Agent:
            sessions.check_env(spec)
            return Imagination(sessions.new(), sessions.model.vision)

        return session


def speaks(settings: LingBotSettings) -> Speaks:
    """Return what a checkpoint of these settings was trained on."""
    return Speaks(
        cameras=tuple(settings.cameras), channels=settings.channels, commands_per_action=settings.commands_per_look
    )


def _with(settings: LingBotVASettings, chosen: LingBotAgentSettings) -> LingBotVASettings:
    return msgspec.structs.replace(settings, lingbot=chosen)


def _at_hand(settings: LingBotVASettings) -> Checkpoint | None:
    """Return the checkpoint where it is a folder; None where it is elsewhere, or something is missing, which
    :meth:`LingBotVAKind.check` says."""
    from lingbot_eval.models.lingbot_va.builtin import is_folder

    if settings.checkpoint is None or not is_folder(settings.checkpoint):
        return None
    try:
        return _checkpoint(settings)
    except NotReady:
        return None


def _checkpoint(settings: LingBotVASettings) -> Checkpoint:
    require_lingbot()
    from lingbot_eval.models.lingbot_va.checkpoint import locate

    if settings.checkpoint is None:
        raise BadInput("lingbot-va needs agent.checkpoint=DIR; lingbot-eval make-tiny DIR writes a random one")
    return locate(settings.checkpoint, settings.lingbot.parts)


def require_lingbot() -> None:
    """Raises NotReady where what LingBot-VA needs is not installed."""
    needed = ("torch", "diffusers", "transformers", "tokenizers", "safetensors", "ftfy")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise NotReady(
            f"LingBot-VA needs {', '.join(missing)}: make lingbot, or pip install -c constraints.txt -e '.[lingbot]' "
            "(--agent expert needs none of it)"
        )
