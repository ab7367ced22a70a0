"""``lingbot-eval diff A B``: are these the same experiment, and if not, what differs."""

from __future__ import annotations

import argparse
from pathlib import Path

from lingbot_eval.cli.report import screen
from lingbot_eval.reports.differences import Facts, differences, facts, outcome_differences, plan_differences
from lingbot_eval.suites.store import RunDirectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a run directory")
    parser.add_argument("b", metavar="B", help="another")


def diff(given: argparse.Namespace) -> int:
    """0: nothing differs that can move a score; 1: something does.

    Raises BadInput and CorruptRecords.
    """
    a, b = RunDirectory(Path(given.a)), RunDirectory(Path(given.b))
    found = differences(facts_of(a), facts_of(b))
    moving = [*plan_differences(a.plan(), b.plan()), *(str(one) for one in found if one.why)]
    say = screen().print
    if moving:
        say("What can move a score:")
    else:
        say("The same experiment: nothing differs that can move a score.")
    for words in moving:
        say(f"  {words}", highlight=False, markup=False, soft_wrap=True)
    rest = [str(one) for one in found if not one.why]
    if rest:
        say("What moves none that we know of:")
    for words in rest:
        say(f"  {words}", highlight=False, markup=False, soft_wrap=True)
    say(outcome_differences(a.records().final(), b.records().final()), highlight=False, markup=False, soft_wrap=True)
    return 1 if moving else 0


def facts_of(folder: RunDirectory) -> Facts:
    """Raises BadInput and CorruptRecords."""
    run = folder.run()
    known = [record.provenance for record in folder.records().final().values() if record.provenance]
    return facts(run["experiment"], known, [session.get("settings", {}) for session in run["sessions"]])
