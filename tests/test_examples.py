"""The notebook, whose cells are run here one after another without Jupyter, and the Slurm scripts, as far as they go
without a Slurm."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import NotReady
from lingbot_eval.run import Run
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import actions_of
from lingbot_eval.types import Outcome

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SLURM = EXAMPLES / "slurm"


NOTEBOOK = {cell["id"]: cell for cell in json.loads((EXAMPLES / "notebook.ipynb").read_text())["cells"]}


def shown() -> dict[str, Any]:
    """By a code cell's id: its last expression, which the notebook shows. Jupyter's kernel is not among the developers'
    packages: it would bring thirty more for this one test."""
    values, names = {}, {"__name__": "__main__"}
    for cell in NOTEBOOK.values():
        if cell["cell_type"] == "code":
            *before, last = ast.parse("".join(cell["source"])).body
            exec(compile(ast.Module(before, []), cell["id"], "exec"), names)  # noqa: S102
            assert isinstance(last, ast.Expr)
            values[cell["id"]] = eval(compile(ast.Expression(last.value), cell["id"], "eval"), names)  # noqa: S307
    return values


def test_every_cell_of_the_notebook_shows_what_its_text_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = shown()
    assert "10/10" in said["expert"]._repr_html_()
    assert list(said["some"]["outcome"]) == ["success"] * 5
    assert list(said["grouped"]["rate"]) == [1.0, 1.0]
    assert said["rates"]["sr_low"].between(0.7, 0.9).all()
    assert "toy: B is better on 2 of 2 tasks" in str(said["chance"])
    assert (said["differences"]["p_holm"].dropna() < 0.05).all()
    for id in ("rates", "chance", "differences"):  # nothing in them hangs on the machine
        (kept,) = NOTEBOOK[id]["outputs"]
        assert repr(said[id]) == "".join(kept["data"]["text/plain"])
    assert len(said["paths"]) == 3
    assert all(Path(path).stat().st_size for path in said["paths"])
    if lacks := lacking():
        assert said["arms"] == lacks
    else:
        assert isinstance(said["arms"], Run)
        assert "2/2" in repr(said["arms"])
        assert len(said["arms"].videos()) == 2


def test_a_column_of_ones_own_stands_in_the_table(tmp_path):
    assert run_suite(["toy", "--out", str(tmp_path / "run"), "--video", "off"]) == 0
    command = [sys.executable, str(EXAMPLES / "column.py"), str(tmp_path / "run")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said in (EXAMPLES.parent / "docs" / "extending.md").read_text()


def lacking() -> str:
    """What tabletop lacks here to draw; empty where it draws."""
    try:
        probe()
    except NotReady as missing:
        return str(missing)
    return ""


@pytest.mark.parametrize("python", ["", f"agent.python={sys.executable}"], ids=["in process", "agent.python"])
def test_a_policy_of_15_lines_plays_from_its_file(tmp_path, python):
    command = ["toy", "--episodes", "2", "--agent", f"{EXAMPLES / 'policy.py'}:Drift", "--out", str(tmp_path / "run")]
    assert run_suite([*command, "agent.options.reach=0.1", "agent.commands_per_action=2", *filter(None, [python])]) == 0
    records = RunDirectory(tmp_path / "run").records().all
    assert len(records) == 4
    assert {record.outcome for record in records} <= {Outcome.SUCCESS, Outcome.FAILURE}
    moved = [np.ptp(actions_of(RunDirectory(tmp_path / "run"), record)) for record in records]
    assert min(moved) > 0.01  # metres


def test_the_page_about_policies_shows_the_one_that_is_there():
    code = (EXAMPLES / "policy.py").read_text().partition('"""\n\n')[2]
    assert len([line for line in code.splitlines() if line]) <= 15
    assert f"```python\n{code}```" in (EXAMPLES.parent / "docs" / "extending.md").read_text()


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Variables of a job that was sent from a virtual environment, where run-suite is this one."""
    commands = tmp_path / "venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "activate").write_text(f"PATH={commands}:$PATH\n")
    (commands / "run-suite").write_text(f'#!/bin/sh\nexec {sys.executable} -m lingbot_eval.cli.run_suite "$@"\n')
    (commands / "run-suite").chmod(0o755)
    return {**os.environ, "VIRTUAL_ENV": str(tmp_path / "venv")}


@pytest.mark.parametrize("script", sorted(SLURM.iterdir()), ids=lambda script: script.name)
def test_a_script_is_bash(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("first", [0, 1])
def test_the_tasks_of_an_array_play_each_episode_once(tmp_path, environment, first):
    command = ["bash", SLURM / "array.sbatch", "toy", "--episodes", "4", "--out", tmp_path / "run"]
    tasks = [
        subprocess.Popen(
            command,
            env={
                **environment,
                "SLURM_ARRAY_TASK_ID": str(task),
                "SLURM_ARRAY_TASK_MIN": str(first),
                "SLURM_ARRAY_TASK_COUNT": "2",
            },
            stdout=subprocess.DEVNULL,
        )
        for task in (first, first + 1)
    ]
    assert [task.wait() for task in tasks] == [0, 0]
    folder = RunDirectory(tmp_path / "run")
    played = Counter(record.episode.id for record in folder.records().all)
    assert played == {episode.id: 1 for episode in folder.plan()}
    assert len(played) == 8
