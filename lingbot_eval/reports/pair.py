"""Two runs as one HTML file: which differences are real, and the episodes on which they disagree, side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from lingbot_eval.plain import plain
from lingbot_eval.reports import document, page, parts
from lingbot_eval.reports.compare import Comparison, Difference, method, p_text, sentences
from lingbot_eval.reports.parts import Group, Listing
from lingbot_eval.reports.table import label
from lingbot_eval.runs.contents import Contents
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


class TaskLine(msgspec.Struct, frozen=True):
    """A task, or a suite (``task`` empty), in both runs; rates and differences are fractions."""

    suite: str
    task: str
    a: float
    b: float
    trials: list[int]
    """One number for both, or A's and B's where they are not paired."""
    size: float
    """B less A."""
    low: float
    high: float
    only_a: int | None
    """Episodes in which A alone succeeded; None where they are not paired."""
    only_b: int | None
    p: float
    p_text: str
    """The text that ``compare`` prints: a browser rounds 0.0625 otherwise."""
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
    """That both runs have planned; empty where they are in parts."""
    version: str
    groups: list[Group]
    """The groups of the listing, in its order, by RANKS."""
    has: list[str]
    parts: str
    """These two are as in :class:`page.Page`."""


RANKS = ("a", "b", "neither", "both", "")
"""What became of an episode, in the order of the listing: A alone succeeded, B alone, none, both; empty: one of them
has no result."""


class Book:
    """The page of two runs, and the parts that belong to it."""

    def __init__(self, a: Contents, b: Contents, comparison: Comparison, warnings: Sequence[str], file: Path) -> None:
        self._file, self._a, self._b = file, _Side(a, file.parent), _Side(b, file.parent)
        theirs, ours = self._a, self._b
        both = set(ours.said.plan)
        self._plan = [episode for episode in theirs.said.plan if episode in both]
        self.listing = Listing(map(self._place, self._plan), len(RANKS))
        names = list(dict.fromkeys([*theirs.facts, *ours.facts]))
        has = {*theirs.lines.has(self._plan), *ours.lines.has(self._plan)}
        self.pair = Pair(
            names=(plain(str(a.folder.path)), plain(str(b.folder.path))),
            sentences=sentences(comparison),
            warnings=[plain(words) for words in (*warnings, *theirs.said.warnings(), *ours.said.warnings())],
            facts=[(name, theirs.facts.get(name, ""), ours.facts.get(name, "")) for name in names],
            method=method(comparison),
            paired=comparison.paired,
            tasks=[task_line(row) for row in comparison.differences],
            episodes=[] if self.listing.parts else [self._couple(episode) for episode in self._plan],
            version=f"{theirs.said.version}-{ours.said.version}",
            groups=self.listing.groups,
            has=sorted(has),
            parts=quote(os.fsencode(f"{file.stem}.parts")) + "/" if self.listing.parts else "",
        )

    def part(self, number: int) -> str:
        """The script of a part."""
        couples = [self._couple(self._plan[place]) for place in self.listing.part(number)]
        return parts.script(self.pair.version, number, couples)

    def write(self) -> None:
        """Raises NotReady where nothing can be written."""
        beside = self._file.with_name(f"{self._file.stem}.parts")
        parts.write(self._file, beside, self.pair, html, map(self.part, range(self.listing.parts)))

    def _couple(self, episode: Episode) -> Couple:
        return Couple(self._a.lines.line(episode), self._b.lines.line(episode))

    def _place(self, episode: Episode) -> tuple[str, str, int]:
        one, other = (side.said.final.get(episode.id) for side in (self._a, self._b))
        return label(episode), episode.task, RANKS.index(_result(one, other))


def _result(a: EpisodeRecord | None, b: EpisodeRecord | None) -> str:
    """One of RANKS."""
    if a is None or b is None or Outcome.ERROR in (a.outcome, b.outcome):
        return ""
    if a.outcome is b.outcome:
        return "both" if a.outcome is Outcome.SUCCESS else "neither"
    return "a" if a.outcome is Outcome.SUCCESS else "b"


class _Side:
    """One of the runs."""

    def __init__(self, said: Contents, base: Path) -> None:
        self.said = said
        self.facts = dict(page.facts(self.said.run, self.said.plan, self.said.records.final()))
        self.lines = page.Lines(self.said, base)


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
    return document.html(pair, "pair.js", bool(pair.parts))
