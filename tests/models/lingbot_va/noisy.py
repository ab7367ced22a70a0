"""What tests of training share: the original's noising, a small batch, and what a tiny checkpoint learns from."""

from __future__ import annotations

import torch

from lingbot_eval.models.lingbot_va.noising import Batch
from lingbot_eval.settings.noising import Noising

ORIGINAL = Noising(
    video_shift=5.0,
    action_shift=1.0,
    levels="per-batch",
    weight_floor=0.0,
    history_share=0.5,
    history_from=0.5,
    longest=None,
    chunk=(1, 4),
    window=(4, 64),
    forward_dynamics_share=0.0,
    copies=1,
    first_frame="denoised",
    first_actions="raw-zeros",
    video_weight=1.0,
    action_weight=1.0,
)
"""wan_va/train.py at 7c6ffa9, RoboTwin's shifts."""

CHANNELS = (0, 1, 2, 28)


def batch(samples: int = 2, frames: int = 5, dtype: torch.dtype = torch.float32, text_dim: int = 32) -> Batch:
    """Latents of 4 x 6, four commands per frame; texts of unequal length."""
    dice = torch.Generator().manual_seed(3)
    mask = torch.zeros(samples, 30, frames, 4, 1, dtype=torch.bool)
    mask[:, list(CHANNELS)] = True
    actions = torch.randn(mask.shape, generator=dice).clamp(-1.5, 1.5) * mask
    latents = torch.randn(samples, 48, frames, 4, 6, generator=dice).to(dtype)
    texts = tuple(torch.randn(3 + 2 * row, text_dim, generator=dice).to(dtype) for row in range(samples))
    return Batch(latents, actions, mask, texts)


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
