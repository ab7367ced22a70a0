"""Tests, effect sizes and power, against scipy, statsmodels 0.15 and R, and against published comparisons."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest

from lingbot_eval.reports.stats import Count, paired
from lingbot_eval.reports.stats.holm import holm
from lingbot_eval.reports.stats.paired import (
    Pairs,
    bonett_price,
    difference_interval,
    mcnemar,
    mean_difference,
    odds_ratio,
)
from lingbot_eval.reports.stats.power import (
    detectable_gain,
    detectable_loss,
    detectable_paired,
    paired_power,
    power,
)
from lingbot_eval.reports.stats.sequential import e_values
from lingbot_eval.reports.stats.spread import clustered, spread
from lingbot_eval.reports.stats.unpaired import (
    cohens_h,
    fisher,
    mantel_haenszel,
    two_proportions,
)

PI05_AND_LINGBOT_VA = {  # successes of 20: arXiv:2601.21998, real robot
    "Make Breakfast": (14, 15),
    "Pick Screws": (10, 14),
    "Insert Tube": (6, 8),
    "Unpack Delivery": (5, 13),
    "Fold Clothes": (6, 7),
    "Fold Pants": (6, 14),
}


def test_a_rerun_that_missed_its_published_number_is_told_from_chance():
    p = two_proportions(Count(4465, 5000), Count(4676, 5000))  # 89.30 % against 93.52 %: lingbot-vla-v2#29
    assert p == pytest.approx(5.0780476e-14, rel=1e-6)  # statsmodels: proportions_ztest([4465, 4676], [5000, 5000])


def test_equal_extremes_do_not_differ():
    assert two_proportions(Count(50, 50), Count(20, 20)) == 1.0
    assert mantel_haenszel([(Count(5, 5), Count(5, 5))]) == 1.0
    assert mcnemar(Pairs(0, 0, 10)) == 1.0


def test_two_of_six_robot_tasks_differ_and_none_after_correction():
    ps = {task: fisher(Count(a, 20), Count(b, 20)) for task, (a, b) in PI05_AND_LINGBOT_VA.items()}
    assert [task for task, p in ps.items() if p < 0.05] == ["Unpack Delivery", "Fold Pants"]
    assert ps["Unpack Delivery"] == pytest.approx(0.025, abs=5e-4)
    assert ps["Fold Pants"] == pytest.approx(0.026, abs=5e-4)
    assert min(holm(list(ps.values()))) > 0.05


def test_mcnemar_agrees_with_statsmodels():
    assert mcnemar(Pairs(12, 3, 50)) == pytest.approx(0.03515625)  # mcnemar([[30, 12], [3, 5]], exact=True)
    assert mcnemar(Pairs(3, 12, 50)) == mcnemar(Pairs(12, 3, 50))


def test_mantel_haenszel_agrees_with_statsmodels():
    # StratifiedTable([[[13,7],[5,15]], [[14,6],[6,14]], [[15,5],[14,6]]]).test_null_odds(correction=False)
    tasks = [(Count(13, 20), Count(5, 20)), (Count(14, 20), Count(6, 20)), (Count(15, 20), Count(14, 20))]
    assert mantel_haenszel(tasks) == pytest.approx(0.0014758542094441829)


def test_holm_agrees_with_statsmodels():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # multipletests(method="holm")
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_effect_sizes_agree_with_statsmodels():
    assert cohens_h(0.7, 0.75) == pytest.approx(0.11208192953081064)  # proportion_effectsize(0.75, 0.7)
    assert odds_ratio(Pairs(2, 6, 50)) == 3.0
    assert odds_ratio(Pairs(0, 6, 50)) == inf
    assert isnan(odds_ratio(Pairs(0, 0, 50)))


@pytest.mark.parametrize("seed", range(3))
def test_the_paired_interval_agrees_with_resampling_the_episodes_one_by_one(seed):
    random = np.random.default_rng(seed)
    tasks = [random.choice([-1, 0, 1], size=size, p=[0.1, 0.7, 0.2]) for size in (20, 50, 80)]
    theirs = np.mean([random.choice(task, size=(20_000, len(task))).mean(axis=1) for task in tasks], axis=0)
    ours = [Pairs(int((task < 0).sum()), int((task > 0).sum()), len(task)) for task in tasks]
    assert difference_interval(ours) == pytest.approx(np.quantile(theirs, [0.025, 0.975]), abs=0.006)
    assert mean_difference(ours) == pytest.approx(np.mean([task.mean() for task in tasks]))


@pytest.mark.parametrize(("tasks", "trials"), [(50, 1), (50, 2), (10, 5), (20, 20)])
def test_the_paired_interval_holds_the_true_difference_about_as_often_as_it_says(tasks, trials, monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 1000)
    random = np.random.default_rng(0)
    shares = random.dirichlet([0.6, 0.8, 3], size=tasks)  # of A alone, B alone, agreed
    truth = float(np.mean(shares[:, 1] - shares[:, 0]))
    held = []
    for _ in range(200):
        drawn = [random.multinomial(trials, share) for share in shares]
        low, high = difference_interval([Pairs(int(a), int(b), trials) for a, b, _ in drawn])
        held.append(low <= truth <= high)
    assert 0.88 <= np.mean(held) <= 0.99


def test_runs_that_never_disagree_may_still_differ():
    low, high = difference_interval([Pairs(0, 0, 50)])
    assert -0.06 < low < 0 < high < 0.06


def test_runs_that_always_disagree_in_the_same_way_may_not_always():
    low, high = difference_interval([Pairs(0, 20, 20)])
    assert 0.7 < low < 0.8
    assert high == 1.0


def test_few_disagreements_have_the_interval_of_bonett_and_price():
    a, b, n = 3 / 52, 6 / 52, 52  # 2 and 5 of 50 pairs, and one more of each
    half = 1.959964 * ((a + b - (b - a) ** 2) / n) ** 0.5
    assert difference_interval([Pairs(2, 5, 50)]) == pytest.approx((b - a - half, b - a + half))
    assert bonett_price([Pairs(1, 2, 25), Pairs(1, 3, 25)]) == pytest.approx(bonett_price([Pairs(2, 5, 50)]))


def test_power_agrees_with_r():
    assert power(0.5, 0.75, 50) == pytest.approx(0.7401659, abs=1e-6)  # power.prop.test(n = 50, p1 = .5, p2 = .75)
    assert power(0.5, 0.75, 77) > 0.9 > power(0.5, 0.75, 76)  # power.prop.test(p1 = .5, p2 = .75, power = .9): 76.7


def test_what_is_detectable_is_found_four_times_of_five():
    gain = detectable_gain(0.929, 5000)
    assert gain is not None
    assert power(0.929, 0.929 + gain, 5000) == pytest.approx(0.8)
    loss = detectable_loss(0.929, 5000)
    assert loss is not None
    assert power(0.929, 0.929 - loss, 5000) == pytest.approx(0.8)
    assert 0.01 < gain < loss < 0.02


def test_too_few_trials_detect_nothing():
    assert detectable_gain(0.9, 20) is None
    assert detectable_gain(1.0, 5000) is None
    assert detectable_gain(0.0, 5000) == pytest.approx(0.00157, abs=1e-5)
    assert detectable_paired(0.05, 20) is None


def test_pairs_that_mostly_agree_see_smaller_differences():
    paired, unpaired = detectable_paired(0.04, 5000), detectable_gain(0.929, 5000)
    assert paired is not None
    assert unpaired is not None
    assert paired < 0.7 * unpaired
    random = np.random.default_rng(0)
    draws = random.multinomial(500, [0.08, 0.16, 0.76], size=1000)
    found = np.mean([mcnemar(Pairs(int(a), int(b), 500)) < 0.05 for a, b, _ in draws])
    assert found == pytest.approx(paired_power(0.08, 0.24, 500), abs=0.06)  # exact McNemar is a little shy


def test_reruns_can_differ_by_more_than_the_coin():
    reruns = spread([Count(4280, 5000), Count(4180, 5000), Count(4135, 5000)])  # 85.6, 83.6, 82.7 %: Motus#41
    assert reruns.deviation == pytest.approx(0.0149, abs=1e-4)
    assert reruns.binomial == pytest.approx(0.0052, abs=1e-4)
    assert reruns.p < 0.001


def test_equal_runs_have_no_spread():
    assert spread([Count(50, 50)] * 3).p == 1.0
    with pytest.raises(ValueError, match="two runs"):
        spread([Count(1, 2)])


def test_new_tasks_are_less_certain_than_new_episodes():
    tasks = [Count(successes, 100) for successes in (40, 44, 81, 82, 95, 99, 100, 100)]
    low, high = clustered(tasks)
    assert low < 0.65
    assert high > 0.93
    assert clustered([Count(100, 100)] * 8)[0] < 0.7  # eight tasks, not eight hundred episodes
    with pytest.raises(ValueError, match="two of them"):
        clustered([Count(1, 2)])


def test_an_even_bet_on_the_first_pair_is_no_evidence():
    assert e_values([(True, False)]) == [1.0]


def test_evidence_is_a_fair_bet_whatever_was_seen_before():
    for before in ([], [(True, False)] * 3, [(True, True), (False, True)]):
        now = e_values(before)[-1] if before else 1.0
        for rate in (0.1, 0.5, 0.9):
            chance = {True: rate, False: 1 - rate}
            outcomes = [(a, b) for a in (True, False) for b in (True, False)]
            mean = sum(chance[a] * chance[b] * e_values([*before, (a, b)])[-1] for a, b in outcomes)
            assert mean <= now * (1 + 1e-12)


@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_looking_after_every_pair_keeps_the_error_rate(rate):
    random = np.random.default_rng(0)
    runs = random.random((500, 60, 2)) < rate
    assert np.mean([max(e_values(run)) >= 20 for run in runs]) <= 0.05


def test_a_clear_difference_stops_early():
    random = np.random.default_rng(0)
    runs = random.random((200, 60, 2)) < [0.2, 0.9]
    ends = [next((place for place, e in enumerate(e_values(run), 1) if e >= 20), 61) for run in runs]
    assert np.median(ends) < 20
