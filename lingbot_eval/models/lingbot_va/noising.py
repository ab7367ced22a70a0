"""Turns items into what a training step reads: noisy frames with their targets, and the clean ones beside them.

Conventions are the original's training (wan_va/train.py and utils at 7c6ffa9) unless :class:`Noising` says otherwise.
b: items; n: noisy frames of a stream, that is all its copies; m: clean ones.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.masks import Layout, Part, needed
from lingbot_eval.models.lingbot_va.sampling import schedule
from lingbot_eval.settings.noising import Noising

LEVELS = 1000
"""Noise levels to draw from: 0 is noise, 999 is almost data. ``LEVELS`` itself stands for data."""


@dataclass(frozen=True)
class Batch:
    """Holds items on one device, of equal shape. Their numbers of frames may differ where all have as many as are read
    (``Noising.longest``)."""

    latents: Tensor
    """(b, 48, F, h, w), normalised; noise is added in their dtype."""
    actions: Tensor
    """(b, Da, F, A, 1) float32, normalised, clipped and masked; those of a frame lead to it."""
    mask: Tensor
    """(b, Da, F, A, 1) bool: which of them the robot has."""
    texts: tuple[Tensor, ...]
    """Each item's real tokens, (n, text_dim)."""
    lengths: tuple[int, ...] = ()
    """So many of F are each item's, and the rest is padding. Empty: all are."""
    given: tuple[int, ...] = ()
    """So many frames behind each item's first are not learnt: a stretch begins at the last of them, or later. Empty:
    none."""


@dataclass(frozen=True)
class Half:
    """Holds one stream's frames, noisy and clean."""

    noisy: Tensor
    """(b, C, n, ...)."""
    target: Tensor
    """(b, C, n, ...): noise minus data, which is what is to be predicted."""
    times: Tensor
    """(b, n) float32, 0..1000; 0: this frame is given, and nothing is to be learnt of it."""
    weights: Tensor
    """(b, n) float32: what the frame's error counts."""
    clean: Tensor
    """(b, C, m, ...); some noise may be on it all the same."""
    clean_times: Tensor
    """(b, m) float32."""


@dataclass(frozen=True)
class Noised:
    """Holds what a training step reads."""

    layout: Layout
    video: Half
    actions: Half
    mask: Tensor
    """(b, Da, n, A, 1) bool, of the noisy actions."""
    texts: tuple[Tensor, ...]
    video_weight: float
    action_weight: float


@dataclass(frozen=True)
class Draw:
    """Holds what was drawn for some frames."""

    levels: Tensor
    """(b, n) int64, 0..LEVELS."""
    noise: Tensor
    """(b, C, n, ...) float32, standard normal."""


@dataclass(frozen=True)
class Draws:
    """Holds all that is random in a step."""

    starts: tuple[int, ...]
    """The frame at which each item's stretch begins."""
    frames: int
    """Of every stretch."""
    layout: Layout
    video: Draw
    actions: Draw
    past: Draw
    """Of the clean video."""


def noised(batch: Batch, noising: Noising, generator: torch.Generator) -> Noised:
    """Draw all that is random in a step and apply it.

    Raises BadInput for items that are not of one shape.
    """
    return applied(batch, noising, draw(batch, noising, generator))


def draw(batch: Batch, noising: Noising, generator: torch.Generator) -> Draws:
    """Draw stretches, chunk, window, objective, levels and noise, in this order.

    Raises BadInput for items that are not of one shape, or have nothing to learn.
    """
    _require_one_shape(batch, noising.longest)
    dice = _Dice(generator, len(batch.latents), noising.levels == "per-sample")
    every, rows, columns = batch.latents.shape[2:]
    lengths = torch.tensor(batch.lengths or [every] * len(batch.latents))
    frames, given = min(int(lengths.min()), noising.longest or every), noising.first_frame == "given"
    if given and frames == 1:
        raise BadInput("one latent frame of an item leaves nothing to learn where the first is given; take two or more")
    earliest = torch.tensor(batch.given or [0] * len(lengths))
    _require_learnt(lengths, earliest, frames, given)
    starts = tuple((earliest + (dice.shares(1)[:, 0] * (lengths - earliest - frames + 1)).long()).tolist())
    layout = needed(
        frames,
        (rows, columns),
        batch.actions.shape[3],
        dice.whole(*noising.chunk),
        None if noising.window is None else dice.whole(*noising.window),
        copies=noising.copies,
        first_given=given,
        actions_first=dice.share() < noising.forward_dynamics_share,
    )
    video = dice.frames(batch.latents, layout.noisy_video, given=given)
    actions = dice.frames(batch.actions, layout.noisy_actions, given=given)
    past = dice.frames(batch.latents, layout.clean_video, lowest=noising.history_from)
    kept = dice.shares(1) >= noising.history_share
    return Draws(starts, frames, layout, video, actions, replace(past, levels=torch.where(kept, LEVELS, past.levels)))


def applied(batch: Batch, noising: Noising, draws: Draws) -> Noised:
    """Noise ``batch`` as drawn. Actions that the robot lacks stay zero in all that is made of them."""
    batch, layout = _stretches(batch, draws), draws.layout
    actions = batch.actions
    if noising.first_actions == "zeros":
        begins = torch.tensor(draws.starts, device=actions.device).view(-1, 1, 1, 1, 1) == 0
        actions = torch.cat([torch.where(begins, 0, actions[:, :, :1]), actions[:, :, 1:]], dim=2)
    video_levels = Levels(noising.video_shift, noising.weight_floor)
    past, _ = video_levels.noisy(_of(batch.latents, layout.clean_video), draws.past)
    video = _half(video_levels, _of(batch.latents, layout.noisy_video), draws.video, past, draws.past.levels)
    mask, clean = _of(batch.mask, layout.noisy_actions), _of(actions * batch.mask, layout.clean_actions)
    never = draws.actions.levels.new_full((len(clean), clean.shape[2]), LEVELS)
    action_levels = Levels(noising.action_shift, noising.weight_floor)
    half = _half(action_levels, _of(actions, layout.noisy_actions), draws.actions, clean, never)
    half = replace(half, noisy=half.noisy * mask, target=half.target * mask)
    return Noised(layout, video, half, mask, batch.texts, noising.video_weight, noising.action_weight)


class Levels:
    """Looks up what a level is: the share of noise, its time and what errors at it count."""

    def __init__(self, shift: float, floor: float) -> None:
        self._sigmas, self._weights = _tables(shift, floor)

    def noisy(self, data: Tensor, drawn: Draw) -> tuple[Tensor, Tensor]:
        """Return ``data`` (b, C, n, ...) with noise, and the target, in the dtype of ``data``."""
        sigma = self._at(self._sigmas, drawn.levels).to(data.device, data.dtype)
        sigma = sigma.view(len(sigma), 1, -1, *(1 for _ in data.shape[3:]))
        noise = drawn.noise.to(data.device, data.dtype)
        return (1 - sigma) * data + sigma * noise, noise - data

    def times(self, levels: Tensor) -> Tensor:
        """(b, n) -> (b, n) float32, 0..1000."""
        return self._at(self._sigmas, levels) * 1000

    def weights(self, levels: Tensor) -> Tensor:
        """(b, n) -> (b, n) float32, of mean 1 over all levels; what is no noise counts nothing."""
        return self._at(self._weights, levels)

    def _at(self, table: Tensor, levels: Tensor) -> Tensor:
        return table.to(levels.device)[levels]


@functools.cache
def _tables(shift: float, floor: float) -> tuple[Tensor, Tensor]:
    """Return share of noise and weight by level, (LEVELS + 1,) float32 each; the last is of data."""
    sigmas = torch.tensor(schedule(LEVELS, shift).sigmas)
    bell = torch.exp(-2 * ((sigmas * 1000 - 500) / 1000) ** 2)
    bell = bell - bell.min() + floor
    nothing = torch.zeros(1)
    return torch.cat([sigmas, nothing]), torch.cat([bell / bell.mean(), nothing])


class _Dice:
    """Draws from one generator, for the whole batch or each sample."""

    def __init__(self, generator: torch.Generator, samples: int, apart: bool) -> None:
        self._generator, self._samples, self._apart = generator, samples, apart

    def whole(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``, both included."""
        return low + int(self.share() * (high - low + 1))

    def share(self) -> float:
        return float(torch.rand((), generator=self._generator, device=self._generator.device, dtype=torch.float64))

    def shares(self, count: int) -> Tensor:
        """(samples, count) of [0, 1)."""
        rows = self._samples if self._apart else 1
        shares = torch.rand((rows, count), generator=self._generator, device=self._generator.device)
        return shares.expand(self._samples, -1)

    def frames(self, data: Tensor, part: Part, *, lowest: float = 0.0, given: bool = False) -> Draw:
        """Draw a level of at least the share ``lowest`` of them, and noise, for each frame of ``part``. given: frame 0
        has none."""
        levels = ((lowest + (1 - lowest) * self.shares(part.runs)) * LEVELS).long().clamp(max=LEVELS - 1)
        if given:
            first = torch.tensor(part.frames * part.copies, device=levels.device) == 0
            levels = torch.where(first, LEVELS, levels)
        shape = (*data.shape[:2], part.runs, *data.shape[3:])
        noise = torch.randn(shape, generator=self._generator, device=self._generator.device)
        return Draw(levels.to(data.device), noise.to(data.device))


def _half(levels: Levels, data: Tensor, drawn: Draw, clean: Tensor, clean_levels: Tensor) -> Half:
    noisy, target = levels.noisy(data, drawn)
    times, weights = levels.times(drawn.levels), levels.weights(drawn.levels)
    return Half(noisy, target, times, weights, clean, levels.times(clean_levels))


def _stretches(batch: Batch, draws: Draws) -> Batch:
    """Return the frames of each item that are read."""
    if draws.frames == batch.latents.shape[2]:
        return batch

    def cut(x: Tensor) -> Tensor:
        ends = (start + draws.frames for start in draws.starts)
        return torch.stack([own[:, start:end] for own, start, end in zip(x, draws.starts, ends, strict=True)])

    return Batch(cut(batch.latents), cut(batch.actions), cut(batch.mask), batch.texts)


def _of(data: Tensor, part: Part) -> Tensor:
    """Return the frames (b, C, F, ...) that stand in ``part``."""
    return data[:, :, list(part.frames) * part.copies]


def _require_learnt(lengths: Tensor, earliest: Tensor, frames: int, first_given: bool) -> None:
    """Raise BadInput where a stretch would have frames in it that are not to be learnt."""
    if earliest.any() and not first_given:
        raise BadInput(
            "items with frames that are given, and not learnt, want noising.first_frame=given: a stretch begins with "
            "one of them"
        )
    if (short := lengths - earliest < frames).any():
        n = int(short.nonzero()[0])
        raise BadInput(
            f"an item of {int(lengths[n])} latent frames, of which the first and {int(earliest[n])} more are given, "
            f"has no {frames} to read from the last of those on; noising.longest={int((lengths - earliest).min())} "
            "would do"
        )


def _require_one_shape(batch: Batch, longest: int | None) -> None:
    video, actions = batch.latents.shape, batch.actions.shape
    if (video[0], video[2]) != (actions[0], actions[2]) or batch.mask.shape != actions or len(batch.texts) != video[0]:
        raise BadInput(
            f"items do not fit together: latents {tuple(video)}, actions {tuple(actions)}, mask "
            f"{tuple(batch.mask.shape)}, {len(batch.texts)} texts; wanted are (b, 48, F, h, w), twice (b, channels, F, "
            "A, 1), and b texts"
        )
    if len(set(batch.lengths)) > 1 and (longest is None or longest > min(batch.lengths)):
        raise BadInput(
            f"items of {min(batch.lengths)} to {max(batch.lengths)} latent frames do not fit together where "
            f"{longest or 'all'} of them are read; wanted are items of one length, or noising.longest of at most "
            f"{min(batch.lengths)}"
        )
