"""Runs one session's forwards as CUDA graphs: recorded in the second step of a denoising loop, replayed in later ones.

Within a loop only tokens and noise level change: the cache has the same length (a forward's own keys and values lie
behind it and are written anew in every step), text and positions are the same. So a graph needs no padding to a bucket
of lengths; it lives as long as its loop, 20 to 50 steps. The first step is not recorded: it warms the kernels up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lingbot_eval.agents.lingbot_va.forwards import Part
from lingbot_eval.models.lingbot_va.attention import Prompt
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache
from lingbot_eval.models.lingbot_va.transformer import Stream, Times


class Forward(Protocol):
    def __call__(self, parts: Sequence[Part], stream: Stream, *, head: bool) -> list[Tensor] | None:
        """Do as :meth:`forwards.Forwards.__call__` says."""


Compute = Callable[[], Tensor]

Capture = Callable[[Compute], tuple[Tensor, Callable[[], None]]]
"""It records what a function computes: its output, and what computes it again from what its inputs hold then."""


def on_cuda(compute: Compute) -> tuple[Tensor, Callable[[], None]]:
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other sessions' threads may allocate meanwhile
        out = compute()
    return out, graph.replay


@dataclass
class _Loop:
    """This is the denoising loop that a session is in."""

    rotation: Tensor
    """It is made anew for every chunk, so the same one means the same positions and text."""
    length: int
    """The cache's length."""
    rows: int
    inputs: tuple[Tensor, Times, Prompt] | None = None
    """A graph reads these, and the cache, which is not held here: the loop is found by it, and would keep it."""
    out: Tensor | None = None
    replay: Callable[[], None] | None = None

    def is_of(self, part: Part) -> bool:
        return (self.rotation is part.rotation) and (self.length, self.rows) == (len(part.cache), part.rows)


class Graphs:
    """Runs forwards of one part, as graphs where they repeat."""

    def __init__(self, forward: Forward, capture: Capture = on_cuda) -> None:
        self._forward, self._capture = forward, capture
        self._loops: WeakKeyDictionary[KeyValueCache, _Loop] = WeakKeyDictionary()

    def forward(self, part: Part, stream: Stream, *, head: bool) -> Tensor | None:
        """Do as :class:`Forward` says; the output is valid until the session's next forward."""
        loop = self._loops.get(part.cache)
        if not head or loop is None or not loop.is_of(part):
            self._loops[part.cache] = _Loop(part.rotation, len(part.cache), part.rows)
            outs = self._forward([part], stream, head=head)
            return None if outs is None else outs[0]
        if loop.replay is None:
            times = Times(part.times.embedded.clone(), part.times.modulation.clone())
            own = Part(part.tokens.clone(), times, part.rotation, part.prompt, part.cache)
            loop.inputs = own.tokens, own.times, own.prompt
            loop.out, loop.replay = self._capture(lambda: _only(self._forward([own], stream, head=True)))
        assert loop.inputs is not None  # noqa: S101  (set with replay)
        tokens, times, _ = loop.inputs
        tokens.copy_(part.tokens)
        times.embedded.copy_(part.times.embedded)
        times.modulation.copy_(part.times.modulation)
        loop.replay()
        return loop.out


def _only(outs: list[Tensor] | None) -> Tensor:
    if outs is None:
        raise AssertionError("a forward whose output is used computed none")
    return outs[0]
