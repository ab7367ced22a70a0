"""``lingbot-eval compare``, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.suites.store import RunDirectory
from tests.reports.folders import copy_plan


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


def test_unfinished_runs_are_marked(runs, tmp_path, capsys):
    copy_plan(runs["random"], tmp_path)
    assert "no finished episode" in refused([tmp_path, runs["expert"]], capsys)
    lines = [line for file in runs["random"].glob("records/*") for line in file.read_bytes().splitlines(keepends=True)]
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "some.jsonl").write_bytes(b"".join(lines[:7]))
    assert "NOT FINAL: 5 ended in ERROR or were not played" in said([tmp_path, runs["expert"]], capsys)


def test_a_published_rate_stands_in_for_b(runs, capsys):
    out = said([runs["expert"], "--published", "93.52", "--trials", "5000"], capsys)
    assert "100.00 % on 12 episodes of 2 tasks against 93.52 % published (measured on 5000 episodes;" in out
    assert "(valid: toy)" in refused([runs["expert"], "--published", "90", "--suite", "libero"], capsys)


def test_seeds_are_compared_with_chance(runs, capsys):
    assert "they vary no more than chance would" in said(["--spread", runs["random"], runs["reseeded"]], capsys)
    assert "agent.name" in refused(["--spread", runs["random"], runs["expert"]], capsys)


def test_evidence_may_be_looked_at_after_every_pair(runs, capsys):
    out = said([runs["random"], runs["expert"], "--sequential"], capsys)
    assert "after 6 pairs in planned order; clear after 5 pairs." in out
    assert "e is 40 or more (2 tasks at 5 % together)" in out


def test_power_needs_no_run(runs, capsys):
    assert "a rise of 1.4 pp, a fall of 1.5 pp" in said(["--power", "5000", "--rate", "92.9"], capsys)
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
        (["a", "b", "--trials", "9"], "--trials belongs to --published"),
        (["a", "b", "--spread", "--sequential"], "different questions"),
        (["/no/such/run", "/nor/this"], "/no/such/run is not a run directory"),
    ],
)
def test_bad_input_gets_one_line(arguments, complaint, capsys):
    assert complaint in refused(arguments, capsys)


def test_a_folder_of_another_kind_is_named(runs, tmp_path, capsys):
    experiment = RunDirectory(runs["expert"]).run()
    (tmp_path / "run.json").write_text(json.dumps(experiment))
    assert "no plan/" in refused([tmp_path, runs["random"]], capsys)


def test_compare_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "comparing needs scipy: pip install" in refused(["--power", "10", "--rate", "90"], capsys)


def test_power_refuses_two_runs_of_other_protocols_too(runs, capsys):
    assert "different protocols" in refused([runs["random"], runs["shorter"], "--power", "10"], capsys)
