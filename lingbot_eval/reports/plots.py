"""A run in pictures for papers: each as SVG and as PNG.

Colours are Okabe and Ito's, which colour-blind people tell apart; what a colour says, a marker, a dash or a hatch says
too, so that the pictures print in grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lingbot_eval.reports.table import Row, label
from lingbot_eval.types import EpisodeRecord, Outcome

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
"""Okabe and Ito 2008, by their order of darkness in grey as far as two go."""

MARKERS, DASHES, HATCHES = ("o", "D", "s", "^"), ("-", "--", "-.", ":"), ("", "///", "...", "xx")
"""For the suites of a run, with COLOURS: LIBERO has four."""

INCHES_PER_LINE = 0.26
"""Of a task's name, in 8 points: room for the marks of two settings."""


def success_by_task(rows: Sequence[Row]) -> Figure:
    """SR of each task with its interval, the tasks of several settings side by side on one line."""
    suites = list(dict.fromkeys(row.suite for row in rows))
    tasks = list(dict.fromkeys(row.task for row in rows if row.task))
    holders = {task: [row.suite for row in rows if row.task == task] for task in tasks}
    figure, axes = _figure(tasks, "Success rate (%), with Wilson's 95 % interval")
    for place, suite in enumerate(suites):
        mine = [row for row in rows if row.suite == suite and row.task and row.cell.trials]
        rates = np.array([row.rate for row in mine], float)
        bounds = np.array([row.interval for row in mine]).reshape(-1, 2).T
        axes.errorbar(
            100 * rates,
            [
                tasks.index(row.task) + _offset(holders[row.task].index(suite), len(holders[row.task]), 0.7)
                for row in mine
            ],
            xerr=100 * np.abs(bounds - rates),
            fmt=MARKERS[place % 4],
            color=COLOURS[place % 4],
            markerfacecolor=COLOURS[place % 4] if place % 2 == 0 else "white",
            markersize=4.5,
            elinewidth=1.3,
            label=f"{suite} (N = {sum(row.cell.trials for row in mine)})",
        )
    axes.set_xlim(-2, 102)
    _legend(axes)
    return figure


def success_by_commands(records: Mapping[str, EpisodeRecord]) -> Figure:
    """How soon episodes succeed: the share of trials that had succeeded within so many commands."""
    figure = _sheet(6.4, 3.6)
    axes = figure.subplots()
    for place, (suite, mine) in enumerate(_trials(records).items()):
        commands = sorted(record.commands for record in mine if record.outcome is Outcome.SUCCESS)
        share = 100 * np.arange(len(commands) + 1) / len(mine)
        end = max(record.commands for record in mine)  # the curve is known as far as anybody played
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
    _legend(axes)
    return figure


def progress(records: Mapping[str, EpisodeRecord]) -> Figure | None:
    """How far episodes came: the share of trials by progress; None where the benchmark defines no steps."""
    scored = {
        suite: [100 * record.progress / record.max_progress for record in mine if record.max_progress]
        for suite, mine in _trials(records).items()
    }
    scored = {suite: values for suite, values in scored.items() if values}
    if not scored:
        return None
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
    _legend(axes)
    return figure


def time_by_task(records: Mapping[str, EpisodeRecord]) -> Figure | None:
    """Where a trial's wall time goes, on average; None where no record says it."""
    spent: dict[str, list[tuple[float, float, float]]] = {}
    for record in records.values():
        if record.spent:
            times = (record.spent.model, record.spent.simulator, record.spent.waiting)
            spent.setdefault(record.episode.task, []).append(times)
    if not spent:
        return None
    tasks = list(spent)
    figure, axes = _figure(tasks, "Mean seconds per trial")
    means = np.array([np.mean(spent[task], axis=0) for task in tasks])
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
    _legend(axes)
    return figure


def write(folder: Path, rows: Sequence[Row], records: Mapping[str, EpisodeRecord]) -> list[Path]:
    """Every picture that the records have something for, as SVG and PNG in ``folder``.

    ``records``: the final ones, by episode id. Empty where there is no trial.
    """
    if not _trials(records):
        return []
    figures = {
        "success-by-task": success_by_task(rows),
        "success-by-commands": success_by_commands(records),
        "progress": progress(records),
        "time-by-task": time_by_task(records),
    }
    files = []
    for name, figure in figures.items():
        if figure is None:
            continue
        FigureCanvasAgg(figure)  # pyplot would keep the figure and look for a screen
        for ending in ("svg", "png"):
            files.append(folder / f"{name}.{ending}")
            with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):  # the same run, the same file
                figure.savefig(files[-1], dpi=150, metadata={"Date": None} if ending == "svg" else None)
    return files


def _trials(records: Mapping[str, EpisodeRecord]) -> dict[str, list[EpisodeRecord]]:
    """By suite, with its setting: the records that are not an ERROR."""
    found: dict[str, list[EpisodeRecord]] = {}
    for record in records.values():
        if record.outcome is not Outcome.ERROR:
            found.setdefault(label(record.episode), []).append(record)
    return found


def _sheet(width: float, height: float) -> Figure:
    """In inches."""
    return Figure(figsize=(width, height), layout="constrained")


def _figure(tasks: Sequence[str], quantity: str) -> tuple[Figure, Axes]:
    """One line per task, the first at the top."""
    names = [_lines(task) for task in tasks]
    figure = _sheet(7.2, 1.3 + INCHES_PER_LINE * sum(1 + name.count("\n") for name in names))
    axes = figure.subplots()
    axes.set_yticks(range(len(tasks)), names, fontsize=8)
    axes.set_ylim(len(tasks) - 0.5, -0.5)
    axes.set_xlabel(quantity)
    axes.grid(axis="x", color="0.92")
    return figure, axes


def _lines(task: str, length: int = 42) -> str:
    """A long name of LIBERO on two lines, parted at the underscore nearest to its middle."""
    if len(task) <= length or "_" not in task:
        return task
    middle = min(
        (place for place, sign in enumerate(task) if sign == "_"), key=lambda place: abs(place - len(task) / 2)
    )
    return f"{task[: middle + 1]}\n{task[middle + 1 :]}"


def _offset(place: int, count: int, width: float) -> float:
    """From the middle of ``width``, shared by ``count`` marks, to the middle of the one at ``place``."""
    return width / count * (place - (count - 1) / 2)


def _legend(axes: Axes) -> None:
    entries, names = axes.get_legend_handles_labels()
    columns = len(names) if len(names) < 4 else 2
    axes.figure.legend(entries, names, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
