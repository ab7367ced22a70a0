"""Two runs that played different episodes, or a run and a published number."""

from __future__ import annotations

from collections.abc import Sequence
from math import asin, sqrt

from scipy.stats import chi2, fisher_exact, norm

from lingbot_eval.reports.stats.intervals import Count


def fisher(a: Count, b: Count) -> float:
    """Two-sided p of Fisher's exact test; for counts of any size, a robot's twenty trials too."""
    table = [[a.successes, a.trials - a.successes], [b.successes, b.trials - b.successes]]
    return float(fisher_exact(table).pvalue)


def two_proportions(a: Count, b: Count) -> float:
    """Two-sided p of the z-test with the pooled rate, for large counts."""
    together = (a.successes + b.successes) / (a.trials + b.trials)
    if together in (0.0, 1.0):
        return 1.0
    return float(2 * norm.sf(abs(b.rate - a.rate) / sqrt(together * (1 - together) * (1 / a.trials + 1 / b.trials))))


FEW = 5
"""The z-test is for counts of which at least so many are expected in every cell (Cochran 1954)."""


def unpaired_test(a: Count, b: Count) -> tuple[str, float]:
    """Return the name of the test that suits these counts, and its two-sided p."""
    trials, successes = a.trials + b.trials, a.successes + b.successes
    expected = min(a.trials, b.trials) * min(successes, trials - successes) / trials
    if expected < FEW:
        return "Fisher's exact test", fisher(a, b)
    return "two-proportion test", two_proportions(a, b)


def mantel_haenszel(tasks: Sequence[tuple[Count, Count]]) -> float:
    """Two-sided p that B's rate equals A's in every task: tasks are compared within themselves and summed (Cochran,
    Mantel and Haenszel, without continuity correction)."""
    excess, noise = 0.0, 0.0
    for a, b in tasks:
        trials, successes = a.trials + b.trials, a.successes + b.successes
        excess += b.successes - b.trials * successes / trials
        if trials > 1:
            noise += a.trials * b.trials * successes * (trials - successes) / (trials**2 * (trials - 1))
    return float(chi2.sf(excess**2 / noise, 1)) if noise else 1.0


def cohens_h(a: float, b: float) -> float:
    """Effect size of two rates, B less A, that means the same near 0 and 1 as at one half; 0.2 is called small, 0.5
    medium, 0.8 large (Cohen 1988)."""
    return 2 * asin(sqrt(b)) - 2 * asin(sqrt(a))
