"""``lingbot-eval plot RUN``: the run's pictures, in ``RUN/report``."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=content)
    parser.add_argument("--against", metavar="A,B", default="", help="also beside published methods, by name")


def plot(given: argparse.Namespace) -> int:
    """Raises BadInput and CorruptRecords, NotReady without matplotlib or where nothing can be written."""
    if importlib.util.find_spec("matplotlib") is None:
        raise NotReady("plots need matplotlib: pip install 'lingbot_eval[report]'")
    from lingbot_eval.reports import plots

    folder = RunDirectory(Path(given.run))
    said = contents.read(folder)
    warn(said)
    run = run_of(said)
    figures = plots.of_run(table.rows(run.plan, run.final), run.final)
    if figures and given.against:
        shown = _beside(run, listed(given.against))
        if len(shown) > len(plots.COLOURS):
            raise BadInput(f"--against: {len(shown) - 1} methods are too many for one picture; name fewer")
        figures["against-published"] = plots.against_published(shown)
    target = folder.path / "report"
    try:
        files.made(target)
        drawn = plots.write(target, figures)
    except OSError as error:
        raise NotReady(f"cannot write to {target}: {error.strerror}") from None
    if not drawn:
        say(f"{folder.path} has no trial yet: nothing to draw")
    for file in drawn:
        say(file)
    return 0


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
