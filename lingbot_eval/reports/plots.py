"""A run in pictures for papers: each as SVG and as PNG.

Colours are Okabe and Ito's, which colour-blind people tell apart; what a colour says, a marker, a dash or a hatch says
too, so that the pictures print in grey.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lingbot_eval.files import write_whole
from lingbot_eval.plain import plain
from lingbot_eval.reports import frames
from lingbot_eval.reports.methods import MEAN, SUCCESS, Method
from lingbot_eval.reports.stats import Interval
from lingbot_eval.reports.table import Row
from lingbot_eval.types import EpisodeRecord, Outcome

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, by their order of darkness in grey as far as two go; without yellow, which white swallows."""

MARKERS = ("o", "D", "s", "^", "v", "P", "X")
"""One for each of COLOURS."""

DASHES, HATCHES = ("-", "--", "-.", ":"), ("", "///", "...", "xx")
"""What tells the suites of a run apart besides COLOURS: no benchmark has more than four."""

INCHES_PER_LINE = 0.26
"""Height of a line for a task's name in 8 points, which has room for the marks of two settings."""

INCHES_PER_MARK = 0.095
"""Height that each of MARKERS takes where more of them stand on a task's line."""

_as_written = matplotlib.rc_context({"text.parse_math": False})
"""Names are words, also with dollar signs in them."""

ALL, SUCCESS_RATE = "mean over tasks", "Success rate (%), with 95 % interval"


def success_by_task(rows: Sequence[Row]) -> Figure:
    """SR of each task with its interval, then the mean over tasks with its own (stratified by task); several settings
    side by side on one line."""
    suites = list(dict.fromkeys(row.suite for row in rows))
    shown = [row for row in rows if row.task or len(row.tasks) > 1]
    lines = list(dict.fromkeys(row.task for row in shown if row.task)) + [""] * any(not row.task for row in shown)
    holders = {line: [row.suite for row in shown if row.task == line] for line in lines}
    figure, (axes,) = _figure([line or ALL for line in lines], SUCCESS_RATE, max(map(len, holders.values())))
    for place, suite in enumerate(suites):
        mine = [row for row in shown if row.suite == suite and row.cell.trials]
        marks = [
            _Mark(
                lines.index(row.task) + _offset(holders[row.task].index(suite), len(holders[row.task])),
                row.rate,
                row.interval,
            )
            for row in mine
        ]
        trials = sum(row.cell.trials for row in mine if row.task)
        _mark(axes, marks, place, f"{suite} (N = {trials})", place % 2 == 0)
    _legend(figure, axes)
    return figure


@_as_written
def against_published(methods: Sequence[Method]) -> Figure:
    """SR of our methods beside published ones: task by task with a panel for each part, or part by part where no task
    of theirs is published; means only where all are of the same tasks. At most as many methods as there are COLOURS."""
    parts = methods[0].parts
    tasks = list(dict.fromkeys(task for part in parts for task in methods[0].tasks(part)))
    theirs = [method for method in methods if method.published]
    if any(method.tasks(part) for method in theirs for part in parts):
        known = [set(method.tasks(part)) for method in methods for part in parts if method.tasks(part)]
        same = all(mine == set(tasks) for mine in known)
        lines = {task or ALL: [(part, task) for part in parts] for task in [*tasks, *[""] * same]}
    else:
        same = len(parts) > 1 and all(set(method.parts) <= set(parts) for method in theirs)
        lines = {part: [(part, "")] for part in parts} | ({MEAN: [(MEAN, "")]} if same else {})
        parts = [""]
    figure, panels = _figure(list(lines), SUCCESS_RATE, len(methods), parts)
    for panel, axes in enumerate(panels):
        for place, method in enumerate(methods):
            marks = [
                _Mark(line + _offset(place, len(methods)), score.value / 100, score.interval)
                for line, places in enumerate(lines.values())
                if (score := method.scores.get((*places[panel], SUCCESS)))
            ]
            words = ", published" * method.published + ", not ranked" * bool(method.obstacles)
            _mark(axes, marks, place, method.name + words, not method.published)
    _legend(figure, panels[0])
    return figure


class _Mark(NamedTuple):
    """One rate; fractions."""

    line: float
    """Its place, in lines from the top."""
    rate: float | None
    interval: Interval | None


def _mark(axes: Axes, marks: Sequence[_Mark], place: int, label: str, filled: bool) -> None:
    rates = np.array([mark.rate for mark in marks], float)
    bounds = np.array([mark.interval or (mark.rate, mark.rate) for mark in marks], float).reshape(-1, 2).T
    axes.errorbar(
        100 * rates,
        [mark.line for mark in marks],
        xerr=100 * np.abs(bounds - rates),
        fmt=MARKERS[place],
        color=COLOURS[place],
        markerfacecolor=COLOURS[place] if filled else "white",
        markersize=4.5,
        elinewidth=1.3,
        label=label,
    )
    axes.set_xlim(-2, 102)


def success_by_commands(trials: pd.DataFrame) -> Figure | None:
    """How soon episodes succeed: the share of trials that had succeeded within so many commands; None where nobody
    counted them, as with a robot. ``trials``, here and below: :func:`trials_of`."""
    if not trials["commands"].any():
        return None
    figure = _sheet(6.4, 3.6)
    axes = figure.subplots()
    for place, (suite, mine) in enumerate(trials.groupby("label", sort=False)):
        commands = sorted(mine["commands"][mine["success"]])
        share = 100 * np.arange(len(commands) + 1) / len(mine)
        end = mine["commands"].max()  # the curve is known as far as anybody played
        axes.step(
            [0, *commands, end],
            [*share, share[-1]],
            where="post",
            color=COLOURS[place % 4],
            linestyle=DASHES[place % 4],
            label=f"{suite} (N = {len(mine)})",
        )
    axes.set(xlabel="Commands", ylabel="Trials that have succeeded (%)", ylim=(-2, 102))
    axes.set_xlim(left=0)
    axes.grid(color="0.92")
    _legend(figure, axes)
    return figure


def progress(trials: pd.DataFrame) -> Figure | None:
    """How far episodes came: the share of trials by progress; None where the benchmark defines no steps."""
    defined = trials[trials["max_progress"] > 0]
    if defined.empty:
        return None
    scored = dict(list((100 * defined["progress"] / defined["max_progress"]).groupby(defined["label"], sort=False)))
    figure = _sheet(6.4, 3.6)
    axes = figure.subplots()
    edges = np.linspace(0, 100, 11)
    for place, (suite, values) in enumerate(scored.items()):
        counts, _ = np.histogram(values, edges)
        axes.bar(
            edges[:-1] + 5 + _offset(place, len(scored), 9),
            100 * counts / len(values),
            width=9 / len(scored),
            color=COLOURS[place % 4],
            edgecolor="white",
            hatch=HATCHES[place % 4],
            label=f"{suite} (N = {len(values)})",
        )
    axes.set(xlabel="Progress (% of the task's steps; the last bar holds 100 %)", ylabel="Trials (%)", xlim=(0, 100))
    axes.set_xticks(edges)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
    _legend(figure, axes)
    return figure


def time_by_task(trials: pd.DataFrame) -> Figure | None:
    """Show where a trial's wall time goes, on average; None where no record says it."""
    times = ["model_seconds", "simulator_seconds", "waiting_seconds"]
    spent = trials.groupby("task", sort=False)[times].mean().dropna()
    if spent.empty:
        return None
    tasks, means = list(spent.index), spent.to_numpy()
    figure, (axes,) = _figure(tasks, "Mean seconds per trial")
    starts = np.cumsum(means, axis=1) - means
    for part, name in enumerate(("in the model", "in the simulator", "waiting")):
        axes.barh(
            np.arange(len(tasks)),
            means[:, part],
            left=starts[:, part],
            height=0.7,
            color=COLOURS[part],
            edgecolor="white",
            linewidth=0.4,
            hatch=HATCHES[part],
            label=name,
        )
    axes.set_xlim(0, 1.05 * means.sum(axis=1).max())
    axes.set_axisbelow(True)
    _legend(figure, axes)
    return figure


@_as_written
def of_run(rows: Sequence[Row], records: Mapping[str, EpisodeRecord]) -> dict[str, Figure]:
    """Draw, by name, every picture that the records have something for: none where there is no trial.

    ``records``: the final ones, by episode id.
    """
    trials = trials_of(records)
    if trials.empty:
        return {}
    figures = {
        "success-by-task": success_by_task(rows),
        "success-by-commands": success_by_commands(trials),
        "progress": progress(trials),
        "time-by-task": time_by_task(trials),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def write(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Each as SVG and PNG, under its name."""
    files = []
    for name, figure in figures.items():
        FigureCanvasAgg(figure)  # pyplot would keep the figure and look for a screen
        for ending in ("svg", "png"):
            drawn = io.BytesIO()
            with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):  # the same run, the same file
                figure.savefig(drawn, format=ending, dpi=150, metadata={"Date": None} if ending == "svg" else None)
            files.append(folder / f"{name}.{ending}")
            write_whole(files[-1], drawn.getvalue())
    return files


def trials_of(records: Mapping[str, EpisodeRecord]) -> pd.DataFrame:
    """The records that are not an ERROR, with a ``label``: the suite with its setting."""
    trials = frames.records(one for one in records.values() if one.outcome is not Outcome.ERROR)
    return trials.assign(label=(trials["suite"] + " " + trials["setting"]).str.strip())


def _sheet(width: float, height: float) -> Figure:
    """Make an empty figure; sizes are in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def _figure(
    lines: Sequence[str], quantity: str, marks: int = 1, panels: Sequence[str] = ("",)
) -> tuple[Figure, list[Axes]]:
    """The first line at the top, each with room for so many marks; panels side by side."""
    names = [_lines(plain(line)) for line in lines]
    heights = [max(INCHES_PER_LINE * (1 + name.count("\n")), INCHES_PER_MARK * marks) for name in names]
    figure = _sheet(7.2 if len(panels) == 1 else 2.6 + 3.0 * len(panels), 1.3 + sum(heights))
    axes = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    axes[0].set_yticks(range(len(lines)), names, fontsize=8)
    axes[0].set_ylim(len(lines) - 0.5, -0.5)
    for panel, words in zip(axes, panels, strict=True):
        panel.set_title(plain(words), fontsize=9)
        panel.set_xlabel(quantity, fontsize=9)
        panel.grid(axis="x", color="0.92")
        for line in range(1, len(lines), 2):  # a band for the eye
            panel.axhspan(line - 0.5, line + 0.5, color="0.96", zorder=0)
    return figure, axes


def _lines(task: str, length: int = 42) -> str:
    """A long name on two lines, parted at the underscore nearest to its middle."""
    if len(task) <= length or "_" not in task:
        return task
    middle = min(
        (place for place, sign in enumerate(task) if sign == "_"), key=lambda place: abs(place - len(task) / 2)
    )
    return f"{task[: middle + 1]}\n{task[middle + 1 :]}"


def _offset(place: int, count: int, width: float = 0.8) -> float:
    """Give the way from the middle of ``width``, shared by ``count`` marks, to the middle of the one at ``place``."""
    return width / count * (place - (count - 1) / 2)


def _legend(figure: Figure, axes: Axes) -> None:
    entries, names = axes.get_legend_handles_labels()
    columns = len(names) if len(names) < 4 else 2
    figure.legend(entries, map(plain, names), loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
