"""``lingbot-eval compare RUN_A RUN_B``: which differences are real; and before a run, which ones it could show."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from lingbot_eval.cli.places import content, place
from lingbot_eval.cli.report import warn
from lingbot_eval.cli.screen import screen
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.reports.methods import SUCCESS, Method, Run, published
from lingbot_eval.reports.published import by_task, files_of, require
from lingbot_eval.runs import contents
from lingbot_eval.runs.checks import compare as leaves
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.suites import installed

if TYPE_CHECKING:  # scipy.stats takes a second to import
    from lingbot_eval.reports.compare import Comparison, Side, Task
    from lingbot_eval.reports.stats import Count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", type=content, help="A and B; one with --published; several with --spread"
    )
    parser.add_argument("--anyway", action="store_true", help="compare across protocols; the result is marked")
    parser.add_argument(
        "--page", metavar="FILE.html", type=place, help="also as a page: every episode's videos side by side"
    )
    parser.add_argument(
        "--published", metavar="NAME|PERCENT", help="instead of A: a method of lingbot-eval ls published, or a rate"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="on how many episodes PERCENT was measured")
    parser.add_argument("--suite", help="the one that PERCENT speaks of, with its setting behind it ('NAME hard')")
    parser.add_argument("--spread", action="store_true", help="runs that differ in their seed alone: ± against chance")
    parser.add_argument("--sequential", action="store_true", help="also e-values: may trials on a robot stop here?")
    parser.add_argument(
        "--power", type=int, metavar="N", help="what N episodes in each run can show; RUNs are optional"
    )
    parser.add_argument(
        "--rate", type=float, metavar="PERCENT", help="about what --power expects, where there is no RUN"
    )


def run(given: argparse.Namespace) -> int:
    """Raises BadInput, UnknownName, CorruptRecords."""
    percent = _check(given)
    runs = [_read(path) for path in given.runs]
    if given.power is not None:
        _power(runs, given)
    elif percent is not None:
        _percent(runs[0], percent, given)
    elif given.published is not None:
        _published(runs[0], given.published)
    elif given.spread:
        _spread(runs)
    else:
        _compare(runs[0], runs[1], given)
    return 0


def _read(path: str) -> Side:
    from lingbot_eval.reports.compare import Side

    said = contents.read(RunDirectory(Path(path)))
    warn(said)
    return Side(said)


def _check(given: argparse.Namespace) -> float | None:
    """Return what --published gives in percent; None for a name. Raises BadInput for flags that do not go together."""
    asked = {name: getattr(given, name) for name in ("published", "power", "spread", "sequential")}
    modes = [name for name, value in asked.items() if value is not None and value is not False]
    if len(modes) > 1:
        raise BadInput(f"--{modes[0]} and --{modes[1]} are different questions: ask one at a time")
    mode = modes[0] if modes else "compare"
    fewest, most = {"published": (1, 1), "power": (0, 2), "spread": (2, 99)}.get(mode, (2, 2))
    if not fewest <= len(given.runs) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} or more" if most == 99 else f"{fewest} to {most}"
        raise BadInput(f"{'compare' if mode == 'compare' else f'--{mode}'} takes {wanted} RUN, got {len(given.runs)}")
    try:
        percent = None if given.published is None else float(given.published)
    except ValueError:  # a name
        percent = None
    for name, share in (("published", percent), ("rate", given.rate)):
        if share is not None and not 0 <= share <= 100:
            raise BadInput(f"--{name} is in percent, 0..100, got {share:g}")
    for name in ("trials", "power"):
        if (number := getattr(given, name)) is not None and number < 1:
            raise BadInput(f"--{name} counts episodes, 1 or more, got {number}")
    for name, needs, there in (
        ("trials", "published PERCENT", percent),
        ("suite", "published PERCENT", percent),
        ("rate", "power", given.power),
    ):
        if getattr(given, name) is not None and there is None:
            raise BadInput(f"--{name} belongs to --{needs}")
    if given.page is not None and mode not in ("compare", "sequential"):
        raise BadInput(f"--page shows two runs side by side: leave out --{mode}")
    if given.page is not None and not given.page.endswith(".html"):
        raise BadInput(f"--page needs a name that ends in .html, got {given.page}")
    if mode == "power" and bool(given.runs) == (given.rate is not None):
        raise BadInput("--power takes the rate from a RUN, or from --rate PERCENT: one of them")
    return percent


def _compare(a: Side, b: Side, given: argparse.Namespace) -> None:
    from lingbot_eval.reports.compare import between

    compared = between(a, b, given.anyway)
    _show(compared.comparison)
    _say(str(compared))
    if given.sequential:
        _sequential(a, b)
    if given.page is not None:
        from lingbot_eval.reports import pair

        unfinished = [f"{name} {run.words}" for name, run in (("A", a), ("B", b)) if run.missing]
        pair.Book(a.said, b.said, compared.comparison, [*compared.marks, *unfinished], Path(given.page)).write()
        _say(given.page)


def _show(comparison: Comparison) -> None:
    from lingbot_eval.reports import compare as reports

    table = Table(show_edge=False, pad_edge=False)
    table.add_column(reports.HEADINGS[0], overflow="fold")
    for heading in reports.HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for row in comparison.differences:
        table.add_row(*reports.texts(row), style="" if row.task else "bold", end_section=not row.task)
    screen().print(table)


def _rules(run: Side, *names: str) -> dict[str, object]:
    known = run.experiment.as_dict()
    return {name: known[name] for name in names}


def _sequential(a: Side, b: Side) -> None:
    from lingbot_eval.reports.compare import ALPHA, evidence

    planned = len(a.tasks & b.tasks)  # not those begun: the bound would rise with each, and an early claim fall
    bound = planned / ALPHA
    for (suite, task), values in evidence(a.trials, b.trials).items():
        clear = next((place for place, value in enumerate(values, start=1) if value >= bound), None)
        verdict = f"clear after {clear} pairs" if clear else "not clear: go on, or stop without a claim"
        _say(f"{suite} {task}: e = {values[-1]:.3g} after {len(values)} pairs in planned order; {verdict}.")
    _say(
        f"A difference is clear once e is {bound:.0f} or more (tasks planned: {planned}; {100 * ALPHA:.0f} % together)."
        " Looking after every pair is allowed (Turner, Ly and Grünwald 2024)."
    )


def _percent(run: Side, percent: float, given: argparse.Namespace) -> None:
    from lingbot_eval.reports.compare import against_published, counts

    known = counts(run.trials)
    suites = list(dict.fromkeys(suite for suite, _ in known))
    if given.suite is None and len(suites) > 1:
        raise BadInput(f"{run.path} has several suites; say which one was published: --suite {' | '.join(suites)}")
    if given.suite not in (None, *suites):
        raise UnknownName("suite of this run", given.suite, suites)
    chosen = [count for (suite, _), count in known.items() if suite == (given.suite or suites[0])]
    _say(run.words, f"{given.suite or suites[0]}: {against_published(chosen, percent / 100, given.trials)}")
    _say("Whether protocol and training are the published ones is not known here.")


def _published(run: Side, name: str) -> None:
    """Compare with the method ``name``, task by task where that is published, and with its means over all tasks of
    the benchmark."""
    from lingbot_eval.reports import compare as reports

    benchmark = run.experiment.suite.name
    require(benchmark, [name])
    ours = reports.counts(run.trials)
    reference = Run(str(run.path), run.experiment, (), {})
    _say(f"B  {run.words}")
    suite = installed(benchmark)
    for file in files_of(benchmark):
        for method in published(file, [name], reference):
            _say("", f"A  {method.name}, published: {'; '.join(method.notes)}.")
            _say(*(f"NOT COMPARABLE: {obstacle.replace('first method', 'the run')}." for obstacle in method.obstacles))
            if by_task(file):
                _beside_tasks(method, ours)
            else:
                _beside_averages(method, ours, suite.tasks_in if suite else {})


def _beside_averages(method: Method, ours: Mapping[Task, Count], known: Mapping[str, int]) -> None:
    """Compare with averages of ``method``; ``known`` says of how many tasks a published average of a part is."""
    from lingbot_eval.reports.compare import against_published, part_of

    for suite in dict.fromkeys(suite for suite, _ in ours):
        tasks = [count for (mine, _), count in ours.items() if mine == suite]
        score = method.scores.get((part_of(suite), "", SUCCESS))
        whole = known.get(part_of(suite), len(tasks))
        if score is None:
            _say(f"{suite}: nothing is published.")
        elif len(tasks) < whole:
            _say(
                f"{suite}: {score.printed} % is the mean of {whole} tasks, of which the run has {len(tasks)}: no test."
            )
        else:
            _say(f"{suite}: {against_published(tasks, score.value / 100, score.trials)}")


def _beside_tasks(method: Method, ours: Mapping[Task, Count]) -> None:
    from lingbot_eval.reports import compare as reports

    theirs = reports.published_counts(method, dict.fromkeys(suite for suite, _ in ours))
    if not theirs.keys() & ours.keys():
        _say("No task of the run is published with its number of trials: no test.")
        return
    comparison = reports.unpaired(theirs, ours)
    _show(comparison)
    _say(*reports.sentences(comparison), reports.method(comparison))


def _spread(runs: Sequence[Side]) -> None:
    from lingbot_eval.reports.compare import spreads

    for run in runs[1:]:
        same = ("agent", "checkpoint", "protocol", "facts", "regime")
        if differences := leaves(_rules(runs[0], *same), _rules(run, *same)):
            said = f"{'; '.join(differences)} (there: {runs[0].path}, here: {run.path})"
            raise BadInput(f"--spread is for runs that differ in their seed alone: {said}")
    for one, other in combinations(runs, 2):
        if common := len(one.trials.keys() & other.trials.keys()):
            raise BadInput(
                f"--spread is for runs of different seeds: {one.path} and {other.path} both played {common} episodes"
            )
    _say(*(run.words for run in runs))
    for suite, known in spreads([run.trials for run in runs]).items():
        verdict = "more than chance" if known.p < 0.05 else "no more than chance would"
        _say(
            f"{suite}: {100 * known.mean:.1f} ± {100 * known.deviation:.1f} % (standard deviation, {len(runs)} runs); "
            f"chance alone gives ± {100 * known.binomial:.1f}; they vary {verdict} (p = {known.p:.2g})."
        )


def _power(runs: Sequence[Side], given: argparse.Namespace) -> None:
    from lingbot_eval.reports import compare as reports

    if not runs:
        _say(*reports.foreseen(given.rate / 100, given.power))
        return
    marks = reports.cautions(runs[0], runs[1], given.anyway) if len(runs) == 2 else []
    _say(*(run.words for run in runs), *marks)
    for suite, rate in reports.rates(runs[0].trials).items():
        share = reports.disagreement(runs[0].trials, runs[1].trials, suite) if len(runs) == 2 else None
        _say(f"{suite}:", *reports.foreseen(rate, given.power, share))


def _say(*lines: str) -> None:
    for line in lines:
        screen().print(line)
