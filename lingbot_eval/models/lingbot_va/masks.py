"""Training reads a whole item in one sequence: noisy video, clean video, noisy actions, clean actions. Which of its
tokens sees which is defined here, once, by :func:`sees`; ``masked.py`` attends so, in three ways.

N: tokens of the sequence. A *run* is the tokens of one frame in one part; they share a noise level.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from lingbot_eval.models.lingbot_va.transformer import PATCH, action_grid, rotary, video_grid

CLEAN = -1
"""Stands for the copy's number of what is no noisy copy."""


@dataclass(frozen=True)
class Part:
    """Says which frames of an item stand in one of the four parts of a sequence; ``copies`` times, one copy behind
    another."""

    frames: tuple[int, ...]
    copies: int = 1

    @property
    def runs(self) -> int:
        return len(self.frames) * self.copies


@dataclass(frozen=True)
class Layout:
    """Says what stands in a sequence, in which order, and how far each token sees."""

    noisy_video: Part
    clean_video: Part
    noisy_actions: Part
    clean_actions: Part
    latent: tuple[int, int]
    """Rows and columns of a latent frame."""
    commands: int
    """Per frame."""
    chunk: int
    """Frames per chunk."""
    window: int | None
    """How many places back is seen (:func:`places`); None: all."""
    actions_first: bool = False
    """Whether a chunk's commands come before its video: forward dynamics. Else a chunk is imagined, then acted."""

    @property
    def video_tokens(self) -> int:
        """Return the tokens of one frame of video."""
        rows, columns = self.latent
        return rows // PATCH * (columns // PATCH)

    @property
    def lengths(self) -> tuple[int, int, int, int]:
        """Return the tokens of each part, in order."""
        video, actions = (self.noisy_video, self.clean_video), (self.noisy_actions, self.clean_actions)
        one, two = (part.runs * self.video_tokens for part in video)
        three, four = (part.runs * self.commands for part in actions)
        return one, two, three, four

    def __len__(self) -> int:
        return sum(self.lengths)


def whole(
    frames: int, latent: tuple[int, int], commands: int, chunk: int, window: int | None, copies: int = 1
) -> Layout:
    """Return the original's layout: every frame stands in each of the four parts."""
    every = Part(tuple(range(frames)))
    noisy = Part(every.frames, copies)
    return Layout(noisy, every, noisy, every, latent, commands, chunk, window)


def needed(
    frames: int,
    latent: tuple[int, int],
    commands: int,
    chunk: int,
    window: int | None,
    *,
    copies: int = 1,
    first_given: bool = False,
    actions_first: bool = False,
) -> Layout:
    """Return the same without what changes no noisy token.

    The clean part of the stream that comes last in the last chunk is seen by no noisy token, and a first frame that is
    given (and alone in its chunk) has nothing to learn. In forward dynamics, actions are not learnt.
    """
    every = tuple(range(frames))
    before = tuple(frame for frame in every if frame // chunk < (frames - 1) // chunk)
    noisy = Part(every[1:] if first_given and chunk == 1 else every, copies)
    if actions_first:
        parts = (noisy, Part(before), Part((), copies), Part(every))
    else:
        parts = (noisy, Part(every), noisy, Part(before))
    return Layout(*parts, latent, commands, chunk, window, actions_first)


@dataclass(frozen=True)
class Tokens:
    """Holds what decides who sees whom, of any tokens: int64 tensors of one shape."""

    place: Tensor
    """Two places per chunk, in the order of an episode: in play its video and then its actions."""
    copy: Tensor
    """Which noisy copy a token belongs to; CLEAN: to none."""


def sees(asking: Tokens, asked: Tokens, window: int | None) -> Tensor:
    """Return whether tokens see others, by broadcasting.

    What is clean sees what is clean up to its own place. What is noisy sees what is clean before its place, and what is
    noisy of its own copy at its place. Nobody sees further than ``window`` places.
    """
    clean, past = asked.copy == CLEAN, asking.place - asked.place
    before = torch.where(asking.copy == CLEAN, past >= 0, past > 0)
    seen = torch.where(clean, before, (asking.copy == asked.copy) & (past == 0))
    return seen if window is None else seen & (past.abs() <= window)


@functools.lru_cache(maxsize=64)
def places(layout: Layout) -> Tokens:
    """Return place and copy of each token, (N,)."""
    video, actions = layout.video_tokens, layout.commands
    later = (1, 1, 0, 0) if layout.actions_first else (0, 0, 1, 1)
    parts = (layout.noisy_video, layout.clean_video, layout.noisy_actions, layout.clean_actions)
    place, copy = [], []
    for number, (part, per_run, odd) in enumerate(zip(parts, (video, video, actions, actions), later, strict=True)):
        frames = torch.tensor(part.frames, dtype=torch.long)
        place.append((frames // layout.chunk * 2 + odd).repeat(part.copies).repeat_interleave(per_run))
        own = torch.arange(part.copies).repeat_interleave(len(part.frames) * per_run)
        copy.append(torch.full_like(own, CLEAN) if number % 2 else own)
    return Tokens(torch.cat(place), torch.cat(copy))


@functools.lru_cache(maxsize=16)
def seen(layout: Layout) -> Tensor:
    """Return (N, N) bool: whether the token of a row sees that of a column."""
    tokens = places(layout)
    asking = Tokens(tokens.place[:, None], tokens.copy[:, None])
    return sees(asking, Tokens(tokens.place[None], tokens.copy[None]), layout.window)


@functools.lru_cache(maxsize=64)
def turns(layout: Layout, head_dim: int) -> Tensor:
    """Return the rotary turns of every token, (N, 1, head_dim / 2) complex64; frames count from the item's first."""
    frames = 1 + max((layout.noisy_video.frames + layout.clean_video.frames + layout.clean_actions.frames), default=0)
    video = video_grid(0, frames, *layout.latent).view(3, frames, -1)
    actions = action_grid(0, frames, layout.commands).view(3, frames, -1)
    parts = (layout.noisy_video, layout.clean_video, layout.noisy_actions, layout.clean_actions)
    grids = [
        table[:, list(part.frames) * part.copies].flatten(1)
        for part, table in zip(parts, (video, video, actions, actions), strict=True)
    ]
    return rotary(torch.cat(grids, dim=1), head_dim)
