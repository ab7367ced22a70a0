"""A loaded LingBot-VA is the weights and what gives them their meaning. ``agents/lingbot_va`` plays with it."""

from __future__ import annotations

import sys
from typing import Literal

import torch

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import overridden
from lingbot_eval.models.lingbot_va.normalisation import Normalisation
from lingbot_eval.models.lingbot_va.sampling import schedule
from lingbot_eval.models.lingbot_va.text import TextEncoder
from lingbot_eval.models.lingbot_va.transformer import VideoActionTransformer
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.plain import say
from lingbot_eval.settings.lingbot_va import LingBotSettings

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class LingBotVA:
    """Holds transformer, VAE and text encoder, the normalisation of commands, and the schedules of noise."""

    def __init__(
        self,
        settings: LingBotSettings,
        transformer: VideoActionTransformer,
        vision: Vision,
        text: TextEncoder,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        if len(settings.q01) != transformer.shape.action_dim:
            raise BadInput(
                f"the settings have quantiles for {len(settings.q01)} action channels, the transformer has "
                f"{transformer.shape.action_dim}"
            )
        self.settings, self.transformer, self.vision, self.text = settings, transformer, vision, text
        self.dtype, self.device = dtype, device
        self.normalisation = Normalisation(settings, dtype, device)
        self.video_plan = schedule(settings.video_steps, settings.video_shift)
        self.action_plan = schedule(settings.action_steps, settings.action_shift)

    @classmethod
    def from_pretrained(
        cls,
        path: str,
        settings: LingBotSettings,
        *,
        parts: str | None = None,
        dtype: Literal["bfloat16", "float32"] = "bfloat16",
        device: str = "cpu",
        text_device: str | None = None,
        vae_device: str | None = None,
        padded: bool = False,
        channels_last: bool = False,
    ) -> LingBotVA:
        """Load a folder (upstream's or LeRobot's layout) or hub id (``parts``: as for :func:`checkpoint.locate`); the
        checkpoint's own settings win and differences are printed (stderr). The transformer wants gradients; VAE and
        text encoder, which nobody trains here, do not. ``text_device`` and ``vae_device``: where those parts run, if
        not on ``device``. padded: encode texts in the original's shape (:class:`TextEncoder`). channels_last: lay the
        VAE out as GPUs want it.

        Raises NotReady, BadInput, BadCheckpoint.
        """
        home, text_home, vae_home = (_device(name or device) for name in (device, text_device, vae_device))
        checkpoint = locate(path, parts)
        settings, differences = overridden(settings, checkpoint.settings)
        keys = checkpoint.config.get("obs_cam_keys", tuple(settings.cameras))
        if len(keys) != len(settings.cameras):
            raise BadInput(f"{path} was trained with cameras {', '.join(keys)}, not {', '.join(settings.cameras)}")
        for line in differences:
            say(f"LingBot-VA {path}: {line}", file=sys.stderr)
        kind = DTYPES[dtype]
        transformer = loading.load_transformer(checkpoint, kind, home)
        vae = loading.load_vae(checkpoint, kind, vae_home).requires_grad_(False)
        if channels_last:
            loading.channels_last(vae)
        vision = Vision(vae, settings, kind, vae_home)
        encoder = loading.load_text_encoder(checkpoint, kind, text_home).requires_grad_(False)
        tokenizer = checkpoint.parts / "tokenizer" / "tokenizer.json"
        text = TextEncoder(tokenizer, encoder, device=text_home, padded=padded)
        return cls(settings, transformer, vision, text, kind, home)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # unknown to torch, or not on this machine
        raise BadInput(f"device {name!r}: {str(error).splitlines()[0]} (valid: cpu, cuda, cuda:N)") from None
    return device
