"""The plots of these pages, drawn anew: python -m docs.pictures.plots FOLDER

FOLDER keeps the runs: one that tabletop's expert plays, and two whose scores are drawn by chance with the rates that
are published for LingBot-VA; nobody's policy was measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from lingbot_eval.reports.published import claims
from lingbot_eval.runs.plan import plan_hash
from lingbot_eval.trials import load_rubric
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.reports.folders import directory

HERE = Path(__file__).parent
PLOTS = {
    "expert": ("success-by-task", "success-by-commands", "time-by-task"),
    "robotwin": ("against-published",),
    "trials": ("progress",),
}
"""By run, what is shown of it."""

FILES = {"robotwin": "robotwin_tasks", "real": "real"}
"""By suite, where its rates are published."""


def main(folder: Path) -> None:
    expert = ["tabletop", "--agent", "expert", "--setting", "both", "--episodes", "5"]
    play("run_suite", *expert, "--out", folder / "expert")
    draw(folder / "robotwin", "robotwin", ("easy", "hard"))
    draw(folder / "trials", "real", ("",))
    for run, names in PLOTS.items():
        against = ("--against", "motus,pi0.5") if run == "robotwin" else ()
        play("lingbot_eval", "plot", folder / run, *against)
        for name in names:
            with Image.open(folder / run / "report" / f"{name}.png") as drawn:
                colours = drawn.convert("RGB").quantize(64)  # a third of the size
            colours.save(HERE / f"plot-{name}.png", optimize=True)


def play(module: str, *arguments: str | Path) -> None:
    subprocess.run([sys.executable, "-m", f"lingbot_eval.cli.{module}", *map(str, arguments)], check=True)


def draw(folder: Path, suite: str, settings: tuple[str, ...]) -> None:
    """Twenty trials of each task."""
    chance = np.random.default_rng(0)
    plan, records = [], []
    for setting in settings:
        for claim in claims(FILES[suite]):
            if claim.method != "LingBot-VA":
                continue
            steps = int(load_rubric(claim.task).max_progress) if suite == "real" else 0
            for k in range(20):
                episode = Episode(suite, claim.task, k, "", setting, index=k)
                won = chance.random() < float(claim.percents[setting or "success"]) / 100
                progress = steps if won else int(chance.integers(0, max(steps, 1)))
                outcome = Outcome.SUCCESS if won else Outcome.FAILURE
                plan.append(episode)
                records.append(EpisodeRecord(episode, outcome, 0, 60.0, progress, steps))
    experiment = {"name": suite, "seed": 0, "plan": plan_hash(plan)}
    agent, protocol = {"name": "ours, drawn by chance"}, {"name": "lingbot-va"}
    directory(folder, plan, records, suite=experiment, agent=agent, protocol=protocol, regime="B")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m docs.pictures.plots FOLDER")
    main(Path(sys.argv[1]))
