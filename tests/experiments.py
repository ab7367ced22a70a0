"""Experiments as tests want them: those of ``run.json`` files that somebody wrote by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.run_json import run_json

PLAIN = {
    "suite": {"name": "toy", "seed": 0},
    "protocol": {"name": "toy"},
    "protocol_hash": "0123456789ab",
    "facts": {},
    "agent": {"name": "expert"},
    "checkpoint": "",
    "regime": "none",
}


def experiment(**changes: Any) -> Experiment:
    """PLAIN with ``changes``."""
    return run_json({"schema": 2, "experiment": {**PLAIN, **changes}}, Path("run.json")).experiment
