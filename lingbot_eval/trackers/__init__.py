"""Trackers show a run's progress besides the screen (``tracker=tensorboard|wandb``). Nothing of theirs is imported
unless asked for."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lingbot_eval.errors import NotReady
from lingbot_eval.reports.stats.intervals import Count, macro, stratified
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


class Tracker(Protocol):
    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Show ``values`` at ``step``, which counts the episodes of a run that have their result, or a training's
        optimizer steps."""

    def close(self) -> None: ...


def require(name: str) -> None:
    """Raises NotReady where the tracker is not installed."""
    if name != "none" and importlib.util.find_spec(name) is None:
        raise NotReady(f"tracker={name} needs {name}: pip install 'lingbot_eval[{name}]'")


@contextlib.contextmanager
def tracking(
    name: str, folder: Path, plan: Sequence[Episode], final: Mapping[str, EpisodeRecord]
) -> Iterator[Callable[[EpisodeUpdate], None]]:
    """Yield what passes updates of a run's episodes to the tracker ``name``, whose files lie in ``folder``, a run
    directory."""
    if name == "none":
        yield lambda update: None
        return
    tracker = made(name, folder, "episodes")
    try:
        yield Tracking(tracker, plan, final).tell
    finally:
        tracker.close()


def made(name: str, folder: Path, counted: str) -> Tracker:
    """Make the tracker ``name``, whose files lie in ``folder``; its steps count what ``counted`` says."""
    if name == "wandb":
        from lingbot_eval.trackers.wandb import WeightsAndBiases

        return WeightsAndBiases(folder, folder.resolve().name, counted)
    from lingbot_eval.trackers.tensorboard import TensorBoard

    return TensorBoard(folder / name)


class Tracking:
    """Tells a tracker after every result: of each suite the success rate so far (macro average over tasks) with its
    interval, ERRORs, and the episodes that this coordinator plays per hour."""

    def __init__(self, tracker: Tracker, plan: Sequence[Episode], final: Mapping[str, EpisodeRecord]) -> None:
        self._tracker, self._start, self._played = tracker, time.monotonic(), Counter[str]()
        planned = {episode.id for episode in plan}
        self._final = {id: record for id, record in final.items() if id in planned}

    def tell(self, update: EpisodeUpdate) -> None:
        if update.record is None or update.will_retry:
            return
        suite = _suite(update.episode)
        self._final[update.episode.id] = update.record
        self._played[suite] += 1
        hours = (time.monotonic() - self._start) / 3600
        done = [record for record in self._final.values() if record.outcome is not Outcome.ERROR]
        self._tracker.log(len(done), {**self._of(suite), f"{suite}/episodes_per_hour": self._played[suite] / hours})

    def _of(self, suite: str) -> dict[str, float]:
        known = [record for record in self._final.values() if _suite(record.episode) == suite]
        values: dict[str, float] = {f"{suite}/errors": sum(record.outcome is Outcome.ERROR for record in known)}
        tasks: dict[str, list[bool]] = {}
        for record in known:
            if record.outcome is not Outcome.ERROR:
                tasks.setdefault(record.episode.task, []).append(record.outcome is Outcome.SUCCESS)
        counts = [Count(sum(successes), len(successes)) for successes in tasks.values()]
        if counts:
            low, high = stratified(counts)
            rates = {"success_rate": macro(counts), "success_rate_low": low, "success_rate_high": high}
            values |= {f"{suite}/{name}": value for name, value in rates.items()}
        return values


def _suite(episode: Episode) -> str:
    return f"{episode.suite}-{episode.setting}" if episode.setting else episode.suite
