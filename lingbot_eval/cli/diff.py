"""``lingbot-eval diff A B``: are these the same experiment, and if not, what differs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingbot_eval.cli.places import content
from lingbot_eval.cli.report import warn
from lingbot_eval.cli.screen import screen
from lingbot_eval.reports.differences import Facts, differences, facts, outcome_differences, plan_differences
from lingbot_eval.runs import contents
from lingbot_eval.runs.contents import Contents
from lingbot_eval.runs.directory import RunDirectory

SAME = "The same experiment: nothing differs that can move a score."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", type=content, help="a run directory")
    parser.add_argument("b", metavar="B", type=content, help="another")


def diff(given: argparse.Namespace) -> int:
    """Return 0 where nothing differs that can move a score, 1 where something does.

    Raises BadInput and CorruptRecords.
    """
    a, b = (contents.read(RunDirectory(Path(path))) for path in (given.a, given.b))
    for said in (a, b):
        warn(said)
    found = differences(facts_of(a), facts_of(b))
    moving = [str(one) for one in found if one.why]
    causes = sum(one.name.startswith("suite.") for one in found)  # another seed: then the plans differ, too
    moving[causes:causes] = plan_differences(a.plan, b.plan)
    rest = [str(one) for one in found if not one.why]
    lines = ["What can move a score:", *(f"  {words}" for words in moving)] if moving else [SAME]
    if rest:
        lines += ["What moves none that we know of:", *(f"  {words}" for words in rest)]
    lines.append(outcome_differences(a.records.final(), b.records.final()))
    for line in lines:
        screen().print(line, soft_wrap=True)
    return 1 if moving else 0


def facts_of(said: Contents) -> Facts:
    known = [record.provenance for record in said.records.final().values() if record.provenance]
    return facts(said.run.experiment, known, [file.settings or {} for file in said.run.coordinators])
