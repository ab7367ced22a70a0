"""``lingbot-eval compare``, as a user meets it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.runs.plan import plan_hash
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.reports.folders import copy_plan, directory, many


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compare")
    played = {
        "expert": ["--agent", "expert", "--regime", "none at all"],
        "random": ["--agent", "random"],
        "reseeded": ["--agent", "random", "--seed", "9"],
        "shorter": ["--agent", "random", "protocol.command_limit=50"],
    }
    for name, arguments in played.items():
        assert run_suite(["toy", "--episodes", "6", *arguments, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in played}


def said(arguments: list[object], capsys) -> str:
    """What is printed, as one line."""
    assert main(["compare", *map(str, arguments)]) == 0
    return " ".join(capsys.readouterr().out.split())


def refused(arguments: list[object], capsys) -> str:
    assert main(["compare", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lingbot-eval: ")
    assert err.count("\n") == 1
    return err


def test_two_runs_end_in_a_sentence_and_say_how_it_came_about(runs, capsys):
    out = said([runs["random"], runs["expert"]], capsys)
    assert "toy: B is better on 0 of 2" not in out
    assert "overall +100.0 pp, 95 % interval" in out
    assert "p = 0.00049" in out
    assert "Paired: the 12 episodes that both played" in out
    assert "The training regimes differ: A unstated, B none at all." in out


def test_runs_of_other_episodes_are_compared_unpaired(runs, capsys):
    assert "UNPAIRED: no episode in common" in said([runs["expert"], runs["reseeded"]], capsys)


def test_other_protocols_are_refused_with_what_differs_or_marked(runs, capsys):
    pair = [runs["random"], runs["shorter"]]
    assert "protocol.command_limit: A 60, B 50" in refused(pair, capsys)
    assert "NOT COMPARABLE: the protocols differ: protocol.command_limit: A 60, B 50" in said(
        [*pair, "--anyway"], capsys
    )


def test_other_benchmarks_have_nothing_in_common(runs, tmp_path, capsys):
    plan = [Episode("real", "fold", 0, "")]
    played = [EpisodeRecord(plan[0], Outcome.SUCCESS, 0, 1.0)]
    directory(tmp_path, plan, played, suite={"name": "real", "seed": 0})
    assert f"a run of toy, {tmp_path} of real: no task in common" in refused([runs["random"], tmp_path], capsys)


def test_a_page_shows_what_was_printed_and_every_common_episode(runs, tmp_path, capsys):
    file = tmp_path / "pages" / "pair.html"
    said([runs["random"], runs["expert"], "--page", file], capsys)
    text = file.read_text()
    assert "overall +100.0 pp" in text
    assert "The training regimes differ: A unstated, B none at all." in text
    assert text.count('"outcome":"failure"') == text.count('"outcome":"success"') == 12
    said([runs["random"], runs["shorter"], "--anyway", "--page", file], capsys)
    assert "NOT COMPARABLE" in file.read_text()
    said([runs["expert"], runs["reseeded"], "--page", file], capsys)
    assert "UNPAIRED" in file.read_text()


def test_a_large_page_is_written_where_a_small_one_is(tmp_path, capsys):
    plan, records = many(3, 1000)
    folders = [directory(tmp_path / os.fsdecode(name), plan, records).path for name in (b"a\xe9", b"b")]
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for page in (tmp_path / "x" / "y" / "a.html", tmp_path / "link" / "a.html", tmp_path / os.fsdecode(b"c\xe9.html")):
        said([*folders, "--page", page], capsys)
        assert len(list(page.with_suffix(".parts").glob("*/*.js"))) == 2
    assert '"parts":"c%E9.parts/' in page.read_text()
    said([tmp_path / "b", tmp_path / "b", "--page", page], capsys)
    assert len(list(page.with_suffix(".parts").glob("*/*.js"))) == 2


def test_a_page_that_cannot_be_is_refused(runs, tmp_path, capsys):
    pair = [runs["random"], runs["expert"]]
    assert "--page needs a name that ends in .html, got runs/x" in refused([*pair, "--page", "runs/x"], capsys)
    assert "leave out --power" in refused([*pair, "--power", "9", "--page", "x.html"], capsys)
    (tmp_path / "file").write_text("")
    assert main(["compare", *map(str, pair), "--page", str(tmp_path / "file" / "x.html")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_unfinished_runs_are_marked(runs, tmp_path, capsys):
    copy_plan(runs["random"], tmp_path)
    assert "no finished episode" in refused([tmp_path, runs["expert"]], capsys)
    lines = [line for file in runs["random"].glob("records/*") for line in file.read_bytes().splitlines(keepends=True)]
    (tmp_path / "records" / "some.jsonl").write_bytes(b"".join(lines[:7]))
    assert "NOT FINAL: 5 ended in ERROR or were not played" in said([tmp_path, runs["expert"]], capsys)


def test_a_published_rate_stands_in_for_b(runs, capsys):
    out = said([runs["expert"], "--published", "93.52", "--trials", "5000"], capsys)
    assert "100.00 % on 12 episodes of 2 tasks against 93.52 % published (measured on 5000 episodes;" in out
    assert "(valid: toy)" in refused([runs["expert"], "--published", "90", "--suite", "libero"], capsys)
    unstated = said([runs["expert"], "--published", "93.52"], capsys)
    assert "on how many episodes is not stated: no test. The run alone: 75.8–100.0 %." in unstated
    assert "p =" not in unstated


def robotwin(folder: Path, tasks: Sequence[str], won: int) -> Path:
    """Ten episodes of each task in easy, the first ``won`` of which succeed."""
    plan = [Episode("robotwin", task, k, "", "easy") for task in tasks for k in range(10)]
    outcomes = (Outcome.FAILURE, Outcome.SUCCESS)
    directory(
        folder,
        plan,
        [EpisodeRecord(episode, outcomes[episode.seed < won], 1, 1.0) for episode in plan],
        suite={"name": "robotwin", "seed": 0, "plan": plan_hash(plan)},
        regime="B",
    )
    return folder


def test_a_published_method_stands_beside_the_run_task_by_task_and_on_average(tmp_path, capsys):
    out = said([robotwin(tmp_path / "all", list(TASKS), 6), "--published", "motus"], capsys)
    assert "A Motus, published: reported, arXiv:2512.13030" in out
    assert "robotwin easy: 60.00 % on 500 episodes of 50 tasks against 88.66 % published" in out
    assert "robotwin easy: B is better on none of 50 tasks and worse on 15 after correction; overall −28." in out
    assert "Fisher's exact test per task, Mantel-Haenszel over tasks" in out


def test_a_published_average_is_not_compared_with_a_few_tasks_and_no_trials_are_no_test(tmp_path, capsys):
    run = robotwin(tmp_path / "two", ["adjust_bottle", "hanging_mug"], 5)
    out = said([run, "--published", "motus"], capsys)
    assert "88.66 % is the mean of 50 tasks, of which the run has 2: no test." in out
    assert "B is better on none of 2 tasks and worse on 1 after correction" in out
    assert "on how many episodes is not stated: no test" in said(
        [robotwin(tmp_path / "all", list(TASKS), 6), "--published", "lingbot-va-2.0"], capsys
    )


def test_a_published_method_of_another_regime_is_marked_and_an_unknown_one_refused(tmp_path, capsys):
    run = robotwin(tmp_path / "run", ["adjust_bottle"], 5)
    assert "NOT COMPARABLE: training regime A (50 clean demonstrations per task); the run B." in said(
        [run, "--published", "dp3"], capsys
    )
    assert "did you mean 'motus'" in refused([run, "--published", "motis"], capsys)


def test_seeds_are_compared_with_chance(runs, capsys):
    assert "they vary no more than chance would" in said(["--spread", runs["random"], runs["reseeded"]], capsys)
    assert "agent.name" in refused(["--spread", runs["random"], runs["expert"]], capsys)
    assert "both played 12 episodes" in refused(["--spread", runs["random"], runs["random"]], capsys)


def test_evidence_may_be_looked_at_after_every_pair(runs, capsys):
    out = said([runs["random"], runs["expert"], "--sequential"], capsys)
    assert "after 6 pairs in planned order; clear after 5 pairs." in out
    assert "e is 40 or more (tasks planned: 2; 5 % together)" in out


def test_what_is_clear_does_not_depend_on_how_many_tasks_have_begun(tmp_path, capsys):
    plan = [Episode("real", task, seed, task) for task in ("fold", "pour") for seed in range(5)]
    begun = {Outcome.FAILURE: tmp_path / "a", Outcome.SUCCESS: tmp_path / "b"}
    for outcome, folder in begun.items():
        directory(folder, plan, [EpisodeRecord(episode, outcome, 0, 1.0) for episode in plan[:5]])
    out = said([*begun.values(), "--sequential"], capsys)
    assert "real pour" not in out
    assert "e is 40 or more (tasks planned: 2; 5 % together)" in out


def test_power_needs_no_run(runs, capsys):
    assert "a rise of 1.4 pp, a fall of 1.5 pp" in said(["--power", "5000", "--rate", "92.9"], capsys)
    assert "will be known to 29.9–92.7 %" in said(["--power", "5", "--rate", "70"], capsys)  # Wilson's of 3.5 of 5
    assert "disagree on 100.0 % of them" in said([runs["random"], runs["expert"], "--power", "100"], capsys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["one"], "compare takes 2 RUN, got 1"),
        (["a", "b", "--published", "90"], "--published takes 1 RUN, got 2"),
        (["a", "--spread"], "--spread takes 2 or more RUN, got 1"),
        (["--power", "10"], "--rate PERCENT"),
        (["a", "--power", "10", "--rate", "90"], "--rate PERCENT"),
        (["--power", "0", "--rate", "90"], "--power counts episodes, 1 or more, got 0"),
        (["a", "--published", "9000"], "--published is in percent, 0..100, got 9000"),
        (["a", "b", "--trials", "9"], "--trials belongs to --published PERCENT"),
        (["a", "--published", "motus", "--trials", "9"], "--trials belongs to --published PERCENT"),
        (["a", "b", "--spread", "--sequential"], "different questions"),
        (["/no/such/run", "/nor/this"], "/no/such/run is not a run directory"),
    ],
)
def test_bad_input_gets_one_line(arguments, complaint, capsys):
    assert complaint in refused(arguments, capsys)


def test_a_folder_of_another_kind_is_named(runs, tmp_path, capsys):
    shutil.copy(runs["expert"] / "run.json", tmp_path)
    assert "no plan/" in refused([tmp_path, runs["random"]], capsys)


def test_power_refuses_two_runs_of_other_protocols_too(runs, capsys):
    assert "different protocols" in refused([runs["random"], runs["shorter"], "--power", "10"], capsys)
