"""The Slurm scripts, as far as they go without a Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lingbot_eval.runs.directory import RunDirectory

SLURM = Path(__file__).resolve().parents[1] / "examples" / "slurm"


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
