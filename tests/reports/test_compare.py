"""Comparing runs: what is paired with what, what is corrected, and what is said."""

from __future__ import annotations

import pytest

from lingbot_eval.reports.compare import (
    HEADINGS,
    Side,
    against_published,
    cautions,
    compare,
    disagreement,
    evidence,
    foreseen,
    method,
    sentences,
    spreads,
    texts,
    trials,
)
from lingbot_eval.reports.stats import Count
from lingbot_eval.runs import contents
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.reports.folders import directory, many


def run(outcomes: str, task: str = "reach", first_seed: int = 0, setting: str = ""):
    """A letter per episode: + success, - failure, x ERROR, . not played."""
    plan = [Episode("toy", task, first_seed + k, "", setting, index=k) for k in range(len(outcomes))]
    named = {"+": Outcome.SUCCESS, "-": Outcome.FAILURE, "x": Outcome.ERROR}
    final = {
        episode.id: EpisodeRecord(episode, named[letter], 1, 1.0)
        for episode, letter in zip(plan, outcomes, strict=True)
        if letter in named
    }
    return trials(plan, final)


def row(comparison, task: str = "") -> dict[str, str]:
    found = next(known for known in comparison.differences if known.task == task)
    return dict(zip(HEADINGS, texts(found), strict=True))


def test_a_task_that_one_runs_training_data_lacks_is_said(tmp_path):
    plan, records = many(2, 2)
    known = {plan[0].suite: {plan[0].task: {"": 3}}}
    lacking = next(episode.task for episode in plan if episode.task != plan[0].task)
    a = Side(contents.read(directory(tmp_path / "a", plan, records)))
    b = Side(contents.read(directory(tmp_path / "b", plan, records, trained={"regime": "none", "tasks": known})))
    assert cautions(a, b, anyway=False) == [f"The training data of B does not contain {lacking}."]


def test_errors_and_missing_episodes_are_no_trials():
    assert list(run("+-x.").values()) == [True, False]


def test_runs_are_paired_on_the_episodes_that_both_played():
    comparison = compare(run("++--x++"), run("+-++++."))
    assert comparison.paired
    assert comparison.left_out == (1, 1)
    assert row(comparison, "reach")["N"] == "5"
    assert (row(comparison)["A alone"], row(comparison)["B alone"]) == ("1", "2")
    assert "5 episodes that both played (1 of A and 1 of B left out)" in method(comparison)


def test_the_same_seed_with_other_words_is_another_episode():
    changed = {Episode("toy", "reach", seed, "other words", index=seed): True for seed in range(3)}
    assert not compare(run("+++"), changed).paired


def test_runs_without_a_common_episode_are_compared_unpaired_and_it_is_said():
    comparison = compare(run("+" * 13 + "-" * 7), run("+" * 5 + "-" * 15, first_seed=100))
    assert not comparison.paired
    assert row(comparison, "reach")["p"] == "0.025"
    assert method(comparison).startswith("UNPAIRED: no episode in common;")


def test_tasks_that_only_one_run_played_are_left_out_and_counted():
    comparison = compare(run("++"), run("--", first_seed=9) | run("---", "return"))
    assert [known.task for known in comparison.differences] == ["reach", ""]
    assert "(0 of A and 3 of B are of tasks that only one played)" in method(comparison)
    with pytest.raises(ValueError, match="no task in common"):
        compare(run("++"), run("--", "return"))


def test_p_values_of_tasks_are_corrected_over_every_suite_and_setting():
    a = run("-" * 6) | run("-" * 6, "return") | run("-" * 6, setting="hard")
    b = run("+" * 6) | run("+" * 6, "return") | run("+" * 6, setting="hard")
    comparison = compare(a, b)
    assert [known.suite for known in comparison.differences if not known.task] == ["toy", "toy hard"]
    first = comparison.differences[0]
    assert first.p == pytest.approx(2 / 2**6)
    assert first.corrected == pytest.approx(3 * 2 / 2**6)


def test_the_sentence_can_be_read_aloud():
    a = run("-" * 20 + "+" * 20) | run("++--" * 10, "return") | run("+" * 40, "push")
    b = run("+" * 40) | run("+-+-" * 10, "return") | run("+" * 20 + "-" * 20, "push")
    assert sentences(compare(a, b)) == [
        "toy: B is better on 1 of 3 tasks and worse on 1 after correction; overall +0.0 pp, "
        "95 % interval −10.8 to +10.0, p = 1."
    ]


def test_every_task_counts_the_same():
    few, many = run("-" * 10), run("+" * 90, "return")
    comparison = compare(few | many, run("+" * 10) | run("+" * 90, "return"))
    assert comparison.differences[-1].size == pytest.approx(0.5)


def test_a_published_rate_without_n_is_marked():
    assert "is not stated: no test" in against_published([Count(45, 50)], 0.93, None)


def test_a_published_rate_with_its_n():
    said = against_published([Count(4465, 5000)], 0.9352, 5000)
    assert said.startswith("89.30 % on 5000 episodes of 1 task against 93.52 % published (measured on 5000 episodes;")
    assert said.endswith("−4.2 pp, 95 % interval −5.3 to −3.1, p = 5e-14.")


def test_runs_that_differ_in_their_seed_have_a_spread_per_suite():
    known = spreads([run("+" * 9 + "-"), run("+" * 5 + "-" * 5, first_seed=50)])
    assert known["toy"].deviation == pytest.approx(0.2828, abs=1e-4)


def test_evidence_follows_the_planned_order():
    assert evidence(run("+-"), run("-+"))["toy", "reach"][0] == 1.0
    values = evidence(run("+" * 12), run("-" * 12))["toy", "reach"]
    assert len(values) == 12
    assert values == sorted(values)


def test_what_a_planned_run_can_show():
    assert foreseen(0.929, 5000)[1] == "  on different episodes: a rise of 1.4 pp, a fall of 1.5 pp"
    assert "no rise, a fall of 43.0 pp" in foreseen(0.7, 20)[1]
    assert len(foreseen(0.9, 100, share=0.04)) == 4


def test_disagreement_is_the_share_of_common_episodes_with_different_outcomes():
    assert disagreement(run("++--"), run("+++-"), "toy") == 0.25
    assert disagreement(run("++"), run("++", first_seed=7), "toy") is None
