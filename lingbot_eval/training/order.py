"""Which items a micro-batch has, and which episodes are held out. Both follow from the seed and the data alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Mapping, Sequence

import torch

from lingbot_eval.training.draws import generator


class Order:
    """Micro-batches of items of which equally many frames are read. An epoch has every item, as often as others or,
    with ``balance``, in proportion to its own length to this power, and the shortest once; the last micro-batch of a
    length may have fewer items than ``batch``."""

    def __init__(
        self, lengths: Mapping[int, int], batch: int, seed: int, balance: float = 0.0, longest: int | None = None
    ) -> None:
        """``lengths``: the number of latent frames of every item that is trained on, by its number; ``longest`` is how
        many are read of one at most."""
        self._batch, self._seed = batch, seed
        self._groups: dict[int, list[int]] = {}
        shortest = min(lengths.values())
        for item in sorted(lengths):
            times = round((lengths[item] / shortest) ** balance)
            self._groups.setdefault(min(lengths[item], longest or lengths[item]), []).extend([item] * times)
        self.per_epoch = sum(math.ceil(len(group) / batch) for group in self._groups.values())
        self._known: tuple[int, list[list[int]]] = (-1, [])

    def items(self, number: int) -> list[int]:
        """Return the items of the ``number``-th micro-batch of the whole training, from 0."""
        epoch, place = divmod(number, self.per_epoch)
        if self._known[0] != epoch:
            self._known = (epoch, self._shuffled(epoch))
        return self._known[1][place]

    def _shuffled(self, epoch: int) -> list[list[int]]:
        dice = generator(self._seed, "order", epoch)
        found = []
        for length in sorted(self._groups):
            group = _permuted(self._groups[length], dice)
            found += [group[start : start + self._batch] for start in range(0, len(group), self._batch)]
        return _permuted(found, dice)


def _permuted(things: Sequence[object], dice: torch.Generator) -> list:  # type: ignore[type-arg]
    return [things[n] for n in torch.randperm(len(things), generator=dice).tolist()]


def held_out(episodes: Sequence[tuple[str, Hashable]], share: float, seed: int) -> set[tuple[str, Hashable]]:
    """Choose among ``episodes`` (task, episode; those of several segments several times) a ``share`` of each task's,
    but not its last one."""
    tasks: dict[str, set[Hashable]] = {}
    for task, episode in episodes:
        tasks.setdefault(task, set()).add(episode)
    chosen: set[tuple[str, Hashable]] = set()
    for task, known in tasks.items():
        count = min(math.ceil(share * len(known)), len(known) - 1)
        ranked = sorted(known, key=lambda episode: hashlib.sha256(repr((seed, task, episode)).encode()).digest())
        chosen |= {(task, episode) for episode in ranked[:count]}
    return chosen


def evenly(things: Sequence[int], most: int) -> list[int]:
    """Return at most so many of ``things``, from the first to the last: of every task, where they are in its order."""
    count = min(most, len(things))
    return [things[place * len(things) // count] for place in range(count)]
