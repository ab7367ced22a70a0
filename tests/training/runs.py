"""Trainings of a tiny checkpoint on :mod:`tests.training.synthetic`, here or in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lingbot_eval.runs.compose import training_settings
from lingbot_eval.training import curve
from lingbot_eval.training.told import Told

SMALL = ("robot=tabletop", "batch=2", "micro_batches=2", "optimizer.warm_up=2", "optimizer.schedule=constant")
OFTEN = ("save_every=2", "held_out.share=0.2", "held_out.every=3", "device=cpu")


def words(data: Path, tiny: Path, out: Path, *more: str) -> list[str]:
    return [*SMALL, *OFTEN, f"data={data}", f"checkpoint={tiny}", f"out={out}", *more]


def trained(data: Path, tiny: Path, out: Path, *more: str) -> list[dict[str, Any]]:
    """Train in this process; return the curve's lines that are of a step."""
    from lingbot_eval.training.train import train

    told: list[Told] = []
    train(training_settings(words(data, tiny, out, *more)), told.append)
    return steps(out)


def steps(out: Path) -> list[dict[str, Any]]:
    return [line for line in curve.read(out / "curve.jsonl") if "norm" in line]


def started(data: Path, tiny: Path, out: Path, *more: str, processes: int = 1) -> subprocess.Popen[str]:
    """Start ``lingbot-eval train`` in a process of its own, or several that torchrun starts."""
    several = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    command = [sys.executable, *(several if processes > 1 else []), "-m", "lingbot_eval.cli.train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([*command, *words(data, tiny, out, *more)], env=environment, text=True, **pipes)  # type: ignore[call-overload, no-any-return]
