"""Intervals, against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lingbot_eval.reports.stats import wilson


@pytest.mark.parametrize("trials", [1, 2, 3, 10, 50, 500, 2000])
def test_wilson_agrees_with_scipy(trials):
    for successes in sorted({0, 1, trials // 3, trials // 2, trials - 1, trials}):
        theirs = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
        assert wilson(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@given(st.integers(1, 3000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_holds_the_rate_and_stays_between_0_and_1(counts):
    successes, trials = counts
    low, high = wilson(successes, trials)
    assert 0.0 <= low <= successes / trials <= high <= 1.0
    assert low < high
    assert (low == 0.0) == (successes == 0)
    assert (high == 1.0) == (successes == trials)


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_failures_mirror_successes(counts):
    successes, trials = counts
    low, high = wilson(successes, trials)
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes, trials):
    with pytest.raises(ValueError, match=f"need 0 <= successes <= trials and trials > 0, got {successes}/{trials}"):
        wilson(successes, trials)
