"""While a model is trained, a person sees on a terminal how far it is and what it costs; elsewhere a line a minute."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.live import Live
from rich.table import Table

from lingbot_eval.cli.screen import Screen
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.trackers import Tracker, made
from lingbot_eval.training.told import Told

LINE_SECONDS = 60.0
"""Where there is no terminal, a line is printed so often."""

RECENT = 50
"""Losses and rates are means over so many steps."""


class TrainingProgress:
    """Shows what is told of a training, and passes it to the tracker."""

    def __init__(self, settings: TrainSettings, screen: Screen) -> None:
        self._settings, self._screen = settings, screen
        self._recent: deque[Told] = deque(maxlen=RECENT)
        self._beside: dict[str, str] = {}
        self._said = 0.0
        self._tracker: Tracker | None = None
        self._live = Live(console=screen, get_renderable=self._table, refresh_per_second=1, transient=True)

    def __enter__(self) -> TrainingProgress:
        if self._screen.is_terminal and not self._screen.quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._recent and error is None:
            self._screen.print(self._line(), soft_wrap=True)
        if self._tracker is not None:
            self._tracker.close()

    def tell(self, told: Told) -> None:
        """Show what happened."""
        self._track(told)
        if "norm" in told.line:
            self._recent.append(told)
            if not self._screen.is_terminal and time.monotonic() - self._said >= LINE_SECONDS:
                self._said = time.monotonic()
                self._screen.print(self._line(), soft_wrap=True)
            return
        words = in_words(told.line)
        self._beside |= words
        self._screen.print(f"step {told.step}: {'; '.join(f'{name} {text}' for name, text in words.items())}")

    def _track(self, told: Told) -> None:
        if self._settings.tracker == "none":
            return
        if self._tracker is None:
            self._tracker = made(self._settings.tracker, Path(self._settings.out), "steps")
        speed = {"seconds": told.seconds, "tokens_per_second": told.tokens / told.seconds} if told.seconds else {}
        self._tracker.log(told.step, {**numbers(told.line), **speed})

    def _line(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self._facts().items())

    def _facts(self) -> dict[str, str]:
        last, steps = self._recent[-1], self._settings.steps
        seconds = sum(told.seconds for told in self._recent)
        mean = seconds / len(self._recent)
        items, tokens = sum(told.line["items"] for told in self._recent), sum(told.tokens for told in self._recent)
        found = {
            "step": f"{last.step}/{steps}",
            "left": duration((steps - last.step) * mean),
            "items/s": f"{items / seconds:.3g}",
            "tokens/s": f"{tokens / seconds:.3g}",
            "video loss": f"{_mean(self._recent, 'video'):.4g} ({_levels(last.line, 'video')})",
            "action loss": f"{_mean(self._recent, 'action'):.4g} ({_levels(last.line, 'action')})",
            "norm": f"{_mean(self._recent, 'norm'):.3g}",
            "rate": f"{last.line['rate']:.2g}",
        }
        if last.gigabytes:
            found["GPU memory"] = f"{last.gigabytes:.1f} GB"
        if last.utilisation is not None:
            found["of the GPU's peak"] = f"{100 * last.utilisation:.0f} %"
        return found

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, value in {**(self._facts() if self._recent else {}), **self._beside}.items():
            table.add_row(name, value)
        return table


def in_words(line: dict[str, Any]) -> dict[str, str]:
    """Say what a line of the curve tells that is not of one step."""
    found = {}
    if seen := line.get("held_out"):
        found["held out"] = f"video {seen['video']:.4g}, action {seen['action']:.4g}"
    for rate in line.get("played", {}).get("rates", ()):
        name = " ".join(word for word in (rate["task"], rate["setting"]) if word)
        interval = f"{100 * rate['low']:.0f}–{100 * rate['high']:.0f} %"
        found[name] = f"{rate['successes']}/{rate['trials']} ({interval})"
    return found


def numbers(line: dict[str, Any]) -> dict[str, float]:
    """Return the numbers of a line by names for a tracker: ``video``, ``held_out/action``, ``played/TASK``."""
    found: dict[str, float] = {name: line[name] for name in ("video", "action", "norm", "rate") if name in line}
    for stream, values in line.get("levels", {}).items():
        found |= {f"levels/{stream}_{n}": value for n, value in enumerate(values) if value is not None}
    found |= {f"held_out/{name}": line["held_out"][name] for name in ("video", "action") if "held_out" in line}
    for rate in line.get("played", {}).get("rates", ()):
        name = "/".join(word for word in ("played", rate["task"], rate["setting"]) if word)
        found[name] = rate["successes"] / rate["trials"]
        found |= {f"{name}_{end}": rate[end] for end in ("low", "high")}
    return found


def duration(seconds: float) -> str:
    """Return ``1 h 05 min`` or the like."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _mean(told: deque[Told], name: str) -> float:
    return sum(float(one.line[name]) for one in told) / len(told)


def _levels(line: dict[str, Any], stream: str) -> str:
    """Return a stream's losses from the least noise to the most."""
    return " ".join("-" if value is None else f"{value:.3g}" for value in line["levels"][stream])
