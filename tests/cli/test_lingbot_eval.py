"""``lingbot-eval``: what is there, and what came out."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from lingbot_eval.agents import kind_names
from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs import tabletop
from lingbot_eval.models.lingbot_va.builtin import builtin_names
from lingbot_eval.suites import protocol_names
from tests.reports.folders import copy_plan


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("lingbot_eval") / "run"
    assert run_suite(["toy", "--episodes", "2", "--regime", "none at all", "--out", str(folder)]) == 0
    return folder


def listed(what: str, capsys) -> list[list[str]]:
    assert main(["ls", what]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def refused(arguments: list[str], capsys) -> str:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("lingbot-eval: ")
    assert err.count("\n") == 1
    return err


def test_ls_lists_the_suites_with_their_short_names(capsys):
    suites = listed("suites", capsys)
    libero = ["libero_spatial", "libero_object", "libero_goal", "libero_10"]
    assert [words[1] for words in suites] == [*libero, "robotwin", "tabletop", "toy"]
    assert suites[0][2] == "(spatial)"
    assert "(long," in suites[3]


def test_ls_lists_every_task_with_the_index_that_run_suite_takes(capsys):
    tasks = listed("tasks", capsys)
    assert len(tasks) == 42 + 50 + len(tabletop.TASKS)
    assert ["robotwin", "42", "shake_bottle"] in tasks
    assert ["libero_goal", "7", "turn_on_the_stove"] in tasks
    assert ["toy", "1", "return"] in tasks


def test_ls_lists_agents_and_protocols(capsys):
    assert listed("agents", capsys) == [[name] for name in kind_names()]
    expected = [[suite, name] for suite in ("libero", "robotwin", "tabletop", "toy") for name in protocol_names(suite)]
    assert listed("protocols", capsys) == expected


def test_ls_lists_the_checkpoints_that_are_shipped(capsys):
    assert listed("checkpoints", capsys) == [[f"builtin:{name}"] for name in builtin_names()]


def test_ls_lists_published_methods_as_against_takes_them(capsys):
    methods = listed("published", capsys)
    assert ["robotwin", "motus"] in methods
    assert ["libero", "pi0.5"] in methods


def test_ls_alone_lists_everything(capsys):
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    for word in ("suites:", "tasks:", "agents:", "protocols:", "turn_on_the_stove", "lingbot-va", "replay"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["ls", "task"],
            "unknown list 'task'; did you mean 'tasks'? (valid: suites, tasks, agents, checkpoints, protocols, ",
        ),
        (["lst"], "'lst'"),
        ([], "--help"),
        (["report"], "RUN"),
        (["report", "/no/such/run"], "/no/such/run is not a run directory: it has no run.json"),
    ],
)
def test_bad_input_gets_one_line(arguments, complaint, capsys):
    assert complaint in refused(arguments, capsys)


def test_report_writes_the_tables_that_it_prints(run, capsys):
    for name in ("table.md", "table.csv"):
        (run / "report" / name).unlink()
    assert main(["report", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "4/4" in out
    assert "none at all" in out
    assert err == ""
    markdown = (run / "report" / "table.md").read_text()
    assert "| toy | reach | 2/2 | 100.0 |" in markdown
    assert "none at all" in markdown
    with (run / "report" / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["successes"], row["trials"]) for row in rows] == [
        ("reach", "2", "2"),
        ("return", "2", "2"),
        ("", "4", "4"),
    ]


@pytest.fixture(scope="module")
def idle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("idle") / "run"
    command = ["toy", "--agent", "idle", "--episodes", "2", "--regime", "none at all", "--out", str(folder)]
    assert run_suite(command) == 0
    return folder


def test_report_puts_runs_beside_each_other_in_every_format(run, idle, capsys):
    assert main(["report", str(run), str(idle)]) == 0
    out = capsys.readouterr().out
    assert "idle [b]" in out
    for ending in ("md", "tex", "csv", "html"):
        assert "idle" in (run / "report" / f"paper.{ending}").read_text()
        assert f"report/paper.{ending}" in out
    assert (
        "| reach | 100.0 | 34–100 | 100.0 | 34–100 | 2 | 0.0 | 0–66 | 0.0 | 0–66 |"
        in (run / "report" / "paper.md").read_text()
    )
    assert not (idle / "report" / "paper.md").exists()


def test_report_writes_the_formats_that_it_is_asked_for(idle):
    assert main(["report", str(idle), "--format", "csv"]) == 0
    assert [file.name for file in (idle / "report").glob("paper.*")] == ["paper.csv"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--format", "pdf"], "unknown format 'pdf' (valid: md, tex, csv, html)"),
        (["--against", "motus"], "nothing is published for toy (valid for: robotwin, libero, real)"),
    ],
)
def test_report_refuses_what_it_cannot_write(run, arguments, complaint, capsys):
    assert main(["report", str(run), *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_report_refuses_the_same_run_twice(run, capsys):
    assert "are the same experiment" in refused(["report", str(run), str(run)], capsys)


def test_report_of_an_unfinished_run_says_so(run, tmp_path, capsys):
    copy_plan(run, tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "NOT FINAL: 0 episodes ended in ERROR, 4 not played yet" in out


def test_a_torn_record_is_mentioned(run, tmp_path, capsys):
    for file in (run / "run.json", *run.glob("plan/*"), *run.glob("records/*")):
        target = tmp_path / file.relative_to(run)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(file.read_bytes()[: -3 if file.parent.name == "records" else None])
    assert main(["report", str(tmp_path)]) == 0
    assert "the last line" in capsys.readouterr().err


def test_a_folder_that_cannot_hold_the_report_is_named_on_one_line(run, tmp_path, capsys):
    copy_plan(run, tmp_path)
    (tmp_path / "report").write_text("a file")
    assert str(tmp_path / "report") in refused(["report", str(tmp_path)], capsys)


def test_a_run_without_its_plan_is_named_on_one_line(run, tmp_path, capsys):
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    assert "no plan/" in refused(["report", str(tmp_path)], capsys)


def test_make_tiny_writes_a_checkpoint_once(tmp_path, capsys):
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
    folder = tmp_path / "tiny"
    assert main(["make-tiny", str(folder)]) == 0
    assert f"agent.checkpoint={folder}" in capsys.readouterr().out
    written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert written < 10_000_000
    assert "not empty" in refused(["make-tiny", str(folder)], capsys)


def test_make_tiny_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install" in refused(["make-tiny", str(tmp_path / "tiny")], capsys)


def test_a_folder_of_runs_names_them(run, capsys):
    assert main(["report", str(run.parent)]) == 2
    assert f"there are runs in it: {run}" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    command, pipe = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "ls"], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as listing:
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == 141
