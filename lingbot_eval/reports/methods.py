"""Methods to be put beside each other: what was run here, and what is published; and which of them may be compared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, stdev

from lingbot_eval.errors import BadInput
from lingbot_eval.reports.published import (
    AVERAGE,
    REGIMES,
    Claim,
    averages_that_do_not_follow,
    benchmark_of,
    by_task,
    claims,
    slug,
)
from lingbot_eval.reports.stats import Count, Interval
from lingbot_eval.reports.stats.intervals import stratified
from lingbot_eval.reports.stats.spread import ENOUGH_TASKS, clustered, spread
from lingbot_eval.reports.table import cell, lacking, percents, untrained
from lingbot_eval.runs.checks import compare
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.suites import installed
from lingbot_eval.types import Episode, EpisodeRecord

SUCCESS, PROGRESS = "SR", "PS"
"""SR = successes / trials; PS = mean over trials of progress / maximum."""

MEAN = AVERAGE
"""Part of the average over all parts."""

PUBLISHED_TRIALS = 20
"""Trials of a method at a task on a real robot (arXiv:2601.21998, appendix), where the protocol leaves them open."""

_MEASURES = {"success": SUCCESS, "progress": PROGRESS}
"""The measure of each column of a benchmark in one piece."""

Place = tuple[str, str, str]
"""(part, task, SUCCESS or PROGRESS): a part is a setting, or a suite where there are none; the task is empty for the
mean over the part's tasks."""


@dataclass(frozen=True)
class Score:
    """One number, in percent."""

    value: float
    trials: int | None
    """None: not stated."""
    spread: float | None = None
    """Standard deviation over seeds; None for one seed."""
    printed: str = ""
    """The number as it was published."""
    counts: tuple[Count, ...] = ()
    """The counts that it is the mean of: one for each task and seed; where an average alone is published one heap,
    which makes the interval a little wider. Empty where N is not stated."""

    @property
    def interval(self) -> Interval | None:
        """95 %, as fractions, for other episodes of the same tasks. Of PS it is at least as wide as needed: a share
        varies at most as much as a coin of its mean."""
        return stratified(self.counts) if self.counts else None


@dataclass(frozen=True)
class Method:
    """A row or column of a table."""

    name: str
    published: bool
    scores: Mapping[Place, Score]
    obstacles: tuple[str, ...] = ()
    """Why its numbers are not ranked with the others'; none: they are."""
    notes: tuple[str, ...] = ()
    """What a reader must know besides."""

    @property
    def parts(self) -> list[str]:
        return list(dict.fromkeys(part for part, _, measure in self.scores if measure == SUCCESS and part != MEAN))

    def tasks(self, part: str) -> list[str]:
        return [task for known, task, measure in self.scores if (known, measure) == (part, SUCCESS) and task]


@dataclass(frozen=True)
class Run:
    """What one run directory says."""

    label: str
    """How a message names it."""
    experiment: Experiment
    plan: Sequence[Episode]
    final: Mapping[str, EpisodeRecord]
    """Final records by episode id."""

    @property
    def benchmark(self) -> str:
        return self.experiment.suite.name


def methods(runs: Sequence[Run]) -> list[Method]:
    """One per experiment, in the given order. Runs that differ in nothing but their seed are seeds of one method, runs
    of other episodes with the same seed its parts. The first is what the others are compared with.

    Raises BadInput for runs of different benchmarks, and for episodes that were given twice.
    """
    first = runs[0]
    for run in runs:
        if run.benchmark != first.benchmark:
            raise BadInput(
                f"{first.label} is a run of {first.benchmark}, {run.label} of {run.benchmark}: they have no table in "
                "common; give the runs of one benchmark"
            )
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_identity(run), sort_keys=True, default=str), []).append(run)
    names = _names([group[0] for group in groups.values()])
    return [_method(group, name, first) for group, name in zip(groups.values(), names, strict=True)]


def _identity(run: Run) -> dict[str, object]:
    """All of the experiment but its seed and which episodes it plays."""
    return {name: value for name, value in run.experiment.as_dict().items() if name != "suite"}


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.experiment.agent_name for run in runs]
    names = [
        f"{name} {run.experiment.checkpoint[:8]}".strip() if Counter(names)[name] > 1 else name
        for name, run in zip(names, runs, strict=True)
    ]
    return [f"{name} #{names[: k + 1].count(name)}" if names.count(name) > 1 else name for k, name in enumerate(names)]


def _method(runs: Sequence[Run], name: str, first: Run) -> Method:
    for one, other in combinations(runs, 2):
        if twice := {episode.id for episode in one.plan} & {episode.id for episode in other.plan}:
            raise BadInput(
                f"{one.label} and {other.label} are the same experiment and both have {min(twice)} (and "
                f"{len(twice) - 1} more): give one of them, or runs with different --seed"
            )
    seeds: dict[int, list[Run]] = {}
    for run in runs:
        seeds.setdefault(run.experiment.suite.seed, []).append(run)
    experiment = runs[0].experiment
    played = [{_task(episode) for run in group for episode in run.plan} for group in seeds.values()]
    obstacles = _differences(experiment, first.experiment) + _unfinished(runs)
    obstacles += [] if all(tasks == played[0] for tasks in played) else ["its seeds played different tasks"]
    scores = _over_seeds([_scores(group) for group in seeds.values()])
    words = ", ".join(str(seed) for seed in seeds)
    notes = [
        f"protocol {experiment.rules}, training regime {experiment.regime}, "
        f"base seed{'s' if len(seeds) > 1 else ''} {words}"
    ]
    notes += _untrained(runs)
    notes += _doubts(scores)
    if len(seeds) > 1:
        notes.append(_seeds_against_chance(list(seeds.values())))
    return Method(name, False, scores, tuple(obstacles), tuple(notes))


def _untrained(runs: Sequence[Run]) -> list[str]:
    """Name the tasks that the training data lacks, where it is known."""
    episodes = [episode for run in runs for episode in untrained(run.plan, run.experiment.trained)]
    words = lacking((episode.task for episode in episodes), "its training data")
    return [words.removesuffix(".")] if words else []


def _doubts(scores: Mapping[Place, Score]) -> list[str]:
    """The two intervals of each part's SR."""
    here, elsewhere = [], []
    for (part, task, measure), score in scores.items():
        if task or measure != SUCCESS or part == MEAN or not score.interval:
            continue
        here.append(f"{part} {percents(score.interval)}")
        counts = [one.counts for place, one in scores.items() if place[0] == part and place[1] and place[2] == SUCCESS]
        if len(counts) >= ENOUGH_TASKS:
            tasks = [Count(*map(sum, zip(*seeds, strict=True))) for seeds in counts]
            elsewhere.append(f"{part} {percents(clustered(tasks))}")
    found = [f"95 % intervals of SR: {', '.join(here)}"] if here else []
    return found + ([f"on new tasks of the kind (clustered by task): {', '.join(elsewhere)}"] if elsewhere else [])


def _seeds_against_chance(seeds: Sequence[Sequence[Run]]) -> str:
    """What ± means, and how far seeds would be apart by chance."""
    heaps: dict[str, list[Count]] = {}
    for runs in seeds:
        episodes = [(episode, run.final) for run in runs for episode in run.plan]
        for part in dict.fromkeys(_task(episode)[0] for episode, _ in episodes):
            known = [cell([episode], final) for episode, final in episodes if _task(episode)[0] == part]
            heap = Count(sum(one.successes for one in known), sum(one.trials for one in known))
            if heap.trials:
                heaps.setdefault(part, []).append(heap)
    chance = [f"{part} ± {100 * spread(runs).binomial:.1f}" for part, runs in heaps.items() if len(runs) > 1]
    words = f"± is the standard deviation over {len(seeds)} seeds"
    return words + (f"; chance alone would give {', '.join(chance)}" if chance else "")


def _differences(experiment: Experiment, reference: Experiment) -> list[str]:
    """Say in what it was played otherwise."""
    facts = ("protocol", "facts", "protocol_hash", "regime")
    theirs, ours = ({name: getattr(which, name) for name in facts} for which in (experiment, reference))
    found = [words.replace("there ", "", 1).replace("here ", "first method ", 1) for words in compare(theirs, ours)]
    return ["; ".join(found)] if found else []


def _unfinished(runs: Sequence[Run]) -> list[str]:
    cells = [cell(run.plan, run.final) for run in runs]
    errors, missing = sum(c.errors for c in cells), sum(c.planned - c.trials - c.errors for c in cells)
    found = [f"{_counted(errors, 'episode')} ended in ERROR"] if errors else []
    found += [f"{_counted(missing, 'episode')} not played yet"] if missing else []
    of_a_task = runs[0].experiment.conventions.episodes_per_task
    if not of_a_task:  # a robot's: sessions add up
        planned, asked = min(Counter(_task(episode) for run in runs for episode in run.plan).values()), PUBLISHED_TRIALS
        whose = "published ones are of"
    else:
        planned = min(count for run in runs for count in Counter(map(_task, run.plan)).values())
        asked, whose = of_a_task, "the protocol has"
    if planned < asked:
        found.append(f"N too small: {_counted(planned, 'episode')} of a task, {whose} {asked}")
    return found


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _task(episode: Episode) -> tuple[str, str]:
    return episode.setting or episode.suite, episode.task


def _scores(runs: Sequence[Run]) -> dict[Place, Score]:
    """Score one seed: each task, and each part's mean over its tasks."""
    episodes: dict[tuple[str, str], list[Episode]] = {}
    final: dict[str, EpisodeRecord] = {}
    for run in runs:
        final |= run.final
        for episode in run.plan:
            episodes.setdefault(_task(episode), []).append(episode)
    scores: dict[Place, Score] = {}
    for (part, task), planned in episodes.items():
        known = cell(planned, final)
        for measure, share in ((SUCCESS, known.rate), (PROGRESS, known.progress)):
            if share is not None:
                counts = (Count(share * known.trials, known.trials),)
                scores[part, task, measure] = Score(100 * share, known.trials, counts=counts)
    return scores | _means(scores)


def _means(scores: Mapping[Place, Score]) -> dict[Place, Score]:
    """Average each part over its tasks, and all parts."""
    tasks: dict[tuple[str, str], list[Score]] = {}
    for (part, _, measure), score in scores.items():
        tasks.setdefault((part, measure), []).append(score)
    means = {(part, "", measure): mean(known) for (part, measure), known in tasks.items()}
    if success := [score for (_, _, measure), score in means.items() if measure == SUCCESS]:
        means[MEAN, "", SUCCESS] = mean(success)
    return means


def mean(scores: Sequence[Score]) -> Score:
    """Macro average: every task counts the same, however many trials it has."""
    trials = [score.trials for score in scores if score.trials is not None]
    return Score(
        fmean(score.value for score in scores),
        sum(trials) if len(trials) == len(scores) else None,
        counts=tuple(count for score in scores for count in score.counts) if all(s.counts for s in scores) else (),
    )


def _over_seeds(seeds: Sequence[Mapping[Place, Score]]) -> dict[Place, Score]:
    """Average what every seed has."""
    joined = {}
    for place in dict.fromkeys(place for scores in seeds for place in scores):
        known = [scores[place] for scores in seeds if place in scores]
        deviation = stdev(score.value for score in known) if len(known) > 1 else None
        joined[place] = replace(mean(known), spread=deviation)
    return joined


def published(name: str, wanted: Sequence[str], reference: Run | None = None) -> list[Method]:
    """The methods of a file of ``reports/published`` with these slugs, in the order of ``wanted``: one for each
    training regime that it is published for, with what disagrees in its notes. Without a reference nothing is an
    obstacle."""
    found = []
    for method in wanted:
        of_method = [claim for claim in claims(name) if slug(claim.method) == method]
        for regime in dict.fromkeys(claim.regime for claim in of_method):
            found.append(_published(name, [claim for claim in of_method if claim.regime == regime], reference))
    return found


def _published(name: str, rows: Sequence[Claim], reference: Run | None) -> Method:
    places: dict[Place, list[Claim]] = {}
    scores: dict[Place, Score] = {}
    for claim in rows:
        for column, percent in claim.percents.items():
            place = _place(name, claim.task, column)
            places.setdefault(place, []).append(claim)
            deviation = claim.spreads.get(column)
            score = Score(
                float(percent),
                claim.trials,
                None if deviation is None else float(deviation),
                str(percent),
                (Count(float(percent) * claim.trials / 100, claim.trials),) if claim.trials else (),
            )
            scores.setdefault(place, score)
    if by_task(name):
        scores |= _means(scores)
    first = rows[0]
    notes = [f"{first.kind}, {first.source}" + (f" ({first.note})" if first.note else "")]
    notes += _disagreements(name, rows)
    notes += [sentence for claim, sentence in averages_that_do_not_follow() if claim in rows]
    if not first.protocol:
        notes.append("its source names no protocol")
    obstacles = _other_rules(first, reference.experiment) if reference else []
    return Method(first.method, True, scores, tuple(obstacles), tuple(notes))


def _place(name: str, task: str, column: str) -> Place:
    """Where a rate of a file belongs: to the part whose heading it is or, in a benchmark in one piece, to that."""
    suite = installed(benchmark := benchmark_of(name))
    headings = {heading.lower(): part for part, heading in suite.paper.parts.items()} if suite and suite.paper else {}
    if column not in headings and column in _MEASURES:
        return benchmark, task, _MEASURES[column]
    return headings.get(column, column), task, SUCCESS


def _disagreements(name: str, rows: Sequence[Claim]) -> list[str]:
    """What later rows say otherwise, source by source."""
    first: dict[Place, str] = {}
    others: dict[str, list[str]] = {}
    for claim in rows:
        for column, percent in claim.percents.items():
            known = first.setdefault(_place(name, claim.task, column), str(percent))
            if float(known) != float(percent):
                words = f"{claim.task} {column} {percent}".strip()
                others.setdefault(f"{claim.kind}, {claim.source}", []).append(words)
    said = "; ".join(f"{', '.join(words)} ({source})" for source, words in others.items())
    return [f"sources disagree: {said}"] if said else []


def _other_rules(claim: Claim, experiment: Experiment) -> list[str]:
    found = []
    if claim.regime and claim.regime != experiment.regime:
        meaning = f"{claim.regime} ({REGIMES[claim.regime]})"
        found.append(f"training regime {meaning}; first method {experiment.regime}")
    if claim.protocol and claim.protocol != experiment.protocol_name:
        found.append(f"protocol {claim.protocol}; first method {experiment.protocol_name}")
    return found
