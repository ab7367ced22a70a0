"""RoboTwin and tabletop from the command line: what is missing is said first, scenes are found once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lingbot_eval.cli import lingbot_eval, run_suite
from lingbot_eval.files import with_checksum
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import Outcome


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> None:
    """Manifests are made in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROBOTWIN_ROOT", raising=False)


@pytest.fixture
def simulator() -> None:
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    pytest.importorskip("mplib", reason="the tabletop extra is not installed")


def refused(arguments: list[str], capsys) -> str:
    assert run_suite.main(arguments) == 2
    return capsys.readouterr().err


def test_without_a_checkout_the_published_command_says_all_that_is_missing_and_what_runs_without(tmp_path):
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-m", "lingbot_eval.cli.run_suite", "robotwin", "--group", "0"]
    done = subprocess.run(command, env=offline, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "run-suite: not ready; what is missing:"
    assert any(line.startswith("  - no RoboTwin checkout: git clone") for line in lines)
    assert any("robbyant/lingbot-va-posttrain-robotwin" in line or "LingBot-VA needs" in line for line in lines)
    assert lines[-1] == "run-suite tabletop needs no checkout, no assets and no checkpoint"
    assert len(lines) < 9
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tabletop", "--group", "0"], "--group chooses among RoboTwin's tasks"),
        (["robotwin", "--group", "0", "--tasks", "lift_pot"], "without --tasks"),
        (["robotwin", "--group", "7"], "groups 0..6"),
        (["libero", "--setting", "easy"], "libero has no --setting"),
        (["tabletop", "--setting", "medium"], "unknown setting 'medium' (valid: easy, hard, both)"),
        (["tabletop", "--tasks", "lift_blok"], "did you mean 'lift_block'"),
        (["tabletop", "--protocol", "lingbot-va"], "unknown protocol 'lingbot-va'"),
        (["tabletop", "--seed", "-1"], "seed -1"),
    ],
)
def test_what_makes_no_sense_is_refused_on_one_line(arguments, complaint, capsys):
    message = refused([*arguments, "--agent", "expert"], capsys)
    assert complaint in message
    assert message.count("\n") == 1


def test_a_run_finds_its_scenes_plays_them_and_finds_them_again(simulator, tmp_path, capsys):
    command = ["tabletop", "--tasks", "lift_block", "--setting", "both", "--episodes", "2", "--agent", "expert"]
    command += ["--out", "run", "--workers", "2"]
    assert run_suite.main(command) == 0
    out, err = capsys.readouterr()
    assert "looking for scenes that the expert solves, of lift_block easy, lift_block hard" in err
    assert "tabletop easy, all tasks" in out
    assert "tabletop hard, all tasks" in out
    final = RunDirectory(Path("run")).records().final()
    assert [record.outcome for record in final.values()] == [Outcome.SUCCESS] * 4
    assert {record.episode.setting for record in final.values()} == {"easy", "hard"}
    assert run_suite.main(command) == 0
    out, err = capsys.readouterr()
    assert "looking for" not in err
    assert "0 to play" in out


def test_a_dry_run_looks_for_no_scene(simulator, capsys):
    command = ["tabletop", "--tasks", "lift_block", "--episodes", "1", "--agent", "expert", "--dry-run"]
    assert "lingbot-eval plan tabletop looks for them" in refused(command, capsys)
    assert lingbot_eval.main(["plan", "tabletop", "--tasks", "lift_block", "--episodes", "1"]) == 0
    assert "1 episodes can be played" in capsys.readouterr().out
    assert run_suite.main(command) == 0


def test_a_manifest_from_elsewhere_is_merged_or_played_from_as_it_is(simulator, capsys):
    plan = ["plan", "tabletop", "--tasks", "lift_block", "--episodes"]
    assert lingbot_eval.main([*plan, "2", "suite.manifest=theirs"]) == 0
    assert lingbot_eval.main([*plan, "1", "--merge", "theirs"]) == 0
    assert "theirs: 2 auditions taken over" in capsys.readouterr().out
    file = Path("theirs/manifest.json")
    content = json.loads(file.read_text())
    content["facts"]["tabletop"] = f"other-{content['facts']['tabletop']}"
    file.write_bytes(with_checksum(content))
    played = ["tabletop", "--tasks", "lift_block", "--agent", "expert", "suite.manifest=theirs"]
    assert run_suite.main([*played, "--episodes", "2", "--dry-run"]) == 0
    assert "made on another simulator: tabletop: there other-" in capsys.readouterr().err
    assert "can only be extended where it was made" in refused([*played, "--episodes", "3"], capsys)


def test_planning_is_for_suites_with_scenes(capsys):
    assert lingbot_eval.main(["plan", "libero"]) == 2
    assert "robotwin, tabletop" in capsys.readouterr().err
