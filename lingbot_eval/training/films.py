"""Films of an item of the data: what the model imagines of it, chunk by chunk, above what was real."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.session import Session
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.datasets.items import Item, open_items
from lingbot_eval.files import placed, scratch
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.vision import Pictures
from lingbot_eval.settings.robot import Robot
from lingbot_eval.types import Image
from lingbot_eval.videos import mp4

RATE = 4
"""Pictures a second."""


def film(checkpoint: str, data: Path, robot: Robot, number: int, target: Path) -> None:
    """Write ``target``: item ``number`` of ``data`` as ``checkpoint`` imagines it; real frames are fed back after every
    chunk, as in play. Of an item that is shorter than a chunk there is no film. Raises BadInput and NotReady."""
    items = open_items(data, robot)
    item, words = items[number], items.places[number].segment.action_text
    if item.latents.shape[1] < items.settings.frames:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    locate(checkpoint)
    sessions = Sessions.from_pretrained(checkpoint, items.settings, dtype="float32", device=device)
    part = scratch(target.name)
    writer = mp4(part, RATE)
    try:
        for imagined, real in _pairs(sessions, item, words):
            writer.append_data((np.concatenate([imagined, real]) * 255).round().astype(np.uint8))
    finally:
        writer.close()
    placed(part, target)


class Remembered(Session):
    """A session that is given latents in place of pictures."""

    given: Tensor
    """(1, 48, F, h, w): what is encoded next."""

    def _encode(self, images: object, phase: str) -> Tensor:
        return self.given.to(self._model.device, self._model.dtype)


NOTHING: dict[str, Image] = {"": np.zeros((1, 1, 1, 3), np.uint8)}
"""Stands for pictures that are latents already."""


def _chunks(sessions: Sessions, item: Item, words: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the latents of each chunk (1, 48, F, h, w): imagined, and real."""
    model, size = sessions.model, sessions.model.settings.frames
    real = item.latents[None]
    commands = model.normalisation.commands(item.actions[None].to(model.device)).cpu().numpy()
    session = Remembered(sessions, open_loop=False, trace=None, noise=None)
    session.reset(words, seed=0)
    for start in range(0, real.shape[2] - size + 1, size):
        session.given = real[:, :, :1]
        imagined = session.infer(NOTHING).latents
        came = real[:, :, start : start + size]
        session.given = came[:, :, 1:] if start == 0 else came
        session.feedback(NOTHING if session.given.shape[2] else None, commands[:, start : start + size])
        yield imagined, came


def _pairs(sessions: Sessions, item: Item, words: str) -> Iterator[tuple[Pictures, Pictures]]:
    """Yield pictures (H, W, 3) in [0, 1]: imagined, and real. The past of what is imagined is real."""
    vision = sessions.model.vision
    memory = vision.nothing_decoded()
    for imagined, came in _chunks(sessions, item, words):
        dreamt = vision.decoded(imagined, list(memory))
        for one, other in zip_longest(dreamt, vision.decoded(came, memory)):
            yield from zip(one, other, strict=True)
