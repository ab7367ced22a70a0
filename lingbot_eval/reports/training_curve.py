"""What a training told of itself, in one picture: losses, what was held out, and how often it won meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lingbot_eval.plain import plain
from lingbot_eval.reports.plots import COLOURS, MARKERS
from lingbot_eval.reports.stats import Count
from lingbot_eval.reports.stats.intervals import macro, stratified

STREAMS = ("video", "action")

SMOOTHED = 50
"""The thick line is a mean over a 50th of the steps."""

Line = Mapping[str, Any]
"""One of ``curve.jsonl``."""

Numbers = npt.NDArray[np.float64]


@matplotlib.rc_context({"text.parse_math": False})
def training_curve(lines: Sequence[Line]) -> Figure | None:
    """Draw a panel for each stream's loss, and one for rates with their intervals where a suite was played; None where
    no step was taken."""
    steps = [line for line in lines if "norm" in line]
    if not steps:
        return None
    played = [line for line in lines if "played" in line]
    count = len(STREAMS) + bool(played)
    figure = Figure(figsize=(7.2, 1.0 + 2.2 * count), layout="constrained")
    panels: list[Axes] = list(figure.subplots(count, 1, sharex=True))
    for axes, stream in zip(panels, STREAMS, strict=False):
        _losses(axes, stream, steps, [line for line in lines if "held_out" in line])
    if played:
        _rates(panels[-1], played)
    for axes in panels:
        axes.grid(color="0.92")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    panels[-1].set_xlabel("Optimizer steps")
    figure.align_ylabels(panels)
    return figure


def _losses(axes: Axes, stream: str, steps: Sequence[Line], looked: Sequence[Line]) -> None:
    places, values = (np.array([line[key] for line in steps], float) for key in ("step", stream))
    axes.plot(places, values, color="0.8", linewidth=0.7, label="each step")
    axes.plot(places, _smooth(values), color=COLOURS[0], linewidth=1.6, label="mean of steps")
    if looked:
        found = [line["held_out"][stream] for line in looked]
        axes.plot([line["step"] for line in looked], found, f"{MARKERS[1]}--", color=COLOURS[4], label="held out")
    axes.set_yscale("log")
    for ticks in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        ticks(lambda value, _: f"{value:g}")  # a power of ten would be written as a formula
    axes.tick_params(which="minor", labelsize=7)
    axes.set_ylabel(f"Loss, {stream}")


def _smooth(values: Numbers) -> Numbers:
    """Return, for each step, the mean of so many around it; fewer at both ends."""
    half = len(values) // SMOOTHED // 2
    sums = np.cumsum([0.0, *values])
    ends = np.minimum(np.arange(len(values)) + half + 1, len(values))
    starts = np.maximum(np.arange(len(values)) - half, 0)
    smooth: Numbers = (sums[ends] - sums[starts]) / (ends - starts)
    return smooth


def _rates(axes: Axes, played: Sequence[Line]) -> None:
    """Draw the mean over the tasks of each part and setting, which count the same."""
    curves: dict[str, dict[int, list[Count]]] = {}
    for line in played:
        for rate in line["played"]["rates"]:
            name = " ".join(word for word in (rate["part"], rate["setting"]) if word)
            counts = curves.setdefault(name, {}).setdefault(line["step"], [])
            counts.append(Count(rate["successes"], rate["trials"]))
    for place, (name, found) in enumerate(curves.items()):
        rates = np.array([macro(counts) for counts in found.values()])
        bounds = np.array([stratified(counts) for counts in found.values()]).T
        tasks = max(map(len, found.values()))
        label = f"{plain(name)}, {tasks} task{'s' * (tasks > 1)}"
        errors, marker, colour = 100 * np.abs(bounds - rates), MARKERS[place % 7], COLOURS[place % 7]
        axes.errorbar(list(found), 100 * rates, errors, fmt=f"{marker}-", color=colour, markersize=4.5, label=label)
    axes.set(ylabel="Success rate (%)\nwith 95 % interval", ylim=(-2, 102))
