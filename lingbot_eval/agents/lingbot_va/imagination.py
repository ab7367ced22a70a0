"""Keeps what a session had imagined, beside what came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.session import Session
from lingbot_eval.models.lingbot_va.vision import Pictures, Vision
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME
from lingbot_eval.types import Actions, ImaginationError, Imagined, Observation

LEAST_MSE = 1e-10
"""The least error that pictures are said to have; equal ones have 100 dB."""


class Imagination:
    """This agent is a session whose predictions are kept with the latents of what came instead.

    A chunk is decoded as the continuation of the *real* latents before it, because that is what it was imagined from:
    the decoder is causal, and fed with one prediction after another it would show a history that nobody imagined.
    """

    def __init__(self, session: Session, vision: Vision) -> None:
        self._session, self._vision = session, vision
        self._imagined: list[Tensor] = []
        self._came: list[Tensor] = []
        self._squares: list[float] = []

    def reset(self, instruction: str, *, seed: int) -> None:
        self._imagined, self._came, self._squares = [], [], []
        self._session.reset(instruction, seed=seed)

    def act(self, frames: Sequence[Observation]) -> Actions:
        turn = self._session.turn(frames)
        if turn.came is not None:
            self._came.append(turn.came)
            if not self._imagined:  # chunks of one frame: the given picture was a chunk of its own
                self._imagined.append(turn.came)
        self._imagined.append(turn.chunk.latents)
        return turn.actions

    @property
    def waited(self) -> float:
        return self._session.waited

    def imagination_error(self) -> ImaginationError | None:
        """Return the error so far; the device is waited for once."""
        pairs = zip(self._imagined, self._came, strict=False)  # the last chunk's pictures never come
        off = [(predicted.double() - came.double())[:, :, _given(n) :] for n, (predicted, came) in enumerate(pairs)]
        frames = sum(part.shape[2] for part in off)
        mse = float(torch.cat(off, dim=2).square().mean()) if frames else math.nan
        if not math.isfinite(mse):  # JSON has no such number
            return None
        psnr = -10 * math.log10(max(float(np.mean(self._squares)), LEAST_MSE)) if self._squares else None
        return ImaginationError(latent_mse=mse, frames=frames, psnr=psnr)

    def imagined(self) -> Iterator[Imagined]:
        """Decode every real latent frame and every predicted one, one of each at a time. The episode is over, and its
        cache makes room for that."""
        self._session.end()
        self._squares = []
        memory = self._vision.nothing_decoded()
        for chunk, latents in enumerate(self._imagined):
            predicted = self._vision.decoded(latents, list(memory))
            came = self._vision.decoded(self._came[chunk], memory) if chunk < len(self._came) else ()
            yield from looks(self._vision, chunk, latents.shape[2], self._compared(predicted, came, _given(chunk)))

    def _compared(self, predicted: Iterable[Pictures], came: Iterable[Pictures], given: int) -> Iterator[Pictures]:
        for frame, (pictures, real) in enumerate(zip_longest(predicted, came)):
            if real is not None and frame >= given:
                self._squares.append(float(np.square(pictures - real).mean()))
            yield pictures


def looks(vision: Vision, chunk: int, frames: int, decoded: Iterable[Pictures]) -> Iterator[Imagined]:
    """Yield the decoded pictures of a chunk of so many latent frames, one by one, the cameras apart."""
    given, count = _given(chunk), IMAGES_PER_FRAME * (frames - _given(chunk))
    captions = iter(["given"] * given + [f"chunk {chunk + 1}, {look + 1} of {count}" for look in range(count)])
    for pictures in decoded:
        views = {name: (view * 255).round().astype(np.uint8) for name, view in vision.apart(pictures).items()}
        for number in range(len(pictures)):
            yield Imagined({name: view[number] for name, view in views.items()}, next(captions))


def _given(chunk: int) -> int:
    """Return the number of latent frames at a chunk's start that are known, not predicted: the episode's first
    picture."""
    return int(chunk == 0)
