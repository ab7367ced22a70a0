"""What varies beyond the coin: from task to task, and from run to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import stdev, variance

from scipy.special import chdtrc, stdtrit  # scipy.stats takes a second to import

from lingbot_eval.reports.stats.intervals import Count, Interval, macro, score_interval, within_tasks

ENOUGH_TASKS = 5
""":func:`clustered` is shown from so many tasks on: with fewer, Student's t makes it so wide that it says nothing."""


def clustered(tasks: Sequence[Count]) -> Interval:
    """95 % interval of :func:`macro` for other tasks of this kind: the tasks are the sample, not the episodes.

    As :func:`stratified`, with the variance of the tasks' rates and Student's t; where all tasks succeed or all fail,
    each counts as one trial. Raises ValueError for a single task, which says nothing about others.
    """
    if len(tasks) < 2:
        raise ValueError("an interval over tasks needs two of them or more")
    quantile = float(stdtrit(len(tasks) - 1, 0.975))
    mean = macro(tasks)
    if mean in (0.0, 1.0):
        return score_interval(mean, len(tasks), quantile)
    between = variance(task.rate for task in tasks) / len(tasks)
    return score_interval(mean, mean * (1 - mean) / max(between, within_tasks(tasks)), quantile)


@dataclass(frozen=True)
class Spread:
    """How far several runs are apart that differ in their seed alone."""

    mean: float
    deviation: float
    """Standard deviation of the runs' rates; the figure after ± in papers."""
    binomial: float
    """What the coin alone would give."""
    p: float
    """How often runs would be this far apart, were there nothing but the coin (chi-squared test of homogeneity)."""


def spread(runs: Sequence[Count]) -> Spread:
    """Raises ValueError for a single run."""
    if len(runs) < 2:
        raise ValueError("a spread needs two runs or more")
    pooled = sum(run.successes for run in runs) / sum(run.trials for run in runs)
    coin = pooled * (1 - pooled)
    distance = sum(run.trials * (run.rate - pooled) ** 2 for run in runs) / coin if coin else 0.0
    return Spread(
        mean=macro(runs),
        deviation=stdev(run.rate for run in runs),
        binomial=sqrt(coin * sum(1 / run.trials for run in runs) / len(runs)),
        p=float(chdtrc(len(runs) - 1, distance)),
    )
