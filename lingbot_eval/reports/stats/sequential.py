"""Trials of two methods on a robot, one pair after another, stopping when the difference is clear.

An e-value that may be looked at after every pair: under equal methods it ever reaches 20 in at most one comparison of
twenty (Ville's inequality). Turner, Ly and Grünwald 2024, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping", J. Stat. Plan. Inference 230:106116 (arXiv:2106.02693), in blocks of one trial of each.
"""

from __future__ import annotations

from collections.abc import Iterable

PRIOR = 0.18
"""Successes and failures, each, that every method starts with (the default of the authors' R package safestats)."""


def e_values(pairs: Iterable[tuple[bool, bool]]) -> list[float]:
    """After each pair (A succeeded, B succeeded): the evidence so far that the methods differ.

    Stop and call them different once it is 1 / alpha or more, at the alpha chosen before the first trial. Stopping for
    any other reason, and going on, is allowed too.
    """
    e, values = 1.0, []
    won = [PRIOR, PRIOR]
    for number, pair in enumerate(pairs):
        guesses = [wins / (number + 2 * PRIOR) for wins in won]  # from the pairs before this one
        equal = sum(guesses) / 2
        for guess, success in zip(guesses, pair, strict=True):
            e *= guess / equal if success else (1 - guess) / (1 - equal)
        values.append(e)
        won = [wins + success for wins, success in zip(won, pair, strict=True)]
    return values
