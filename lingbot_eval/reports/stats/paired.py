"""Two runs that played the same episodes: only those count on which they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from lingbot_eval.reports.stats.intervals import Z95, Interval

RESAMPLES = 10_000
"""So often the bootstrap draws; the ends of its interval then move by about 1 % of its width from seed to seed."""

FEW = 10
"""Pairs that came out unlike most, below which the bootstrap says too little: it cannot draw what did not happen."""


class Pairs(NamedTuple):
    """A task's episodes that both runs played."""

    only_a: int
    """A succeeded, B did not."""
    only_b: int
    trials: int

    @property
    def agreed(self) -> int:
        return self.trials - self.only_a - self.only_b

    @property
    def difference(self) -> float:
        """B's rate less A's."""
        return (self.only_b - self.only_a) / self.trials


def pooled(tasks: Sequence[Pairs]) -> Pairs:
    return Pairs(*(sum(column) for column in zip(*tasks, strict=True)))


def mcnemar(pairs: Pairs) -> float:
    """Two-sided p of McNemar's exact test: were both equally good, the pairs they disagree on would be fair coins."""
    discordant = pairs.only_a + pairs.only_b
    return float(binomtest(pairs.only_b, discordant).pvalue) if discordant else 1.0


def odds_ratio(pairs: Pairs) -> float:
    """How many times as often B alone succeeds as A alone; nan where they never disagree."""
    if not pairs.only_a:
        return inf if pairs.only_b else float("nan")
    return pairs.only_b / pairs.only_a


def mean_difference(tasks: Sequence[Pairs]) -> float:
    """B less A, each task counting the same."""
    return sum(task.difference for task in tasks) / len(tasks)


def difference_interval(tasks: Sequence[Pairs]) -> Interval:
    """95 % interval of :func:`mean_difference` for other episodes of these tasks: episodes drawn again within each task
    (percentile bootstrap), or :func:`bonett_price` where fewer than FEW pairs came out unlike most.

    Each task's shares are drawn to the mean task's by one pair, as :func:`within_tasks` does: a task that was played
    once would give its one pair every time, and fifty of them an interval without width.
    """
    together = pooled(tasks)
    if together.trials - max(together.only_a, together.only_b, together.agreed) < FEW:
        return bonett_price(tasks)
    random = np.random.default_rng(0)  # the same runs give the same interval
    trials = np.array([task.trials for task in tasks])[:, None]
    kinds = np.array([[task.only_a, task.only_b, task.agreed] for task in tasks])
    shares = (kinds + np.mean(kinds / trials, axis=0)) / (trials + 1)
    drawn = np.zeros(RESAMPLES)
    for task, share in zip(tasks, shares, strict=True):
        counts = random.multinomial(task.trials, share, size=RESAMPLES)
        drawn += (counts[:, 1] - counts[:, 0]) / task.trials - (share[1] - share[0])
    low, high = mean_difference(tasks) + np.quantile(drawn / len(tasks), [0.025, 0.975])
    return max(-1.0, float(low)), min(1.0, float(high))


def bonett_price(tasks: Sequence[Pairs]) -> Interval:
    """95 % interval of :func:`mean_difference` with a width even where the runs never disagree, or always do: Wald's,
    with one pair added to each kind of disagreement (Bonett and Price 2012, J. Educ. Behav. Stat. 37:479-488). Tasks of
    different sizes count as so many pairs as have the same variance."""
    trials = len(tasks) ** 2 / sum(1 / task.trials for task in tasks)
    shares = (sum(task.only_a / task.trials for task in tasks), sum(task.only_b / task.trials for task in tasks))
    a, b = ((share / len(tasks) * trials + 1) / (trials + 2) for share in shares)
    half = Z95 * sqrt((a + b - (b - a) ** 2) / (trials + 2))
    return max(-1.0, b - a - half), min(1.0, b - a + half)
