"""Two runs as one HTML file: which differences are real, and the episodes on which they disagree, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lingbot_eval.reports import document, page
from lingbot_eval.reports.compare import Comparison, Difference, method, p_text, sentences
from lingbot_eval.suites.store import RunDirectory


class TaskLine(msgspec.Struct, frozen=True):
    """A task, or a suite (``task`` empty), in both runs; rates and differences are fractions."""

    suite: str
    task: str
    a: float
    b: float
    trials: list[int]
    """Of both, or of A and B where they are not paired."""
    size: float
    """B less A."""
    low: float
    high: float
    only_a: int | None
    """Episodes in which A alone succeeded; None where they are not paired."""
    only_b: int | None
    p: float
    p_text: str
    """As ``compare`` prints it: a browser rounds 0.0625 otherwise."""
    corrected: float | None
    """p after Holm's correction; None for a suite."""
    corrected_text: str
    effect: float
    """Cohen's h."""


class Couple(msgspec.Struct, frozen=True):
    """What came of one episode in A and in B."""

    a: page.EpisodeLine
    b: page.EpisodeLine


class Pair(msgspec.Struct, frozen=True):
    """What pair.js shows."""

    names: tuple[str, str]
    sentences: list[str]
    warnings: list[str]
    facts: list[tuple[str, str, str]]
    """What was run on what: name, in A, in B."""
    method: str
    paired: bool
    tasks: list[TaskLine]
    episodes: list[Couple]
    """That both runs have planned."""


def read(a: RunDirectory, b: RunDirectory, comparison: Comparison, warnings: Sequence[str], base: Path) -> Pair:
    """``base``: the folder of the page. Raises BadInput and CorruptRecords."""
    theirs, ours = _Side(a, base), _Side(b, base)
    names = list(dict.fromkeys([*theirs.facts, *ours.facts]))
    return Pair(
        names=(str(a.path), str(b.path)),
        sentences=sentences(comparison),
        warnings=[*warnings, *theirs.torn, *ours.torn],
        facts=[(name, theirs.facts.get(name, ""), ours.facts.get(name, "")) for name in names],
        method=method(comparison),
        paired=comparison.paired,
        tasks=[task_line(row) for row in comparison.differences],
        episodes=[Couple(theirs.lines[key], ours.lines[key]) for key in theirs.lines if key in ours.lines],
    )


class _Side:
    """One of the runs."""

    def __init__(self, folder: RunDirectory, base: Path) -> None:
        plan, records = folder.plan(), folder.records()
        self.facts = dict(page.facts(folder.run(), plan, records.final()))
        self.torn = records.torn
        self.lines = dict(zip(plan, page.episode_lines(folder, plan, records, base), strict=True))


def task_line(row: Difference) -> TaskLine:
    (a, b), (low, high), pairs = row.rates, row.interval, row.pairs
    return TaskLine(
        suite=row.suite,
        task=row.task,
        a=a,
        b=b,
        trials=[row.trials[0]] if pairs else list(row.trials),
        size=row.size,
        low=low,
        high=high,
        only_a=pairs.only_a if pairs else None,
        only_b=pairs.only_b if pairs else None,
        p=row.p,
        p_text=p_text(row.p),
        corrected=row.corrected,
        corrected_text="" if row.corrected is None else p_text(row.corrected),
        effect=row.effect,
    )


def html(pair: Pair) -> str:
    return document.html(pair, "pair.js")


def write(file: Path, a: RunDirectory, b: RunDirectory, comparison: Comparison, warnings: Sequence[str]) -> None:
    """Raises BadInput, CorruptRecords, and NotReady where nothing can be written."""
    document.write(file, html(read(a, b, comparison, warnings, file.parent)))
