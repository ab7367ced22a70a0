"""Runs as the tables read them, with as many successes as a test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lingbot_eval.reports.methods import Run
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.experiments import experiment

Results = Mapping[tuple[str, str], tuple[int, int]]
"""By part and task: successes of how many episodes. A part is a setting for RoboTwin, else a suite."""

PROTOCOL = {"name": "lingbot-va", "episodes_per_task": 2}


def run(results: Results, benchmark: str = "toy", seed: int = 0, **changes: Any) -> Run:
    """Under PROTOCOL, in training regime B, by lingbot-va; ``changes``: to the experiment."""
    plan, final = [], {}
    for (part, task), (successes, trials) in results.items():
        suite, setting = (benchmark, part) if part in ("easy", "hard") else (part, "")
        for k in range(trials):
            plan.append(Episode(suite, task, 1000 * seed + k, "", setting))
            outcome = Outcome.SUCCESS if k < successes else Outcome.FAILURE
            final[plan[-1].id] = EpisodeRecord(plan[-1], outcome, 1, 1.0, progress=k < successes, max_progress=1)
    given = {"protocol": PROTOCOL, "facts": {"assets": "1"}, "agent": {"name": "lingbot-va"}, "regime": "B", **changes}
    return Run(f"runs/{seed}", experiment(suite={"name": benchmark, "seed": seed}, **given), plan, final)
