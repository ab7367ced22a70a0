"""Makes a micro-batch's tensors of items: the wording, whether the text is dropped, and the noise are drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lingbot_eval.models.lingbot_va.noising import Batch, Half, Noised, noised
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.training.draws import generator

if TYPE_CHECKING:
    from lingbot_eval.datasets.items import Item, Items


class Batches:
    """Gives noised micro-batches, on the CPU, by the numbers of their items."""

    def __init__(self, items: Items, settings: TrainSettings) -> None:
        self._items, self._settings = items, settings

    def drawn(self, numbers: Sequence[int], *purpose: str | int) -> Noised:
        """Return the micro-batch as it is learnt from; ``purpose`` says for what it is drawn."""
        dice = generator(self._settings.seed, "text", *purpose)
        items = [self._items[number] for number in numbers]
        return self._noised(items, [self._text(item, dice) for item in items], *purpose)

    def plain(self, numbers: Sequence[int], *purpose: str | int) -> Noised:
        """Return the micro-batch with its own instructions, none dropped."""
        items = [self._items[number] for number in numbers]
        return self._noised(items, [item.texts[0] for item in items], *purpose)

    def _noised(self, items: Sequence[Item], texts: Sequence[Tensor], *purpose: str | int) -> Noised:
        batch = Batch(
            _padded([item.latents for item in items]),
            _padded([item.actions for item in items]),
            _padded([item.mask for item in items]),
            tuple(texts),
            tuple(item.latents.shape[1] for item in items),
            tuple(item.given for item in items),
        )
        return noised(batch, self._settings.noising, generator(self._settings.seed, "noise", *purpose))

    def _text(self, item: Item, dice: torch.Generator) -> Tensor:
        dropped, chosen = torch.rand(2, generator=dice).tolist()
        if dropped < self._settings.text_dropout:
            return self._items.empty
        return item.texts[int(chosen * len(item.texts))] if self._settings.wordings == "any" else item.texts[0]


def _padded(items: Sequence[Tensor]) -> Tensor:
    """Return (b, C, F, ...) of b times (C, F or fewer, ...); zeros stand behind the shorter ones."""
    channels, _, *rest = items[0].shape
    whole = items[0].new_zeros(len(items), channels, max(item.shape[1] for item in items), *rest)
    for row, item in zip(whole, items, strict=True):
        row[:, : item.shape[1]] = item
    return whole


def moved(batch: Noised, device: torch.device) -> Noised:
    """Return the micro-batch on ``device``."""
    video, actions = (_moved(half, device) for half in (batch.video, batch.actions))
    texts = tuple(text.to(device) for text in batch.texts)
    return replace(batch, video=video, actions=actions, mask=batch.mask.to(device), texts=texts)


def _moved(half: Half, device: torch.device) -> Half:
    return Half(**{name: value.to(device, non_blocking=True) for name, value in vars(half).items()})


def tokens(batch: Noised) -> int:
    """Return how many tokens the micro-batch has in its sequences, noisy and clean ones."""
    return len(batch.layout) * len(batch.texts)
