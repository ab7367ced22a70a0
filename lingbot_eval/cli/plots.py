"""``lingbot-eval plot RUN``: the pictures of a run, or of a training, in ``RUN/report``."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lingbot_eval import files
from lingbot_eval.cli.places import content
from lingbot_eval.cli.report import listed, run_of, warn
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say
from lingbot_eval.reports import table
from lingbot_eval.reports.methods import Method, Run, methods, published
from lingbot_eval.reports.paper_tables import complete
from lingbot_eval.reports.published import files_of, require
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.suites import installed
from lingbot_eval.training import curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING = "train.json"
"""A folder with this file holds a training."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument("--against", metavar="A,B", default="", help="also beside published methods, by name")


def plot(given: argparse.Namespace) -> int:
    """Raises BadInput and CorruptRecords, NotReady without matplotlib or where nothing can be written."""
    if importlib.util.find_spec("matplotlib") is None:
        raise NotReady("plots need matplotlib: pip install 'lingbot_eval[report]'")
    from lingbot_eval.reports import plots

    folder = Path(given.run)
    figures = _of_a_training(folder) if (folder / TRAINING).exists() else _of_a_run(folder, listed(given.against))
    target = folder / "report"
    try:
        files.made(target)
        drawn = plots.write(target, figures)
    except OSError as error:
        raise NotReady(f"cannot write to {target}: {error.strerror}") from None
    if not drawn:
        say(f"{folder} has no trial yet: nothing to draw")
    for file in drawn:
        say(file)
    return 0


def _of_a_training(folder: Path) -> dict[str, Figure]:
    from lingbot_eval.reports.training_curve import training_curve

    try:
        figure = training_curve(curve.read(folder / "curve.jsonl"))
    except FileNotFoundError:
        figure = None
    if figure is None:
        raise NotReady(f"{folder} is a training that has not taken a step yet; plot it when it has")
    return {"curve": figure}


def _of_a_run(folder: Path, against: Sequence[str]) -> dict[str, Figure]:
    from lingbot_eval.reports import plots

    said = contents.read(RunDirectory(folder))
    warn(said)
    run = run_of(said)
    figures = plots.of_run(table.rows(run.plan, run.final), run.final)
    if figures and against:
        shown = _beside(run, against)
        if len(shown) > len(plots.COLOURS):
            raise BadInput(f"--against: {len(shown) - 1} methods are too many for one picture; name fewer")
        figures["against-published"] = plots.against_published(shown)
    return figures


def _beside(run: Run, names: Sequence[str]) -> list[Method]:
    """Return ours, then each of ``names``: its tasks where they are published, else its averages."""
    require(run.benchmark, names)
    shown = methods([run])
    if suite := installed(run.benchmark):
        shown = [complete(ours, suite.tasks_in) for ours in shown]
    for name in names:
        files = reversed(files_of(run.benchmark))
        shown += next(found for file in files if (found := published(file, [name], run)))
    return shown
