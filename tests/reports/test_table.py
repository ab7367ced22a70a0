"""Tables: what is in a rate, what is not, and what is said about it."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import pytest

from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.reports import table as tables
from lingbot_eval.reports.stats import Count, wilson
from lingbot_eval.reports.stats.intervals import stratified
from lingbot_eval.reports.stats.spread import clustered
from lingbot_eval.reports.table import HEADINGS, Row, as_csv, caption, cell, markdown, paper_row, rows, texts
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.types import Episode, EpisodeRecord, ImaginationError, Outcome, Spent
from tests.experiments import experiment

SUCCESS, FAILURE, ERROR = Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR


def run(suite: str = "toy", **changes: Any) -> Experiment:
    given = {"protocol": {"name": "strict"}, "facts": {"mujoco": "3.3.7"}, "regime": "four suites", **changes}
    return experiment(suite={"name": suite, "seed": 7}, **given)


def played(*results: tuple[Outcome, float, float] | Outcome | None, suite: str = "toy", task: str = "reach"):
    """A plan of as many episodes, and the final records: None was not played; (outcome, progress, of how many)."""
    plan, final = [], {}
    for seed, result in enumerate(results):
        plan.append(Episode(suite, task, seed, ""))
        outcome, *progress = result if isinstance(result, tuple) else (result,)
        if outcome is not None:
            final[plan[-1].id] = EpisodeRecord(plan[-1], outcome, 1, 1.0, *progress)
    return plan, final


def both(*parts):
    return [e for plan, _ in parts for e in plan], {id: r for _, final in parts for id, r in final.items()}


def test_errors_and_missing_episodes_are_not_in_the_rate():
    known = cell(*played(SUCCESS, SUCCESS, FAILURE, ERROR, None))
    assert (known.planned, known.trials, known.successes, known.errors) == (5, 3, 2, 1)
    assert known.rate == pytest.approx(2 / 3)
    assert not known.complete


def test_progress_is_the_mean_share_of_the_steps_over_trials_without_errors():
    known = cell(*played((SUCCESS, 4, 4), (FAILURE, 1, 4), (FAILURE, 0, 2), (ERROR, 2, 2)))
    assert known.progress == pytest.approx((1 + 0.25 + 0) / 3)


def test_a_benchmark_without_steps_has_no_progress():
    assert cell(*played(SUCCESS, FAILURE)).progress is None
    assert texts(rows(*played(SUCCESS))[0])[5] == "–"


def test_a_row_reads_as_counts_rate_interval_progress_and_errors():
    results = [(SUCCESS, 2, 2)] * 46 + [(FAILURE, 1, 2)] * 4
    row = dict(zip(HEADINGS, texts(rows(*played(*results))[0]), strict=True))
    assert row == {
        "Suite": "toy",
        "Task": "reach",
        "Successes": "46/50",
        "SR %": "92.0",
        "95 % interval": "81.2–96.8",
        "PS %": "96.0",
        "Errors": "",
    }


def test_a_row_without_any_trial_shows_dashes_and_its_errors():
    assert texts(rows(*played(ERROR, None))[0]) == ("toy", "reach", "0/0 of 2", "–", "–", "–", "1")


def test_a_task_that_is_not_complete_says_of_how_many():
    assert texts(rows(*played(SUCCESS, None, ERROR))[0])[2] == "1/1 of 3"


def test_every_suite_lists_its_tasks_in_planned_order_and_then_itself():
    plan, final = both(
        played(SUCCESS, FAILURE, suite="b", task="z"),
        played(FAILURE, suite="b", task="a"),
        played(SUCCESS, suite="a", task="y"),
    )
    table = rows(plan, final)
    assert [(row.suite, row.task) for row in table] == [("b", "z"), ("b", "a"), ("b", ""), ("a", "y"), ("a", "")]
    assert (table[2].cell.successes, table[2].cell.trials) == (1, 3)


def test_a_suite_is_the_mean_over_its_tasks_with_the_interval_stratified_by_task():
    plan, final = both(played(*[SUCCESS] * 8, task="often"), played(FAILURE, (FAILURE, 1, 4), task="seldom"))
    suite = rows(plan, final)[-1]
    assert (suite.cell.successes, suite.cell.trials) == (8, 10)
    assert suite.rate == 0.5
    assert suite.interval == stratified([Count(8, 8), Count(0, 2)])
    assert suite.progress == 0.25


def test_a_suites_progress_is_the_mean_of_its_tasks_however_many_episodes_each_has():
    plan, final = both(played(*[(SUCCESS, 4, 4)] * 3, task="often"), played((FAILURE, 1, 4), task="seldom"))
    assert rows(plan, final)[-1].progress == (1 + 0.25) / 2


def test_a_suite_of_enough_tasks_also_has_the_interval_for_new_tasks_and_says_so():
    plan, final = both(*(played(SUCCESS, FAILURE, task=str(task)) for task in range(5)))
    table = rows(plan, final)
    low, high = table[-1].interval_on_new_tasks
    assert (low, high) == clustered([Count(1, 2)] * 5)
    assert f"On new tasks of the kind (clustered by task): toy {100 * low:.1f}–{100 * high:.1f} %." in caption(
        run(), table
    )
    assert table[0].interval_on_new_tasks is None
    assert rows(*played(SUCCESS))[-1].interval_on_new_tasks is None


def test_records_of_episodes_that_were_not_planned_count_nowhere():
    plan, final = played(SUCCESS, SUCCESS, FAILURE)
    assert cell(plan[:1], final).trials == 1


def libero(*suites: str):
    share = {"libero_spatial": 1, "libero_object": 2, "libero_goal": 3, "libero_10": 4}
    parts = [
        played(*[SUCCESS] * share[suite], *[FAILURE] * (4 - share[suite]), suite=suite, task="t") for suite in suites
    ]
    return rows(*both(*parts))


def papers(table: list[Row]) -> list[tuple[str, str]]:
    return [(cell.heading.partition(" ")[0], cell.rate) for cell in paper_row(table, "libero")]


def test_the_papers_row_has_the_four_suites_and_their_mean():
    expected = [("Spatial", "25.0"), ("Object", "50.0"), ("Goal", "75.0"), ("Long", "100.0"), ("Avg", "62.5")]
    assert papers(libero(*SUITES)) == expected
    assert [cell.trials for cell in paper_row(libero(*SUITES), "libero")] == [4, 4, 4, 4, 16]


def test_the_papers_row_says_where_not_all_tasks_were_planned():
    parts = [played(SUCCESS, suite="libero_goal", task=str(task)) for task in range(10)]
    parts += [played(SUCCESS, suite="libero_10", task="only")]
    assert [cell.heading for cell in paper_row(rows(*both(*parts)), "libero")][2:4] == ["Goal", "Long (1/10 tasks)"]


def test_the_papers_average_is_over_suites_not_over_episodes():
    parts = [played(SUCCESS, suite=suite, task="t") for suite in list(SUITES)[:3]]
    table = rows(*both(*parts, played(*[FAILURE] * 9, suite="libero_10", task="t")))
    assert papers(table)[-1] == ("Avg", "75.0")


def test_a_suite_that_was_not_played_is_a_dash_and_so_is_the_average():
    expected = [("Spatial", "–"), ("Object", "–"), ("Goal", "75.0"), ("Long", "100.0"), ("Avg", "–")]
    assert papers(libero("libero_goal", "libero_10")) == expected


def test_a_benchmark_without_a_papers_row_has_none():
    assert paper_row(rows(*played(SUCCESS)), "toy") is None
    assert "Avg" not in markdown(run(), rows(*played(SUCCESS)))


def test_the_caption_says_who_played_under_which_rules_and_how_it_was_trained():
    text = caption(run(checkpoint="ab12"), rows(*played(SUCCESS)))
    assert "Agent expert ab12 (training regime: four suites), protocol strict [0123456789ab] on mujoco 3.3.7." in text
    assert "Wilson's 95 % interval" in text
    assert "1 episodes of 1 tasks, base seed 7." in text
    assert "NOT FINAL" not in text


def test_the_caption_of_an_unfinished_table_says_that_it_is_not_final_and_why():
    plan, final = both(played(SUCCESS, ERROR, None, None), played(ERROR, suite="other"))
    assert "NOT FINAL: 2 episodes ended in ERROR, 2 not played yet" in caption(run(), rows(plan, final))


def test_markdown_holds_the_table_the_papers_row_and_the_caption():
    table = libero(*SUITES)
    lines = markdown(run("libero"), table).splitlines()
    assert lines[0] == "| Suite | Task | Successes | SR % | 95 % interval | PS % | Errors |"
    assert lines[2].startswith("| libero_spatial | t | 1/4 | 25.0 | 4.6–69.9 | – |")
    assert lines[3].startswith("| **libero_spatial** | **all tasks** | **1/4** |")
    headings = " | ".join(f"{suite} (1/10 tasks)" for suite in ("Spatial", "Object", "Goal", "Long"))
    assert f"| SR % | {headings} | Avg |" in lines
    assert "| N | 4 | 4 | 4 | 4 | 16 |" in lines
    assert "| expert | 25.0 | 50.0 | 75.0 | 100.0 | 62.5 |" in lines
    assert lines[-1] == caption(run("libero"), table)
    assert {line.count("|") for line in lines[:10]} == {len(HEADINGS) + 1}


def test_markdown_of_a_suite_that_is_alone_still_shows_the_papers_row():
    assert "| expert | – | – | 75.0 | – | – |" in markdown(run("libero"), libero("libero_goal"))


def test_csv_has_all_digits_and_empty_cells_where_there_is_nothing():
    plan, final = both(played((SUCCESS, 1, 3), FAILURE, FAILURE, task="a"), played(ERROR, task="b, c"))
    read = list(csv.DictReader(io.StringIO(as_csv(run(regime='40k steps, "both"'), rows(plan, final)))))
    assert [row["task"] for row in read] == ["a", "b, c", ""]
    assert float(read[0]["sr"]) == 1 / 3
    assert (float(read[0]["sr_low"]), float(read[0]["sr_high"])) == wilson(1, 3)
    assert [read[1][name] for name in ("trials", "errors", "sr", "sr_low", "sr_high", "ps")] == ["0", "1", *[""] * 4]
    assert {row["regime"] for row in read} == {'40k steps, "both"'}
    assert {row["protocol_hash"] for row in read} == {"0123456789ab"}


def test_seconds_and_imagination_are_means_over_the_trials_that_have_them():
    plan, final = both(played(SUCCESS, FAILURE, ERROR), played(SUCCESS, suite="other"))
    for number, (id, record) in enumerate(list(final.items())[:2]):
        error = ImaginationError(latent_mse=1.0 + number, frames=3, psnr=None if number else 20.0)
        spent = Spent(model=2.0 + number, simulator=4.0, waiting=0.5)
        final[id] = dataclasses.replace(record, seconds=7.5 + number, spent=spent, imagination=error)
    table = rows(plan, final)
    text = caption(run(), table)
    assert "Mean seconds per episode: 2.5 in the model, 4.0 in the simulator, 0.5 waiting, 1.0 recording." in text
    assert "Imagined against real: latent MSE 1.500, PSNR 20.0 dB." in text
    read = list(csv.DictReader(io.StringIO(as_csv(run(), table))))
    names = ("model_seconds", "simulator_seconds", "waiting_seconds", "recording_seconds", "latent_mse", "psnr")
    assert [read[1][name] for name in names] == ["2.5", "4.0", "0.5", "1.0", "1.5", "20.0"]
    assert [read[3][name] for name in names] == [""] * 6
    assert "seconds" not in caption(run(), rows(*played(SUCCESS)))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("pick_up_the_bowl", "pick_up_the_bowl"),
        ("__init__", r"\_\_init\_\_"),
        ("_so_", r"\_so\_"),
        ("~~gone~~", r"\~\~gone\~\~"),
        ("a_b __c__", r"a_b \_\_c\_\_"),
        ("\\_x_y", r"\\\_x_y"),
    ],
)
def test_a_name_in_markdown_has_a_backslash_only_where_a_letter_would_act(name, written):
    assert tables._escaped(name) == written


LIFTED = {"regime": "toys", "tasks": {"toy": {"reach": {"": 3}, "return": {"": 0}}}}


def test_a_task_that_the_training_data_lacks_is_marked_and_said_once():
    plan, final = both(played(SUCCESS), played(FAILURE, task="return"))
    one = run(trained=LIFTED)
    table = rows(plan, final, one.trained)
    assert [texts(row)[1] for row in table] == ["reach", "return †", "all tasks"]
    assert caption(one, table).count("† The training data does not contain return.") == 1
    assert "| toy | return † |" in markdown(one, table)
    read = list(csv.DictReader(io.StringIO(as_csv(one, table))))
    assert [(row["task"], row["trained"]) for row in read] == [("reach", "yes"), ("return", "no"), ("", "")]


@pytest.mark.parametrize("trained", [None, {"regime": "toys", "tasks": {}}])
def test_nothing_is_marked_where_nobody_knows_what_the_data_has(trained):
    one = run(trained=trained)
    table = rows(*played(SUCCESS), one.trained)
    assert "†" not in markdown(one, table)
    assert {row["trained"] for row in csv.DictReader(io.StringIO(as_csv(one, table)))} == {""}


def test_every_task_of_a_benchmark_that_the_data_lacks_is_marked():
    one = run(trained={"regime": "moon", "tasks": {"moon": {"reach": {"": 3}}}})
    assert [texts(row)[1] for row in rows(*played(SUCCESS), one.trained)] == ["reach †", "all tasks"]
