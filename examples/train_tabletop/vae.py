"""A tiny VAE of LingBot-VA's kind, and what it is trained to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import patchify, unpatchify
from looks import PER_FRAME
from torch import Tensor, nn

from lingbot_eval.settings.train import Optimizer


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the VAE is made and trained; ``recipe.yaml`` has the values."""

    base_dim: int
    decoder_base_dim: int
    z_dim: int
    """Channels of latents. The encoder says twice as many; the other half is a log variance, which nobody samples."""
    dim_mult: tuple[int, ...]
    num_res_blocks: int
    episodes: int
    """So many are read, at most."""
    held_out: float
    """This share of every task's is never trained on."""
    steps: int
    batch: int
    """A step has a stretch of so many episodes."""
    optimizer: Optimizer
    autocast: bool
    """Whether layers compute in bfloat16; weights and losses are float32 in any case."""
    noise: float
    """Standard deviation of what is added to latents before they are decoded."""
    size: float
    """Weight of the latents' mean square."""
    told: float
    """Weight of the commands that are read off the latents."""
    look_every: int
    """Steps between two looks at what is held out."""
    looked_at: int
    """So many held-out episodes of each setting."""
    save_every: int


@dataclass(frozen=True)
class Batch:
    """Stretches of episodes, each from the first look of a latent frame on."""

    main: Tensor
    """(b, 3, 1 + 4 n, H, W) the head's pictures, in [-1, 1]."""
    wrist: Tensor
    """(2 b, 3, 1 + 4 n, H / 2, W / 2) of each stretch the left wrist's and the right's."""
    told: Tensor
    """(b, 1 + n, 4 D) the commands after each latent frame, of mean 0 and deviation 1."""


class Told(nn.Module):
    """Reads the next four commands off each latent frame; thrown away after training.

    A picture's error hardly says where a small block lies. The commands of the demonstration do, and so they see to it
    that latents keep what is needed to act. They are what the expert told its arms, and nothing that only the simulator
    knows.
    """

    def __init__(self, channels: int, area: int, columns: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, 32, 1)
        self.read = nn.Sequential(nn.Linear(area * 32, 128), nn.GELU(), nn.Linear(128, PER_FRAME * columns))

    def forward(self, latents: Tensor) -> Tensor:
        """(b, z_dim, T, h, w) -> (b, T, 4 D)."""
        frames = self.narrow(latents.movedim(2, 1).flatten(0, 1))
        read: Tensor = self.read(F.gelu(frames.flatten(1)))
        return read.unflatten(0, (latents.shape[0], latents.shape[2]))


class Learnt(nn.Module):
    """All that is trained."""

    def __init__(self, settings: Settings, area: int, columns: int) -> None:
        """``area``: of a latent picture. ``columns``: of a command."""
        super().__init__()
        torch.manual_seed(0)  # weights are drawn from the global generator
        self.vae: Any = AutoencoderKLWan(**config(settings))
        self.told = Told(settings.z_dim, area, columns)

    def losses(self, batch: Batch, settings: Settings, dice: torch.Generator) -> dict[str, Tensor]:
        """Return scalars by name; they are to be added."""
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.autocast):
            latents = joined(encoded(self.vae, batch.main), encoded(self.vae, batch.wrist))
            blurred = latents + settings.noise * torch.randn(latents.shape, generator=dice)
            shown, told = decoded(self.vae, blurred), self.told(blurred).float()
        return {
            "picture": picture_loss(shown, joined(batch.main, batch.wrist)),
            "told": settings.told * F.mse_loss(told, batch.told),
            "size": settings.size * latents.square().mean(),
        }


def picture_loss(shown: Tensor, real: Tensor) -> Tensor:
    """Return the mean error, absolute and squared, and half of that of differences between neighbours: edges, which say
    where things are, are few pixels."""
    error = shown - real
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + error.square().mean() + 0.5 * edges


def config(settings: Settings) -> dict[str, Any]:
    """Return what AutoencoderKLWan is made of: LingBot-VA's, but for its sizes."""
    return {
        **{"base_dim": settings.base_dim, "decoder_base_dim": settings.decoder_base_dim, "z_dim": settings.z_dim},
        **{"dim_mult": list(settings.dim_mult), "num_res_blocks": settings.num_res_blocks, "attn_scales": []},
        **{"temperal_downsample": [False, True, True], "dropout": 0.0, "is_residual": True, "patch_size": 2},
        **{"in_channels": 12, "out_channels": 12, "scale_factor_spatial": 16, "scale_factor_temporal": PER_FRAME},
        **{"latents_mean": [0.0] * settings.z_dim, "latents_std": [1.0] * settings.z_dim},
    }


def encoded(vae: Any, pixels: Tensor) -> Tensor:
    """(b, 3, 1 + 4 n, H, W) in [-1, 1] -> (b, z_dim, 1 + n, h, w): as Vision does it, and with gradients."""
    squares, memory = patchify(pixels, vae.config.patch_size), _memory(vae.encoder)
    parts = [squares[:, :, :1], *squares[:, :, 1:].split(PER_FRAME, dim=2)]
    found = torch.cat([vae.encoder(part, feat_cache=memory, feat_idx=[0]) for part in parts], dim=2)
    latents: Tensor = vae.quant_conv(found)[:, : vae.config.z_dim]
    return latents.float()


def decoded(vae: Any, latents: Tensor) -> Tensor:
    """The reverse, not clamped: a clamped pixel would have no gradient."""
    memory, squares = _memory(vae.decoder), vae.post_quant_conv(latents)
    parts = [
        vae.decoder(frame, feat_cache=memory, feat_idx=[0], first_chunk=number == 0)
        for number, frame in enumerate(squares.split(1, dim=2))
    ]
    pixels: Tensor = unpatchify(torch.cat(parts, dim=2), vae.config.patch_size)
    return pixels.float()


def joined(main: Tensor, wrist: Tensor) -> Tensor:
    """(b, ..., h, w) of the head and (2 b, ..., h / 2, w / 2) of the wrists -> (b, ..., 3/2 h, w): the wrists side by
    side above the head, as latents are laid out and decoded at play."""
    left, right = wrist.unflatten(0, (-1, 2)).unbind(1)
    return torch.cat([torch.cat([left, right], dim=-1), main], dim=-2)


def _memory(part: nn.Module) -> list[Any]:
    return [None] * sum(type(module).__name__ == "WanCausalConv3d" for module in part.modules())
