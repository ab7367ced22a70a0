"""Which differences between two runs are real: task by task, over a suite's tasks, and in a sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from lingbot_eval.errors import BadInput
from lingbot_eval.plain import plain
from lingbot_eval.reports.methods import SUCCESS, Method
from lingbot_eval.reports.stats import Count, Interval
from lingbot_eval.reports.stats.holm import holm
from lingbot_eval.reports.stats.intervals import difference, macro, score_interval, stratified, wilson
from lingbot_eval.reports.stats.paired import (
    FEW,
    Pairs,
    difference_interval,
    mcnemar,
    mean_difference,
    odds_ratio,
    pooled,
)
from lingbot_eval.reports.stats.power import POWER, detectable_gain, detectable_loss, detectable_paired
from lingbot_eval.reports.stats.sequential import e_values
from lingbot_eval.reports.stats.spread import ENOUGH_TASKS, Spread, clustered, spread
from lingbot_eval.reports.stats.unpaired import cohens_h, fisher, mantel_haenszel, unpaired_test
from lingbot_eval.reports.table import label, lacking, percents, untrained
from lingbot_eval.runs.checks import compare as leaves
from lingbot_eval.runs.contents import Contents
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
"""A difference is called one below this p."""

Trials = Mapping[Episode, bool]
"""Whether each episode succeeded, in planned order; ERRORs and what was not played are left out."""

Task = tuple[str, str]
"""A suite with its setting (:func:`label`), and a task."""


def trials(plan: Sequence[Episode], final: Mapping[str, EpisodeRecord]) -> Trials:
    return {
        episode: final[episode.id].outcome is Outcome.SUCCESS
        for episode in plan
        if episode.id in final and final[episode.id].outcome is not Outcome.ERROR
    }


def counts(run: Trials) -> dict[Task, Count]:
    return {task: Count(sum(outcomes), len(outcomes)) for task, outcomes in _by_task(run).items()}


@dataclass(frozen=True)
class Stratum:
    """One task in both runs."""

    a: Count
    b: Count
    pairs: Pairs | None
    """None for runs without a common episode."""


@dataclass(frozen=True)
class Difference:
    """B less A, on a task or over a suite's tasks (``task`` empty), each of which counts the same."""

    suite: str
    task: str
    strata: Sequence[Stratum]
    size: float
    interval: Interval
    """95 %, for other episodes of these tasks."""
    p: float
    corrected: float | None = None
    """p after Holm's correction over all tasks; None for a suite."""

    @property
    def rates(self) -> tuple[float, float]:
        return macro([s.a for s in self.strata]), macro([s.b for s in self.strata])

    @property
    def trials(self) -> tuple[int, int]:
        return sum(s.a.trials for s in self.strata), sum(s.b.trials for s in self.strata)

    @property
    def pairs(self) -> Pairs | None:
        known = [s.pairs for s in self.strata if s.pairs is not None]
        return pooled(known) if known else None

    @property
    def effect(self) -> float:
        """Cohen's h."""
        return cohens_h(*self.rates)


@dataclass(frozen=True)
class Comparison:
    """How runs A and B differ."""

    differences: list[Difference]
    """Each suite's tasks in A's order, then the suite, as the rows of a table."""
    paired: bool
    left_out: tuple[int, int]
    """Trials of A and of B that have no counterpart in the other."""


def compare(a: Trials, b: Trials) -> Comparison:
    """Compare on the episodes that both have played or, where there are none, on the tasks.

    Raises ValueError for runs without a common task.
    """
    common = [episode for episode in a if episode in b]
    if not common:
        return unpaired(counts(a), counts(b))
    theirs, ours = (_by_task({episode: run[episode] for episode in common}) for run in (a, b))
    strata = {}
    for task, outcomes in theirs.items():
        pairs = list(zip(outcomes, ours[task], strict=True))
        disagreement = Pairs(pairs.count((True, False)), pairs.count((False, True)), len(pairs))
        strata[task] = Stratum(Count(sum(outcomes), len(pairs)), Count(sum(ours[task]), len(pairs)), disagreement)
    return Comparison(_differences(strata), True, (len(a) - len(common), len(b) - len(common)))


def unpaired(a: Mapping[Task, Count], b: Mapping[Task, Count]) -> Comparison:
    """Compare on the tasks that both have.

    Raises ValueError where there are none.
    """
    strata = {task: Stratum(count, b[task], None) for task, count in a.items() if task in b}
    if not strata:
        raise ValueError("no task in common")
    left_out = [sum(count.trials for task, count in run.items() if task not in strata) for run in (a, b)]
    return Comparison(_differences(strata), False, (left_out[0], left_out[1]))


def _differences(strata: Mapping[Task, Stratum]) -> list[Difference]:
    tasks = [_difference(suite, task, [stratum]) for (suite, task), stratum in strata.items()]
    corrected = holm([task.p for task in tasks])
    tasks = [dataclasses.replace(task, corrected=p) for task, p in zip(tasks, corrected, strict=True)]
    rows = []
    for suite in dict.fromkeys(task.suite for task in tasks):
        mine = [task for task in tasks if task.suite == suite]
        rows += [*mine, _difference(suite, "", [stratum for task in mine for stratum in task.strata])]
    return rows


def _by_task(run: Trials) -> dict[Task, list[bool]]:
    tasks: dict[Task, list[bool]] = {}
    for episode, won in run.items():
        tasks.setdefault((label(episode), episode.task), []).append(won)
    return tasks


def _difference(suite: str, task: str, strata: Sequence[Stratum]) -> Difference:
    pairs = [s.pairs for s in strata if s.pairs is not None]
    if pairs:
        return Difference(
            suite, task, strata, mean_difference(pairs), difference_interval(pairs), mcnemar(pooled(pairs))
        )
    a, b = [s.a for s in strata], [s.b for s in strata]
    rates = macro(a), macro(b)
    p = fisher(a[0], b[0]) if len(strata) == 1 else mantel_haenszel(list(zip(a, b, strict=True)))
    return Difference(suite, task, strata, rates[1] - rates[0], difference(rates, (stratified(a), stratified(b))), p)


class Side:
    """A run as one of the two that are compared. Raises BadInput for one that has no finished episode."""

    def __init__(self, said: Contents) -> None:
        self.said, self.path = said, said.folder.path
        self.experiment = said.run.experiment
        self.tasks = {(label(episode), episode.task) for episode in said.plan}
        self.trials = trials(said.plan, said.final)
        self.missing = len(said.plan) - len(self.trials)
        if not self.trials:
            raise BadInput(f"{self.path} has no finished episode")

    @property
    def words(self) -> str:
        """What was run, and whether all of it was."""
        experiment = self.experiment
        text = f"{self.path}: {experiment.player}, protocol {experiment.rules}, "
        text += f"training regime: {experiment.regime}, {len(self.trials)} episodes"
        return text + (f"; NOT FINAL: {self.missing} ended in ERROR or were not played" if self.missing else "")


@dataclass(frozen=True, repr=False)
class Compared:
    """Two runs and what they say about each other. It prints as its sentences."""

    a: Side
    b: Side
    comparison: Comparison
    marks: Sequence[str]
    """What a reader has to know before believing the difference."""

    def __repr__(self) -> str:
        said = [*sentences(self.comparison), *self.marks, method(self.comparison)]
        return "\n".join(plain(line) for line in (f"A  {self.a.words}", f"B  {self.b.words}", *said))

    def table(self) -> pd.DataFrame:
        """The numbers, a row per task and, with an empty ``task``, per suite: ``a`` and ``b`` are the rates,
        ``difference`` is B less A with its 95 % interval (``low``, ``high``), ``only_a`` and ``only_b`` count the
        episodes in which one alone succeeded, ``p_holm`` is ``p`` corrected over all tasks, ``h`` is Cohen's."""
        from lingbot_eval.reports import frames

        return frames.differences(self.comparison)


def between(a: Side, b: Side, anyway: bool = False) -> Compared:
    """Raises BadInput for runs without a common task, and where the rules differ, unless ``anyway``."""
    marks = cautions(a, b, anyway)
    try:
        return Compared(a, b, compare(a.trials, b.trials), marks)
    except ValueError as error:
        raise BadInput(f"{a.path} and {b.path} have {error}") from None


def cautions(a: Side, b: Side, anyway: bool) -> list[str]:
    """What a reader has to know before believing the difference.

    Raises BadInput where the rules differ, unless ``anyway``.
    """
    marks = []
    benchmarks = [run.experiment.suite.name for run in (a, b)]
    if benchmarks[0] != benchmarks[1]:
        raise BadInput(f"{a.path} is a run of {benchmarks[0]}, {b.path} of {benchmarks[1]}: no task in common")
    if a.experiment.protocol_hash != b.experiment.protocol_hash:
        theirs, ours = ({"protocol": run.experiment.protocol, "facts": run.experiment.facts} for run in (a, b))
        differences = "; ".join(leaves(theirs, ours)).replace(": there ", ": A ").replace(", here ", ", B ")
        if not anyway:
            raise BadInput(
                f"the runs were played under different protocols: {differences}. --anyway (in Python: anyway=True) "
                "compares and marks"
            )
        marks.append(f"NOT COMPARABLE: the protocols differ: {differences}.")
    if a.experiment.regime != b.experiment.regime:
        marks.append(f"The training regimes differ: A {a.experiment.regime}, B {b.experiment.regime}.")
    for name, side in (("A", a), ("B", b)):
        tasks = (episode.task for episode in untrained(side.said.plan, side.experiment.trained))
        marks += filter(None, [lacking(tasks, f"The training data of {name}")])
    return marks


HEADINGS = ("Task", "A %", "B %", "N", "B − A pp", "95 % interval", "A alone", "B alone", "p", "p Holm", "h")


def texts(row: Difference) -> tuple[str, ...]:
    """Give the cells under HEADINGS, for people."""
    (a, b), pairs = row.rates, row.pairs
    low, high = row.interval
    numbers = f"{row.trials[0]}" if pairs else f"{row.trials[0]}, {row.trials[1]}"
    alone = (str(pairs.only_a), str(pairs.only_b)) if pairs else ("", "")
    corrected = "" if row.corrected is None else p_text(row.corrected)
    name = row.task or f"{row.suite}, all tasks"
    interval = f"{points(low)} to {points(high)}"
    values = (f"{100 * a:.1f}", f"{100 * b:.1f}", numbers, points(row.size), interval)
    return (name, *values, *alone, p_text(row.p), corrected, f"{row.effect:+.2f}".replace("-", "−"))


def sentences(comparison: Comparison) -> list[str]:
    """One per suite, to be read aloud."""
    said = []
    for suite in (row for row in comparison.differences if not row.task):
        tasks = [row for row in comparison.differences if row.suite == suite.suite and row.task]
        clear = [row for row in tasks if row.corrected is not None and row.corrected < ALPHA]
        better, worse = (sum(sign * row.size > 0 for row in clear) or "none" for sign in (1, -1))
        low, high = suite.interval
        said.append(
            f"{suite.suite}: B is better on {better} of {_tasks(len(tasks))} and worse on {worse} after correction; "
            f"overall {points(suite.size)} pp, 95 % interval {points(low)} to {points(high)}, p = {p_text(suite.p)}."
        )
    return said


def method(comparison: Comparison) -> str:
    """How the numbers came about."""
    out_a, out_b = comparison.left_out
    if comparison.paired:
        n = sum(row.trials[0] for row in comparison.differences if row.task)
        text = f"Paired: the {n} episodes that both played"
        text += f" ({out_a} of A and {out_b} of B left out)" if out_a or out_b else ""
        text += "; exact McNemar tests, intervals by paired bootstrap within tasks (Bonett and Price's where fewer "
        text += f"than {FEW} episodes came out unlike most)."
    else:
        text = "UNPAIRED: no episode in common"
        text += f" ({out_a} of A and {out_b} of B are of tasks that only one played)" if out_a or out_b else ""
        text += "; Fisher's exact test per task, Mantel-Haenszel over tasks, Newcombe's intervals within tasks."
    text += " They speak of other episodes of these tasks. Every task counts the same; h is Cohen's."
    for suite in (row for row in comparison.differences if not row.task):
        text += f" {suite.suite}, each run for itself: A {_known([s.a for s in suite.strata])}, "
        text += f"B {_known([s.b for s in suite.strata])}."
        if suite.pairs and isfinite(ratio := odds_ratio(suite.pairs)):
            text += f" Where they disagree, B alone succeeds {ratio:.2g} times as often as A alone."
    return text


def _known(tasks: Sequence[Count]) -> str:
    text = f"{percents(stratified(tasks))} % on these tasks"
    return text + (
        f" and {percents(clustered(tasks))} % on new tasks of the kind" if len(tasks) >= ENOUGH_TASKS else ""
    )


def published_counts(method: Method, suites: Iterable[str]) -> dict[Task, Count]:
    """Give the counts of each task of these suites that is published with the number of its trials."""
    return {
        (suite, task): Count(round(score.value * score.trials / 100), score.trials)
        for suite in suites
        for (part, task, measure), score in method.scores.items()
        if part == part_of(suite) and task and measure == SUCCESS and score.trials
    }


def part_of(suite: str) -> str:
    """Name the suite as :class:`Method` does: by its setting, or as it is where there are none."""
    return suite.partition(" ")[2] or suite


def against_published(tasks: Sequence[Count], rate: float, n: int | None) -> str:
    """A run's mean over tasks beside a published ``rate``, measured on ``n`` episodes if somebody says so."""
    mean, interval = macro(tasks), stratified(tasks)
    run = Count(sum(task.successes for task in tasks), sum(task.trials for task in tasks))
    words = f"{100 * mean:.2f} % on {run.trials} episodes of {_tasks(len(tasks))} against {100 * rate:.2f} % published"
    if n is None:
        return f"{words}, on how many episodes is not stated: no test. The run alone: {percents(interval)} %."
    published = Count(round(rate * n), n)
    low, high = difference((rate, mean), (wilson(*published), interval))
    test, p = unpaired_test(published, run)
    return (
        f"{words} (measured on {n} episodes; {test}): {points(mean - rate)} pp, 95 % interval "
        f"{points(low)} to {points(high)}, p = {p_text(p)}."
    )


def spreads(runs: Sequence[Trials]) -> dict[str, Spread]:
    """Measure, for each suite that all have played, how far runs are apart that differ in their seed alone."""
    heaps = {suite: [_heap(run, suite) for run in runs] for suite in dict.fromkeys(map(label, runs[0]))}
    return {suite: spread(heap) for suite, heap in heaps.items() if all(count.trials for count in heap)}


def _heap(run: Trials, suite: str) -> Count:
    outcomes = [won for episode, won in run.items() if label(episode) == suite]
    return Count(sum(outcomes), len(outcomes))


def evidence(a: Trials, b: Trials) -> dict[Task, list[float]]:
    """Give each task's e-values after each pair: the first episode of A with the first of B, and so on as planned."""
    ours = _by_task(b)
    return {task: e_values(zip(won, ours[task], strict=False)) for task, won in _by_task(a).items() if task in ours}


SHARES = (0.02, 0.05, 0.1)
"""Shares of episodes on which two runs may disagree, to show before there are two runs."""


def foreseen(rate: float, n: int, share: float | None = None) -> list[str]:
    """What ``n`` episodes in each run can show near ``rate``; ``share``: of episodes that the runs disagree on."""
    low, high = score_interval(rate, n)
    gain, loss = detectable_gain(rate, n), detectable_loss(rate, n)
    lines = [
        f"{n} episodes near {100 * rate:.1f} %: the rate itself will be known to {100 * low:.1f}–{100 * high:.1f} %.",
        f"  on different episodes: {_size('rise', gain)}, {_size('fall', loss)}",
    ]
    for known in SHARES if share is None else (share,):
        size = _size("difference", detectable_paired(known, n))
        lines.append(f"  on the same episodes, if the runs disagree on {100 * known:.1f} % of them: {size}")
    found = f"found in {100 * POWER:.0f} of 100 such comparisons, at p < {ALPHA} (one test, no correction)."
    return [*lines, found]


def _size(kind: str, detectable: float | None) -> str:
    return f"no {kind}" if detectable is None else f"a {kind} of {100 * detectable:.1f} pp"


def rates(run: Trials) -> dict[str, float]:
    """Give each suite's rate: the mean over its tasks."""
    known = counts(run)
    suites = dict.fromkeys(suite for suite, _ in known)
    return {suite: macro([count for (mine, _), count in known.items() if mine == suite]) for suite in suites}


def disagreement(a: Trials, b: Trials, suite: str) -> float | None:
    """Give the share of the suite's episodes that both played on which they disagree; None where there are none."""
    common = [episode for episode in a if episode in b and label(episode) == suite]
    return sum(a[episode] != b[episode] for episode in common) / len(common) if common else None


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def points(share: float) -> str:
    """Write a share in percentage points, with a sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def p_text(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"
