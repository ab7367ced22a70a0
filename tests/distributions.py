"""Distributions that are installed by hand, and what Python says with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINGBOT_EVAL = ("-m", "lingbot_eval.cli.lingbot_eval")
RUN_SUITE = ("-m", "lingbot_eval.cli.run_suite")

A_SUITE = """
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.suites.suite import Suite
SUITE = Suite(
    name={name!r}, title="Mine", tasks={{{name!r}: ("push",)}}, make_env=ReachEnv, env_spec=env_spec, {more}
)
"""
PROTOCOLS = "protocols={'short': {'command_limit': 5}}"


def distribution(folder: Path, name: str, points: str, code: str, group: str = "suites") -> None:
    """Install a distribution of one module by hand."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[lingbot_eval.{group}]\n{points}\n")
    (folder / f"{name}_module.py").write_text(code)


def python(path: Path, *words: str, code: int = 0) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(path)))}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
