"""A run's played episodes as a LeRobotDataset.

    <dataset>/.parts/              each episode, once it was played again (parts.py)
    <dataset>/.parts/order.json    which of them the dataset has, once all were

Whoever is stopped, however hard, goes on by the same call. Rows and descriptions are the same, byte for byte, however
many play.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lingbot_eval import files
from lingbot_eval.errors import BadInput, PlaybackDiffers, Taken
from lingbot_eval.exports import parts
from lingbot_eval.exports.collected import card, collected, wordings
from lingbot_eval.exports.dataset import LAYOUTS, Dataset
from lingbot_eval.exports.playback import Playback, commands_of, env_settings, in_parallel, settings_here
from lingbot_eval.models.lingbot_va.columns import columns
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import settings_of
from lingbot_eval.suites import suite_named
from lingbot_eval.types import EnvSpec, EpisodeRecord, Outcome

PARTS, ORDER, LOCK = ".parts", "order.json", ".lock"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Form:
    """Says how a dataset is laid out."""

    version: str
    """LeRobot's, 2.1 or 3.0."""
    fills: int = 0
    """At an episode's end the last command is repeated until the last look has its row and the rows before that one
    are a multiple of this; 0: a row for each command, and no other."""

    def held(self, commands: int) -> int:
        """Return how many rows are added to an episode of so many ``commands``."""
        return -commands % self.fills + 1 if self.fills else 0


def write(
    folder: RunDirectory, form: Form, outcomes: Collection[Outcome], target: Path, tell: Tell, workers: int = 1
) -> int:
    """Have ``workers`` play the run's episodes of these ``outcomes`` again, and write them to ``target``, which is
    there; return how many were left out because they did not end as recorded. ``tell`` hears of each, in one of several
    threads.

    Raises BadInput, NotReady, RunMismatch, CorruptRecords, and PlaybackDiffers where none ended as recorded.
    """
    final = folder.records().final()
    records = [final[episode.id] for episode in folder.plan() if episode.id in final]
    chosen = [record for record in records if record.outcome in outcomes]
    if not chosen:
        raise BadInput(f"{folder.path} has no episode that ended in {' or '.join(sorted(o.value for o in outcomes))}")
    settings = settings_of(folder)
    spec = suite_named(settings.suite.name).env_spec(env_settings(settings, chosen[0]))
    with _locked(target):
        if (order := _order(target)) is None:
            store = _Store(folder, form, target, spec, len(chosen), tell)
            order = _play(store, chosen, workers)
        _assemble(folder, [final[id] for id in order], form, target, spec)
        shutil.rmtree(target / PARTS)
    return len(chosen) - len(order)


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Write to ``target`` alone. What is empty at the end is removed."""
    lock = target / LOCK
    with files.alone(lock, Taken(f"another process writes {target}; wait for it"), "choose another place"):
        try:
            yield
        finally:
            for folder in (*(target / PARTS).glob("*/"), target / PARTS):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            lock.unlink(missing_ok=True)


def _order(target: Path) -> list[str] | None:
    """Return the ids of the episodes that the dataset has, once that is decided."""
    file = target / PARTS / ORDER
    content = files.read(file)
    return None if content is None else [str(id) for id in files.parsed(content, file)["episodes"]]


def _play(store: _Store, chosen: Sequence[EpisodeRecord], workers: int) -> list[str]:
    """Play all of ``chosen`` that has no part yet; return the ids of those that ended as recorded, in their order."""
    for record in chosen:  # what is missing is said before anything is played
        store.expect(record)
    todo = [record for record in chosen if not store.has(record)]
    todo.sort(key=lambda record: (record.episode.suite, record.episode.task))  # each task's simulator starts once
    settings = settings_here(store.run)
    in_parallel(todo, max(1, min(workers, len(todo))), lambda: Playback(store.run, settings), store.add)
    order = [record.episode.id for record in chosen if record.episode.id not in store.left_out]
    if not order:
        raise PlaybackDiffers("no episode ended as recorded when it was played again: nothing was written")
    files.write_whole(store.folder / ORDER, files.with_checksum({"episodes": order}))
    return order


class _Store:
    """The parts of a dataset; threads add to it."""

    def __init__(self, run: RunDirectory, form: Form, target: Path, spec: EnvSpec, planned: int, tell: Tell) -> None:
        self.run, self.folder = run, target / PARTS
        self._form, self._planned, self._tell = form, planned, tell
        self._rate = round(spec.commands_per_second)
        self._cameras = names(run.run().experiment.suite.name, spec)[0]
        self._lock, self._done = threading.Lock(), 0
        self._marks: dict[str, str] = {}
        self.left_out: set[str] = set()

    def expect(self, record: EpisodeRecord) -> None:
        """Learn of what the episode's part is to be made. Raises as ``commands_of``."""
        commands, held = commands_of(self.run, record), self._form.held(record.commands)
        self._marks[record.episode.id] = parts.mark(record, commands, self._rate, held)

    def has(self, record: EpisodeRecord) -> bool:
        """Say whether the episode's part is there; one of other commands is not its own."""
        there = parts.read(parts.place(self.folder, record), self._marks[record.episode.id]) is not None
        self._done += there
        return there

    def add(self, playback: Playback, record: EpisodeRecord) -> None:
        """Play the episode, and keep its part unless it ends otherwise than it did."""
        id, place = record.episode.id, parts.place(self.folder, record)
        moments = playback.moments(record, self._form.held(record.commands))
        words = ""
        try:
            parts.write(place, moments, self._cameras, self._rate, self._marks[id])
        except PlaybackDiffers as error:
            words = f"left out: {error}"
        with self._lock:
            self._done += 1
            if words:
                self.left_out.add(id)
            self._tell(words or f"{self._done}/{self._planned} {id}")


def _assemble(folder: RunDirectory, records: Sequence[EpisodeRecord], form: Form, target: Path, spec: EnvSpec) -> None:
    """Make the dataset of its parts; films that have moved to their places already stay there."""
    experiment = folder.run().experiment
    suite = suite_named(experiment.suite.name)
    dataset = Dataset(target, LAYOUTS[form.version], round(spec.commands_per_second), names(suite.name, spec)[1])
    for record in records:
        place = parts.place(target / PARTS, record)
        if (part := parts.read(place)) is None:
            raise BadInput(f"{place} is gone; delete {target / PARTS}, and all episodes are played again")
        dataset.add(part, record.episode)
    said = collected(experiment, records, form.fills)
    more = {"collected.json": files.with_checksum(said)}
    if others := wordings(suite, records):
        more["wordings.jsonl"] = others
    dataset.close(card(experiment, spec, said), more)


def names(suite: str, spec: EnvSpec) -> tuple[Mapping[str, str], list[str] | None]:
    """Name cameras and command columns as LingBot-VA's post-training does, where it plays the suite."""
    benchmark = suite_named(suite).post_training
    if not benchmark:
        return {camera: f"observation.images.{camera}" for camera in spec.cameras}, None
    return load_benchmark(benchmark).cameras, [column.name for column in columns(benchmark, spec.channels)]
