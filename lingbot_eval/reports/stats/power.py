"""Before a run: what will it be able to see?"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

from scipy.optimize import brentq
from scipy.stats import norm

from lingbot_eval.reports.stats.intervals import Z95

POWER = 0.8
"""How often a difference of the size that is called detectable is found (Cohen 1988's convention)."""


def power(a: float, b: float, trials: int) -> float:
    """The power of the two-sided two-proportion test at 5 % with ``trials`` episodes in each run (Fleiss 1981; as R's
    power.prop.test)."""
    together = sqrt((a + b) * (1 - (a + b) / 2))
    own = sqrt(a * (1 - a) + b * (1 - b))
    return float(norm.cdf((sqrt(trials) * abs(b - a) - Z95 * together) / own)) if own else float(a != b)


def paired_power(difference: float, discordant: float, trials: int) -> float:
    """The power of McNemar's test at 5 % with ``trials`` pairs of which a share ``discordant`` disagrees (Connor 1987,
    Biometrics 43:207-211)."""
    left = discordant - difference**2
    scaled = sqrt(trials) * abs(difference) - Z95 * sqrt(discordant)
    return float(norm.cdf(scaled / sqrt(left))) if left > 0 else float(scaled > 0)


def detectable_gain(rate: float, trials: int) -> float | None:
    """The smallest rise above ``rate`` that :func:`power` finds with probability POWER; None where 100 % is none."""
    return _root(lambda gain: power(rate, rate + gain, trials), 1 - rate)


def detectable_loss(rate: float, trials: int) -> float | None:
    """Likewise the smallest fall, as a positive number."""
    return detectable_gain(1 - rate, trials)


def detectable_paired(discordant: float, trials: int) -> float | None:
    """The smallest difference that :func:`paired_power` finds; None where even one-sided disagreement is too little."""
    return _root(lambda difference: paired_power(difference, discordant, trials), discordant)


def _root(found: Callable[[float], float], largest: float) -> float | None:
    if largest <= 0 or found(largest) < POWER:
        return None
    return float(brentq(lambda size: found(size) - POWER, 0.0, largest, xtol=1e-9))
