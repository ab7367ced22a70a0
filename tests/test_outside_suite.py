"""A benchmark from a distribution of its own (examples/outside_suite), installed with pip, is played and reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="builds the distribution; it comes with lingbot_eval[dev]")

ROOT = Path(__file__).resolve().parents[1]
RUN_SUITE = ("-m", "lingbot_eval.cli.run_suite", "mountain-car")
LINGBOT_EVAL = ("-m", "lingbot_eval.cli.lingbot_eval")

Python = Callable[..., str]
"""Runs Python with these words and gives what it printed."""


def python(*words: str, path: Path | None, cwd: Path, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *([path] if path else [])]))}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def target(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    pip = ("-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder))
    python(*pip, str(ROOT / "examples" / "outside_suite"), path=None, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def played(target, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("played")
    for agent in ("random", "expert"):
        said = python(*RUN_SUITE, "--agent", agent, "--episodes", "2", "--out", agent, path=target, cwd=folder)
        assert "reach_the_flag" in said
    return folder


def test_it_is_listed_like_ours(target):
    lines = python(*LINGBOT_EVAL, "ls", path=target, cwd=target).splitlines()
    assert {"  mountain-car mountain-car", "  mountain-car standard", "  mountain-car full-throttle"} <= set(lines)
    assert "  mountain-car  1  reach_the_flag" in lines


def test_its_plan_is_shown_before_anything_is_played(target, tmp_path):
    said = python(*RUN_SUITE, "--dry-run", "--episodes", "2", path=target, cwd=tmp_path)
    assert said.startswith("4 episodes of 2 tasks")
    assert "'reach the ledge'" in said
    assert "'drive up to the flag'" in said
    assert "protocol.command_limit: 300" in said
    assert not list(tmp_path.iterdir())


def test_it_is_played_under_its_own_versions(played):
    experiment = json.loads((played / "random" / "run.json").read_text())["experiment"]
    assert experiment["facts"].keys() == {"gymnasium", "outside-suite"}
    assert experiment["protocol"]["command_limit"] == 300


def test_it_is_reported_beside_its_own_published_numbers(target, played):
    said = python(*LINGBOT_EVAL, "report", "expert", "--against", "full-throttle", path=target, cwd=played)
    assert "4/4" in said
    paper = (played / "expert" / "report" / "paper.md").read_text()
    assert "| Method | Car | N (all) |" in paper
    assert "| full throttle<sup>b</sup> |" in paper
    said = python(*LINGBOT_EVAL, "compare", "expert", "--published", "full-throttle", path=target, cwd=played)
    assert "100.00 % on 4 episodes of 2 tasks against 0.00 % published" in said


def test_what_moves_its_score_is_said(target, played, tmp_path):
    code = (
        "from lingbot_eval.reports.differences import Difference;"
        "print(Difference('facts.gymnasium', '1', '2').why, Difference('facts.mujoco', '1', '2').why)"
    )
    assert python("-c", code, path=target, cwd=tmp_path).startswith("the car's physics are Gymnasium's trajectories")


def test_a_run_of_it_is_read_where_it_is_not_installed(played):
    said = python(*LINGBOT_EVAL, "report", "expert", "random", path=None, cwd=played)
    assert "reach_the_ledge" in said
    assert "PS 95 %" in (played / "expert" / "report" / "paper.md").read_text()
    assert "4 of 4 episodes" in python(*LINGBOT_EVAL, "status", "expert", path=None, cwd=played)
    assert "B is better on none" in python(*LINGBOT_EVAL, "compare", "expert", "random", path=None, cwd=played)
    assert "nothing is published for mountain-car" in python(
        *LINGBOT_EVAL, "report", "expert", "--against", "full-throttle", path=None, cwd=played, code=2
    )


def test_its_environments_keep_the_contract(target, tmp_path):
    code = """
import gymnasium, lingbot_eval
from lingbot_eval.envs.testing import check_env
for task in ("reach_the_ledge", "reach_the_flag"):
    for choices in ({}, {"cameras": False, "disable_env_checker": True}, {"commands_per_action": 5}):
        env = gymnasium.make(f"lingbot_eval/MountainCar-{task}-v0", **choices)
        check_env(env)
        env.close()
env = gymnasium.make("lingbot_eval/MountainCar-reach_the_flag-v0", command_limit=7, commands_per_action=5)
env.reset(seed=0)
ends = [env.step(env.action_space.sample())[2:] for _ in range(2)]
print([(terminated, truncated, info["commands"], info["protocol"]) for terminated, truncated, info in ends])
env.close()
"""
    said = python("-c", code, path=target, cwd=tmp_path)
    assert said == "[(False, False, 5, 'standard (modified)'), (False, True, 7, 'standard (modified)')]\n"


def test_its_own_module_can_be_imported_first(target, tmp_path):
    said = python("-c", "import outside_suite; print(outside_suite.SUITE.title)", path=target, cwd=tmp_path)
    assert said == "MountainCar\n"


def test_its_published_numbers_are_what_the_engine_alone_reaches():
    import gymnasium

    car = gymnasium.make("MountainCarContinuous-v0").unwrapped
    for seed in range(100):
        car.reset(seed=seed)
        assert max(car.step([1.0])[0][0] for _ in range(300)) < 0.1  # so neither 0.1 nor 0.45
