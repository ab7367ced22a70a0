"""Intervals of a rate, of a mean over tasks, and of a difference."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, sqrt
from typing import NamedTuple

Z95 = 1.959963984540054
"""Standard normal quantile at 0.975."""

Interval = tuple[float, float]
"""Low and high."""


class Count(NamedTuple):
    """A task's episodes."""

    successes: float
    """Whole; or a sum of shares, where progress is counted."""
    trials: int

    @property
    def rate(self) -> float:
        return self.successes / self.trials


def wilson(successes: float, trials: int, z: float = Z95) -> Interval:
    """95 % Wilson score interval of a success rate (Wilson 1927; recommended by Brown, Cai and DasGupta 2001).

    Half points may be summed in ``successes``; its coverage is then approximate. Raises ValueError.

    >>> low, high = wilson(46, 50)
    >>> f"{low:.3f} {high:.3f}"
    '0.812 0.968'
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"need 0 <= successes <= trials and trials > 0, got {successes}/{trials}")
    return score_interval(successes / trials, trials, z)


def score_interval(rate: float, trials: float, z: float = Z95) -> Interval:
    """Wilson's, for any number of trials: ``trials`` may be an effective number."""
    centre = rate + z**2 / (2 * trials)
    spread = z * sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    low, high = ((centre + way * spread) / (1 + z**2 / trials) for way in (-1, 1))
    return (0.0 if rate == 0 else low), (1.0 if rate == 1 else high)  # exact, not 1e-17 off


def macro(tasks: Sequence[Count]) -> float:
    """The mean of the tasks' rates, each counting the same."""
    return sum(task.rate for task in tasks) / len(tasks)


def stratified(tasks: Sequence[Count]) -> Interval:
    """95 % interval of :func:`macro` on these very tasks: what other episodes of them would give.

    Wilson's with the effective number of trials, mean * (1 - mean) / variance, where the variance is the tasks' own
    binomial one (effective sample sizes: Franco, Little, Louis and Slud 2019, J. Surv. Stat. Methodol. 7:334-364).
    One task gives Wilson's interval. Where all succeed or all fail, it is that of as many trials in one heap.
    """
    mean = macro(tasks)
    if mean in (0.0, 1.0):
        return score_interval(mean, len(tasks) ** 2 / sum(1 / task.trials for task in tasks))
    return score_interval(mean, mean * (1 - mean) / within_tasks(tasks))


def within_tasks(tasks: Sequence[Count]) -> float:
    """Variance of :func:`macro` over other episodes of the same tasks.

    Each task's rate is drawn to the mean by one episode: with five episodes a task, most show 0 or 5 successes, and
    p (1 - p) / n of those would be no variance at all.
    """
    mean = macro(tasks)
    rates = [(task.successes + mean) / (task.trials + 1) for task in tasks]
    return sum(p * (1 - p) / task.trials for p, task in zip(rates, tasks, strict=True)) / len(tasks) ** 2


def difference(rates: tuple[float, float], intervals: tuple[Interval, Interval]) -> Interval:
    """95 % interval of the second rate less the first, of independent runs, from the intervals of each (Newcombe 1998,
    Stat. Med. 17:873-890, method 10)."""
    (a, b), ((a_low, a_high), (b_low, b_high)) = rates, intervals
    return b - a - hypot(b - b_low, a_high - a), b - a + hypot(b_high - b, a - a_low)
