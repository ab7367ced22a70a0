"""The two denoising loops turn noise into latents and into actions, as functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Schedule:
    """Holds noise levels from 1 down, as float32 values on the host."""

    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]
    """These are 1000 sigma."""
    changes: tuple[float, ...]
    """Each step adds this to sigma (negative); the last one ends at 0."""


def schedule(steps: int, shift: float) -> Schedule:
    """Return ``steps`` levels evenly spaced in (0, 1], then shifted towards noise (shift > 1) or towards data (shift <
    1)."""
    even = torch.linspace(1, 0, steps + 1)[:-1]
    sigmas = shift * even / (1 + (shift - 1) * even)
    changes = torch.cat([sigmas[1:], torch.zeros(1)]) - sigmas
    return Schedule(tuple(sigmas.tolist()), tuple((sigmas * 1000).tolist()), tuple(changes.tolist()))


class Predict(Protocol):
    def __call__(self, step: int, noisy: Tensor, times: Sequence[float], *, commit: bool) -> Tensor | None:
        """Make one forward: ``noisy`` (1, C, F, ...), ``times`` per frame, 0..1000 -> (rows, C, F, ...).

        commit: its keys and values stay in the cache as predictions. None where the output would not be used.
        """


def denoise_video(
    predict: Predict, noise: Tensor, seen: Tensor | None, plan: Schedule, guidance: float, exec_step: int | None
) -> Tensor:
    """Turn (1, 48, F, h, w) noise into latents. ``seen`` (1, 48, 1, h, w): the frame that is known already.

    The last forward puts the video into the cache for the actions to attend to: clean, at time 0, unless ``exec_step``
    stops the schedule before; then still noisy, at the time of that step.
    """
    latents = noise.clone()
    times = (*plan.timesteps, 0.0)[:exec_step]
    for step, time in enumerate(times):
        last = step == len(times) - 1
        _put_first(latents, seen)
        out = predict(step, latents, _per_frame(latents, time, seen), commit=last)
        if not last or exec_step is not None:
            latents = latents + guided(_known(out), guidance) * plan.changes[step]
    _put_first(latents, seen)
    return latents


def denoise_actions(
    predict: Predict, noise: Tensor, mask: Tensor, plan: Schedule, guidance: float, *, first_chunk: bool
) -> Tensor:
    """Turn (1, channels, F, A, 1) noise into normalised actions. In the first chunk, frame 0's are never executed, and
    are zeros."""
    nothing = torch.zeros_like(noise[:, :, :1]) if first_chunk else None
    actions = noise.clone()
    times = (*plan.timesteps, 0.0)
    for step, time in enumerate(times):
        last = step == len(times) - 1
        _put_first(actions, nothing)
        actions = torch.where(mask, actions, 0)
        out = predict(step, actions, _per_frame(actions, time, nothing), commit=last)
        if not last:
            actions = actions + guided(_known(out), guidance) * plan.changes[step]
    _put_first(actions, nothing)
    return torch.where(mask, actions, 0)


def guided(out: Tensor, guidance: float) -> Tensor:
    """Combine the rows (prompt, negative prompt) into one, (1, ...)."""
    if guidance <= 1:
        return out[:1]
    prompt, negative = out[:1], out[1:]
    return negative + guidance * (prompt - negative)


def _put_first(latents: Tensor, frame: Tensor | None) -> None:
    if frame is not None:
        latents[:, :, :1] = frame


def _per_frame(latents: Tensor, time: float, known: Tensor | None) -> list[float]:
    frames = latents.shape[2]
    return [0.0 if frame == 0 and known is not None else time for frame in range(frames)]


def _known(out: Tensor | None) -> Tensor:
    if out is None:
        raise AssertionError("a forward whose output is used computed none")
    return out
