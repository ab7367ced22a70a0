"""What is one method, and what keeps it from being ranked."""

from __future__ import annotations

import dataclasses

import pytest

from lingbot_eval.errors import BadInput
from lingbot_eval.reports.methods import PROGRESS, SUCCESS, methods, published
from lingbot_eval.reports.stats import Count
from lingbot_eval.reports.stats.intervals import stratified
from lingbot_eval.reports.stats.spread import clustered
from lingbot_eval.reports.table import percents
from lingbot_eval.types import Outcome
from tests.reports.method_runs import PROTOCOL, run

WON = {("toy", "reach"): (2, 2), ("toy", "return"): (1, 2)}


def test_a_part_is_the_mean_over_its_tasks_however_many_trials_each_has():
    (method,) = methods([run({("toy", "reach"): (9, 9), ("toy", "return"): (0, 3)})])
    assert method.scores["toy", "", SUCCESS].value == 50
    assert method.scores["toy", "", SUCCESS].trials == 12
    assert method.scores["toy", "return", PROGRESS].value == 0


def test_runs_that_differ_in_their_seed_alone_are_one_method_with_a_spread():
    (method,) = methods([run(WON), run({**WON, ("toy", "return"): (2, 2)}, seed=1)])
    score = method.scores["toy", "return", SUCCESS]
    assert (score.value, score.trials) == (75, 4)
    assert score.spread == pytest.approx(50 / 2**0.5)
    assert not method.obstacles
    assert "base seeds 0, 1" in method.notes[0]
    assert "± is the standard deviation over 2 seeds; chance alone would give toy ± 16.5" in method.notes


def test_a_mean_over_tasks_says_how_sure_it_is_on_these_and_on_new_ones():
    counts = [Count(k % 3, 2) for k in range(6)]
    (method,) = methods([run({("toy", str(k)): count for k, count in enumerate(counts)})])
    here, new = (percents(interval(counts)) for interval in (stratified, clustered))
    assert method.notes[1:] == (
        f"95 % intervals of SR: toy {here}",
        f"on new tasks of the kind (clustered by task): toy {new}",
    )
    (few,) = methods([run(WON)])
    assert "new tasks" not in " ".join(few.notes)


def test_seeds_of_different_tasks_have_no_mean_to_rank():
    (method,) = methods([run(WON), run({("toy", "reach"): (2, 2)}, seed=1)])
    assert method.obstacles == ("its seeds played different tasks",)


def test_parts_of_one_seed_are_put_together_without_a_spread():
    easy, hard = (run({(part, "reach"): (1, 2)}) for part in ("easy", "hard"))
    (method,) = methods([easy, hard])
    assert {part for part, task, _ in method.scores if task} == {"easy", "hard"}
    assert method.scores["easy", "reach", SUCCESS].spread is None


def test_the_same_episodes_given_twice_are_refused():
    with pytest.raises(BadInput, match="are the same experiment and both have toy/reach/-/0/-"):
        methods([run(WON), run(WON)])


def test_runs_of_two_benchmarks_are_refused():
    with pytest.raises(BadInput, match="runs/0 is a run of toy, runs/1 of libero"):
        methods([run(WON), run(WON, "libero", seed=1)])


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"protocol_hash": "ba9876543210"}, "protocol_hash: 'ba9876543210', first method '0123456789ab'"),
        ({"protocol": {**PROTOCOL, "name": "strict"}}, "protocol.name: 'strict', first method 'lingbot-va'"),
        ({"facts": {"assets": "2"}}, "facts.assets: '2', first method '1'"),
        ({"regime": "A"}, "regime: 'A', first method 'B'"),
    ],
)
def test_a_run_under_other_rules_is_not_ranked_and_says_what_differs(changes, obstacle):
    first, other = methods([run(WON), run(WON, **changes)])
    assert first.obstacles == ()
    assert other.obstacles == (obstacle,)


def test_another_agent_is_no_obstacle_and_has_a_name_of_its_own():
    assert [(m.name, m.obstacles) for m in methods([run(WON), run(WON, agent={"name": "idle"})])] == [
        ("lingbot-va", ()),
        ("idle", ()),
    ]
    names = [m.name for m in methods([run(WON, checkpoint="aaaaaaaabb"), run(WON, checkpoint="ccccccccdd")])]
    assert names == ["lingbot-va aaaaaaaa", "lingbot-va cccccccc"]
    assert [m.name for m in methods([run(WON), run(WON, regime="A")])] == ["lingbot-va #1", "lingbot-va #2"]


def test_errors_missing_episodes_and_few_trials_are_obstacles():
    full = run(WON)
    first, *others = full.plan
    final = dict(full.final)
    final[first.id] = dataclasses.replace(final[first.id], outcome=Outcome.ERROR)
    del final[others[-1].id]
    (method,) = methods([dataclasses.replace(full, final=final)])
    assert method.obstacles == ("1 episode ended in ERROR", "1 episode not played yet")
    (method,) = methods([run({("toy", "reach"): (1, 1)})])
    assert method.obstacles == ("N too small: 1 episode of a task, the protocol has 2",)


def test_few_trials_on_a_robot_are_not_ranked_and_sessions_add_up():
    sessions = [run({("real", "fold"): (6, 10)}, "real", seed, protocol={"name": "trials"}) for seed in (1, 2)]
    (method,) = methods(sessions[:1])
    assert method.obstacles == ("N too small: 10 episodes of a task, published ones are of 20",)
    (method,) = methods(sessions)
    assert method.obstacles == ()


def test_published_methods_show_their_first_source_and_say_what_others_have():
    (motus,) = published("robotwin", ["motus"], run(WON, "robotwin"))
    assert motus.scores["easy", "", SUCCESS].printed == "88.66"
    assert motus.obstacles == ()
    others = "easy 88.52 (quoted, starVLA README @0ed0aad); hard 85.6, hard 83.6, hard 82.7 (re-run, Motus#41)"
    assert f"sources disagree: {others}" in motus.notes
    assert "its source names no protocol" in motus.notes


def test_each_training_regime_is_a_method_of_its_own_and_another_one_is_not_ranked():
    randomized, clean = published("robotwin", ["x-vla"], run(WON, "robotwin"))
    assert randomized.obstacles == ()
    assert clean.obstacles == ("training regime A (50 clean demonstrations per task); first method B",)


def test_a_published_number_under_another_protocol_is_not_ranked():
    assert published("libero", ["pi0.5"], run(WON, "libero"))[0].obstacles == (
        "protocol openpi; first method lingbot-va",
    )


def test_per_task_numbers_have_means():
    (motus,) = published("robotwin_tasks", ["motus"])
    assert motus.scores["easy", "", SUCCESS].value == pytest.approx(88.66)
    assert motus.scores["easy", "", SUCCESS].trials == 5000


def test_a_task_that_the_training_data_lacks_is_in_the_notes():
    trained = {"regime": "B", "tasks": {"toy": {"reach": {"": 3}}}}
    (method,) = methods([run(WON, trained=trained)])
    assert "its training data does not contain return" in method.notes
