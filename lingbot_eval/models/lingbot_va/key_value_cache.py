"""The cache holds keys and values of the episode so far: an ordered list of groups, one per forward that was kept.

Attention over a set of keys does not depend on their order, so the cache keeps its valid tokens in slots 0..n-1 and
never gathers: a hole is filled with the tokens at the end. Which token lies where is known on the host alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.attention import attended

Attended = list[tuple[str, int]]
"""(name of a group, number of its tokens), oldest first."""


@dataclass(eq=False)
class Group:
    """The tokens that one forward wrote."""

    name: str
    real: bool
    """False: predicted, and dropped when the real frames come in."""
    rows: int
    """So many batch rows were written; a later forward may not read more."""
    slots: list[int]
    """Each token lies in one of these slots; those before ``first`` are no longer there."""
    first: int = 0
    """So many tokens were evicted so far; the earliest go first."""

    def __len__(self) -> int:
        return len(self.slots) - self.first


@dataclass(eq=False)
class KeyValueCache:
    """Holds ``slots`` tokens for every layer and batch row, in one allocation."""

    layers: int
    rows: int
    slots: int
    heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device
    groups: list[Group] = field(default_factory=list)
    """The oldest comes first."""

    def __post_init__(self) -> None:
        shape = (self.layers, self.rows, self.slots, self.heads, self.head_dim)
        self._keys = torch.empty(shape, dtype=self.dtype, device=self.device)
        self._values = torch.empty(shape, dtype=self.dtype, device=self.device)
        self._owners: list[tuple[Group, int]] = []  # by slot: the group and which of its tokens

    def __len__(self) -> int:
        return len(self._owners)

    def clear(self) -> None:
        self.groups, self._owners = [], []

    def make_room(self, tokens: int) -> int:
        """Evict, the oldest group first and its earliest tokens first, until ``tokens`` fit; return how many went.

        Raises BadInput for more tokens than there are slots.
        """
        if tokens > self.slots:
            raise BadInput(
                f"{tokens} tokens of one forward do not fit into a key-value cache of {self.slots}: raise the window "
                "(agent.lingbot.settings.window)"
            )
        missing = rest = max(0, len(self) + tokens - self.slots)
        freed: list[int] = []
        for group in list(self.groups):
            part = min(rest, len(group))
            freed += group.slots[group.first : group.first + part]
            group.first += part
            rest -= part
            if not len(group):
                self.groups.remove(group)
            if not rest:
                break
        self._free(freed)
        return missing

    def drop_predictions(self) -> None:
        freed = [slot for group in self.groups if not group.real for slot in group.slots[group.first :]]
        self.groups = [group for group in self.groups if group.real]
        self._free(freed)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put a forward's own keys and values, (b, tokens, heads, head_dim), behind the valid ones.

        Returns views (b, valid + tokens, heads, head_dim) of all that it attends to. The tokens are gone with the next
        call unless ``commit`` follows.
        """
        rows, start, end = len(keys), len(self), len(self) + keys.shape[1]
        self._keys[layer, :rows, start:end] = keys
        self._values[layer, :rows, start:end] = values
        return self._keys[layer, :rows, :end], self._values[layer, :rows, :end]

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Do as :class:`attention.History` says: everything in the cache and the forward's own tokens are attended
        to."""
        keys, values = self.write(layer, keys, values)
        return attended(queries, keys.transpose(1, 2), values.transpose(1, 2))

    def check_rows(self, rows: int) -> None:
        short = [group.name for group in self.groups if group.rows < rows]
        if short:
            raise AssertionError(f"{rows} batch rows would read what was never written in {', '.join(short)}")

    def commit(self, name: str, tokens: int, *, real: bool, rows: int) -> None:
        """Keep the tokens that were written last."""
        group = Group(name, real, rows, list(range(len(self), len(self) + tokens)))
        self.groups.append(group)
        self._owners += [(group, token) for token in range(tokens)]

    def attended(self) -> Attended:
        return [(group.name, len(group)) for group in self.groups]

    def tokens(self) -> list[tuple[str, int, bool]]:
        """Return (group, token, is real) of every valid token, oldest group first."""
        return [
            (group.name, token, group.real) for group in self.groups for token in range(group.first, len(group.slots))
        ]

    def contents(self, layer: int) -> tuple[Tensor, Tensor]:
        """Copy (rows, n, heads, head_dim) in the order of ``tokens``; for looking, not for computing."""
        order = [slot for group in self.groups for slot in group.slots[group.first :]]
        return self._keys[layer, :, order], self._values[layer, :, order]

    def newest(self, layer: int, tokens: int, rows: int) -> tuple[Tensor, Tensor]:
        """Copy (rows, tokens, heads, head_dim) of the group committed last."""
        part = slice(len(self) - tokens, len(self))
        return self._keys[layer, :rows, part].clone(), self._values[layer, :rows, part].clone()

    def _free(self, freed: list[int]) -> None:
        """Take ``freed`` slots out; tokens from the end move into the holes."""
        gone, end = set(freed), len(self) - len(freed)
        holes = sorted(slot for slot in gone if slot < end)
        movers = [slot for slot in range(end, len(self)) if slot not in gone]
        for hole, mover, count in _runs(holes, movers):
            for store in (self._keys, self._values):
                store[:, :, hole : hole + count] = store[:, :, mover : mover + count]
        for hole, mover in zip(holes, movers, strict=True):
            group, token = self._owners[mover]
            self._owners[hole] = group, token
            group.slots[token] = hole
        del self._owners[end:]


def _runs(targets: list[int], sources: list[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (target, source, length) of stretches in which both ascend by one: a copy by slices needs no index tensor,
    and so no wait for the device."""
    start = 0
    for i in range(1, len(targets) + 1):
        if i == len(targets) or targets[i] != targets[i - 1] + 1 or sources[i] != sources[i - 1] + 1:
            yield targets[start], sources[start], i - start
            start = i


class SlottedCache(KeyValueCache):
    """Keeps the same tokens where the original does: in the lowest free slots, never moved, attended to by slot.

    Sums over keys then round as the original's do, also when tokens have been evicted; every forward gathers for it.
    """

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    def make_room(self, tokens: int) -> int:
        missing = super().make_room(tokens)
        taken = {slot for group in self.groups for slot in group.slots[group.first :]}
        self._own = [slot for slot in range(self.slots) if slot not in taken][:tokens]
        self._valid = torch.tensor(sorted(taken.union(self._own)), device=self.device)
        return missing

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Do as :meth:`KeyValueCache.write` says, into the slots that ``make_room`` found; copies instead of views."""
        rows = len(keys)
        self._keys[layer, :rows, self._own] = keys
        self._values[layer, :rows, self._own] = values
        return self._keys[layer, :rows, self._valid], self._values[layer, :rows, self._valid]

    def commit(self, name: str, tokens: int, *, real: bool, rows: int) -> None:
        self.groups.append(Group(name, real, rows, self._own))

    def newest(self, layer: int, tokens: int, rows: int) -> tuple[Tensor, Tensor]:
        slots = self.groups[-1].slots
        return self._keys[layer, :rows, slots], self._values[layer, :rows, slots]

    def _free(self, freed: list[int]) -> None:
        """Do nothing: a group's ``slots`` and ``first`` say it already."""
