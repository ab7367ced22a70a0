"""Imagines video and actions from pictures without a simulator: chunk after chunk, each imagined from the one
before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.imagination import looks
from lingbot_eval.agents.lingbot_va.session import Commands, Noise
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.types import Image, Imagined


@dataclass(frozen=True)
class Rollout:
    """Holds what an open-loop session imagined, all chunks in a row."""

    latents: Tensor
    """(1, 48, F, h, w); frame 0 is the picture that was given."""
    commands: Commands
    """(n_used, F, A); those of frame 0 lead nowhere."""


def imagine(
    sessions: Sessions,
    pictures: Mapping[str, Image],
    prompt: str,
    chunks: int,
    *,
    seed: int,
    noise: Callable[[int], Noise] | None = None,
) -> Rollout:
    """Imagine from ``pictures``, (H, W, 3) of each camera. noise: as in :meth:`Sessions.new`.

    Raises BadInput where the picture of a camera is missing.
    """
    session = sessions.new(open_loop=True, noise=noise)
    session.reset(prompt, seed=seed)
    given = {name: picture[None] for name, picture in pictures.items()}
    imagined = [session.infer(None if chunk else given) for chunk in range(chunks)]
    return Rollout(
        torch.cat([chunk.latents for chunk in imagined], dim=2),
        np.concatenate([chunk.commands for chunk in imagined], axis=1),
    )


def decoded(model: LingBotVA, rollout: Rollout) -> Iterator[Imagined]:
    """Yield the rollout's pictures, in a row: here each chunk's history is the prediction before it."""
    memory = model.vision.nothing_decoded()
    for chunk, latents in enumerate(torch.split(rollout.latents, model.settings.frames, dim=2)):
        yield from looks(model.vision, chunk, latents.shape[2], model.vision.decoded(latents, memory))
