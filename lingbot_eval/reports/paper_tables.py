"""The tables that papers print, from methods: by setting, by task with classes of horizons, by part, or task by task
with intervals. Which of them a benchmark has, its ``Suite.paper`` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from string import ascii_lowercase

from lingbot_eval.reports.methods import MEAN, PROGRESS, SUCCESS, Method, Score, mean
from lingbot_eval.reports.sheet import Cell, Sheet, ranked
from lingbot_eval.suites import installed
from lingbot_eval.suites.paper import Paper
from lingbot_eval.suites.suite import Suite

RULES = "Bold: best, underlined: second of a column, among what may be compared with the first method; = ties."
DEFINITIONS = "SR = successes / N, in percent"
NOTHING = Cell("–")


def sheets(benchmark: str, of_file: Callable[[str], Sequence[Method]]) -> list[Sheet]:
    """A benchmark's tables, in the shapes that papers print. ``of_file``: the methods to show, given the name of the
    file of published numbers that the table is beside."""
    suite = installed(benchmark)
    if suite is None or suite.paper is None:
        return [tasks(of_file(benchmark), benchmark)]
    paper, whole = suite.paper, _whole(suite, suite.paper)
    if not suite.settings:
        return [by_part(of_file(benchmark), paper, whole)]
    found = [by_setting(of_file(benchmark), paper, whole)]
    return [*found, by_task(of_file(f"{benchmark}_tasks"), paper)] if paper.horizons else found


def _whole(suite: Suite, paper: Paper) -> dict[str, int]:
    """How many tasks each column is about."""
    return {part: suite.tasks_in[part] for part in paper.parts}


def by_setting(methods: Sequence[Method], paper: Paper, tasks: Mapping[str, int]) -> Sheet:
    """Method | SR by setting, each of our own with its difference to the best other. ``tasks``: how many the benchmark
    has in each."""
    parts = tuple(paper.parts)
    methods = [complete(method, tasks) for method in methods]
    numbers = [_column(methods, [method.scores.get((part, "", SUCCESS)) for method in methods], 2) for part in parts]
    columns = [column for part, cells in zip(parts, numbers, strict=True) for column in (cells, _leads(methods, cells))]
    columns.append([_trials(method, parts) for method in methods])
    headings = [words for heading in paper.parts.values() for words in (f"{heading} SR", "Δ")]
    names, notes = _named(methods)
    return Sheet(
        f"{paper.title}, average",
        f"{DEFINITIONS}, averaged over tasks (macro average); Δ: to the best other. {RULES}",
        (),
        tuple(map(Cell, ("Method", *headings, f"N ({' + '.join(paper.parts.values()).lower()})"))),
        tuple(zip(names, *columns, strict=True)),
        1,
        frozenset(),
        notes,
    )


def by_task(methods: Sequence[Method], paper: Paper) -> Sheet:
    """A row for each task, by horizon class, with the means of the classes and of all."""
    parts, horizons = tuple(paper.parts), paper.horizons
    methods = [complete(method, dict.fromkeys(parts, len(horizons))) for method in methods]
    ordered = sorted(horizons, key=lambda task: horizons[task])
    rows: list[tuple[Cell, ...]] = []
    rules: list[int] = []

    def line(*words: str, tasks: Sequence[str]) -> None:
        by_part = [_column(methods, [_mean_over(method, part, tasks) for method in methods], 1) for part in parts]
        rows.append((*map(Cell, words), *(cell for pair in zip(*by_part, strict=True) for cell in pair)))

    for task in ordered:
        line(task, str(horizons[task]), tasks=[task])
    for horizon in sorted(set(horizons.values())):
        mine = [task for task in ordered if horizons[task] == horizon]
        rules += [len(rows)] if not rules else []
        line(f"mean of {len(mine)} tasks", str(horizon), tasks=mine)
    line(f"mean of {len(ordered)} tasks", "all", tasks=ordered)
    names, notes = _named(methods)
    rules.append(len(rows))
    total = [_trials(method, (part,)) for method in methods for part in parts]
    rows.append((Cell("N"), Cell(""), *total))
    return Sheet(
        f"{paper.title}, task by task",
        f"{DEFINITIONS}; means count every task the same. Horizon classes as {paper.horizons_of}. {RULES}",
        ((Cell(""), 2), *((name, len(parts)) for name in names)),
        tuple(map(Cell, ("Task", "Horizon", *tuple(paper.parts.values()) * len(methods)))),
        tuple(rows),
        2,
        frozenset(rules),
        notes,
    )


def by_part(methods: Sequence[Method], paper: Paper, tasks: Mapping[str, int]) -> Sheet:
    """Method | SR by part | Avg, which is the mean of the parts where there are several. ``tasks``: how many each part
    has."""
    suites = paper.parts
    methods = [complete(method, tasks) for method in methods]

    def average(method: Method) -> Score | None:
        whole = method.published or all((suite, "", SUCCESS) in method.scores for suite in suites)
        return method.scores.get((MEAN, "", SUCCESS)) if whole else None

    columns = [_column(methods, [method.scores.get((suite, "", SUCCESS)) for method in methods], 1) for suite in suites]
    last = ("Avg",) if len(suites) > 1 else ()
    columns += [_column(methods, list(map(average, methods)), 1) for _ in last]
    columns.append([_trials(method, tuple(suites)) for method in methods])
    names, notes = _named(methods)
    return Sheet(
        paper.title,
        f"{DEFINITIONS}, averaged over a suite's tasks{'; Avg: over the suites' if last else ''}. {RULES}",
        (),
        tuple(map(Cell, ("Method", *suites.values(), *last, "N (all)"))),
        tuple(zip(names, *columns, strict=True)),
        1,
        frozenset(),
        notes,
    )


def tasks(methods: Sequence[Method], title: str) -> Sheet:
    """Task × method, with PS, SR, their intervals and N: real robots, and suites that no paper has a row for."""
    parts = list(dict.fromkeys(part for method in methods for part, task, _ in method.scores if task))
    planned = {part: dict.fromkeys(task for method in methods for task in method.tasks(part)) for part in parts}
    methods = [complete(method, {part: len(planned[part]) for part in parts}) for method in methods]
    words = ("Task", "Part")[: 1 if len(parts) == 1 else 2]
    rows: list[tuple[Cell, ...]] = []
    rules = []
    for part in parts:
        rules += [len(rows)] if rows else []
        rules.append(len(rows) + len(planned[part]))  # above the mean
        for task in (*planned[part], ""):
            over = [task] if task else list(planned[part])
            scores = [[_mean_over(method, part, over, what) for method in methods] for what in (PROGRESS, SUCCESS)]
            columns = [
                cells for column in scores for cells in (_column(methods, column, 1), list(map(_interval, column)))
            ]
            numbers = zip(*columns, list(map(_count, scores[1])), strict=True)
            names = (
                Cell(task or (f"mean of {len(planned[part])} tasks" if len(planned[part]) > 1 else "mean of 1 task")),
                Cell(part),
            )
            rows.append((*names[: len(words)], *(cell for group in numbers for cell in group)))
    titles, notes = _named(methods)
    return Sheet(
        title,
        f"{DEFINITIONS}; PS = mean of progress / maximum, in percent; means count every task the same. 95 %: "
        "intervals for other episodes of these tasks, Wilson's of a task, stratified by task of a mean; those of PS "
        f"are at least as wide as needed. {RULES}",
        ((Cell(""), len(words)), *((name, 5) for name in titles)),
        tuple(map(Cell, (*words, *(PROGRESS, f"{PROGRESS} 95 %", SUCCESS, f"{SUCCESS} 95 %", "N") * len(methods)))),
        tuple(rows),
        len(words),
        frozenset(rules),
        notes,
    )


def complete(method: Method, expected: Mapping[str, int]) -> Method:
    """Add an obstacle where some tasks of a part are missing: a mean over others is another number."""
    if method.published:
        return method
    missing = [
        f"{len(method.tasks(part))} of {count} tasks" + (f" ({part})" if part else "")
        for part, count in expected.items()
        if 0 < len(method.tasks(part)) < count
    ]
    return replace(method, obstacles=(*method.obstacles, "only " + ", ".join(missing))) if missing else method


def _mean_over(method: Method, part: str, tasks: Sequence[str], measure: str = SUCCESS) -> Score | None:
    """None where a task is missing: a mean over fewer is another number."""
    known = [method.scores[part, task, measure] for task in tasks if (part, task, measure) in method.scores]
    if not known or len(known) < len(tasks):
        return None
    if len(known) == 1:
        return known[0]
    if len(known) == len(method.tasks(part)):
        return method.scores[part, "", measure]  # which has the spread over seeds
    return replace(mean(known), spread=None)


def _column(methods: Sequence[Method], scores: Sequence[Score | None], digits: int) -> list[Cell]:
    return ranked([_shown(score, digits) for score in scores], [not method.obstacles for method in methods])


def _shown(score: Score | None, digits: int) -> Cell:
    if score is None:
        return NOTHING
    text = score.printed or f"{score.value:.{digits}f}"
    return Cell(text + ("" if score.spread is None else f" ± {score.spread:.1f}"), value=score.value)


def _leads(methods: Sequence[Method], column: Sequence[Cell]) -> list[Cell]:
    """Our own values less the best other's."""
    cells = []
    for me, (method, cell) in enumerate(zip(methods, column, strict=True)):
        others = [
            other.value
            for k, other in enumerate(column)
            if k != me and not methods[k].obstacles and other.value is not None
        ]
        fair = not method.obstacles and not method.published
        if cell.value is None or not others or not fair:
            cells.append(Cell("" if method.published else NOTHING.text))
        else:
            lead = cell.value - max(others)
            cells.append(Cell(f"{lead:+.2f}".replace("-", "−"), value=lead))
    return cells


def _trials(method: Method, parts: Sequence[str]) -> Cell:
    """Give the number of trials of the parts together, where all are known."""
    counts = [score.trials for part in parts if (score := method.scores.get((part, "", SUCCESS)))]
    known = [count for count in counts if count is not None]
    if not counts:
        return NOTHING
    if len(known) < len(counts):
        return Cell("?")
    return Cell(" + ".join(map(str, known)) if len(parts) == 2 else str(sum(known)), value=sum(known))


def _count(score: Score | None) -> Cell:
    if score is None:
        return NOTHING
    return Cell("?") if score.trials is None else Cell(str(score.trials), value=score.trials)


def _interval(score: Score | None) -> Cell:
    if score is None or score.interval is None:
        return NOTHING
    low, high = score.interval
    return Cell(f"{100 * low:.0f}–{100 * high:.0f}")


def _named(methods: Sequence[Method]) -> tuple[list[Cell], tuple[tuple[str, str], ...]]:
    """Every method's name with the letter of its note."""
    names, notes = [], []
    for letter, method in zip(_letters(len(methods)), methods, strict=True):
        names.append(Cell(method.name, mark=letter))
        said = [*(f"NOT RANKED: {obstacle}" for obstacle in method.obstacles), *method.notes]
        notes.append((letter, f"{method.name}: " + "; ".join(said) + "."))
    return names, tuple(notes)


def _letters(count: int) -> list[str]:
    """a … z, aa, ab …"""
    single = list(ascii_lowercase)
    return (single + [first + second for first in single for second in single])[:count]
