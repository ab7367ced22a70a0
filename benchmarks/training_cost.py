"""What a training step of the real model costs, by arithmetic: nothing is run.

    python -m benchmarks.training_cost [--steps 3000] [--gpus 8]

Operations of the forward's matrix products, a multiplication and an addition counted as two; backward costs twice a
forward, and recomputing the blocks one more. Chunks and windows are means over the original's draws.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.train_step import GEOMETRIES, TEXT_TOKENS, Geometry
from lingbot_eval.models.lingbot_va.masks import needed, seen, whole
from lingbot_eval.models.lingbot_va.padding import MAX_TOKENS

WIDTH, FEED_FORWARD, LAYERS, PARAMETERS = 3072, 14336, 30, 5.09e9
TERAFLOPS, GIGABYTES = 790.0, 300.0
"""Per second: an H100's bfloat16 arithmetic, as in docs/performance.md; what a GPU sends to the others over NVLink."""
PASSES = 4
"""Forward, backward (two), and the blocks once more."""
ACCUMULATION = {"robotwin": 1, "libero": 10}
"""Items per GPU and step: batch 1 times the original's accumulation (configs/va_*_train_cfg.py at 7c6ffa9)."""
CHUNKS, WINDOWS = (1, 2, 3, 4), (4, 16, 34, 52, 64)


@dataclass(frozen=True)
class Cost:
    """Teraflop of one forward of an item."""

    linear: float
    attention: float
    text: float
    times: float

    @property
    def total(self) -> float:
        return self.linear + self.attention + self.text + self.times


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--gpus", type=int, default=8)
    given = parser.parse_args(argv)
    for geometry in GEOMETRIES:
        plain, ours = plain_cost(geometry), our_cost(geometry)
        for name, cost in (("plain", plain), ("ours", ours)):
            print(
                f"{geometry.name}, {geometry.frames} frames, {name}: {cost.total:.1f} TFLOP a forward (linear "
                f"{cost.linear:.1f}, attention {cost.attention:.1f}, text {cost.text:.2f}, times {cost.times:.2f})"
            )
        items = ACCUMULATION[geometry.name]
        seconds = items * PASSES * ours.total / TERAFLOPS
        sent = communication(given.gpus, items)
        print(
            f"  a step: {seconds:.2f} s of arithmetic, {sent:.2f} s of communication; {given.steps:,} steps on "
            f"{given.gpus} GPUs: {given.steps * max(seconds, sent) / 3600:.2f} h at the roofline, "
            f"{given.steps * max(seconds / 0.4, sent) / 3600:.2f} h at 40 % of the arithmetic"
        )
    return 0


def our_cost(geometry: Geometry) -> Cost:
    layouts = [
        needed(geometry.frames, geometry.latent, geometry.commands, chunk, window)
        for chunk in CHUNKS
        for window in WINDOWS
    ]
    tokens = statistics.fmean(len(layout) for layout in layouts)
    pairs = statistics.fmean(int(seen(layout).sum()) for layout in layouts)
    levels = 4 * geometry.frames
    return _cost(tokens, pairs, TEXT_TOKENS + 1, levels)


def plain_cost(geometry: Geometry) -> Cost:
    tokens = len(whole(geometry.frames, geometry.latent, geometry.commands, 1, None))
    tokens += -tokens % 128
    return _cost(tokens, tokens**2, MAX_TOKENS, tokens)


def communication(gpus: int, items: int) -> float:
    """Seconds: parameters in bfloat16 are gathered forwards and backwards for each item, and gradients are summed once
    in float32."""
    share = (gpus - 1) / gpus
    return share * PARAMETERS * (items * 2 * 2 + 4) / 1e9 / GIGABYTES


def _cost(tokens: float, pairs: float, text: int, levels: int) -> Cost:
    """``levels``: so many noise levels are embedded."""
    squares = 8 * WIDTH**2 + 4 * WIDTH**2  # four of self-attention, two of cross-attention
    linear = tokens * (squares + 4 * WIDTH * FEED_FORWARD) * LAYERS
    attention = 4 * WIDTH * (pairs + tokens * text) * LAYERS
    keys = text * 4 * WIDTH**2 * LAYERS
    return Cost(linear / 1e12, attention / 1e12, keys / 1e12, levels * 2 * 7 * WIDTH**2 / 1e12)


if __name__ == "__main__":
    sys.exit(main())
