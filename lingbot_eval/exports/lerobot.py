"""A run's played episodes as a LeRobotDataset.

    <dataset>/.parts/    each episode, once it was played again (parts.py)
    <dataset>/.parts/order.json    which of them the dataset has, once all were

Whoever is stopped, however hard, goes on by the same call; files of the dataset are the same, however many play.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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


def write(
    folder: RunDirectory, version: str, outcomes: Collection[Outcome], target: Path, tell: Tell, workers: int = 1
) -> int:
    """Have ``workers`` play the run's episodes of these ``outcomes`` again, and write them to ``target``, which is
    there; return how many were left out because they did not end as recorded. ``tell`` hears of each, in a thread of
    theirs.

    Raises BadInput, NotReady, RunMismatch, CorruptRecords, and PlaybackDiffers where none ended as recorded.
    """
    final = folder.records().final()
    records = [final[episode.id] for episode in folder.plan() if episode.id in final]
    chosen = [record for record in records if record.outcome in outcomes]
    if not chosen:
        raise BadInput(f"{folder.path} has no episode that ended in {' or '.join(sorted(o.value for o in outcomes))}")
    settings = settings_of(folder)
    suite = suite_named(settings.suite.name)
    spec = suite.env_spec(env_settings(settings, chosen[0]))
    with _locked(target):
        order = _order(target)
        if order is None:
            order = _play(folder, chosen, target, spec, tell, workers)
        _assemble(folder, {record.episode.id: record for record in records}, order, version, target, spec)
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
            for empty in sorted((target / PARTS).glob("*/"), reverse=True):
                _remove_empty(empty)
            _remove_empty(target / PARTS)
            lock.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _order(target: Path) -> list[str] | None:
    """Return the ids of the episodes that the dataset has, once that is decided."""
    file = target / PARTS / ORDER
    content = files.read(file)
    return None if content is None else [str(id) for id in files.parsed(content, file)["episodes"]]


def _play(
    folder: RunDirectory, chosen: Sequence[EpisodeRecord], target: Path, spec: EnvSpec, tell: Tell, workers: int
) -> list[str]:
    """Play all of ``chosen`` that has no part yet; return the ids of those that ended as recorded, in their order."""
    marks = {}
    for record in chosen:  # what is missing is said before anything is played
        marks[record.episode.id] = parts.mark(record, commands_of(folder, record), round(spec.commands_per_second))
    settings = settings_here(folder)
    cameras, _ = names(settings.suite.name, spec)
    store = _Store(target / PARTS, marks, cameras, round(spec.commands_per_second), len(chosen), tell)
    todo = [record for record in chosen if not store.has(record)]
    todo.sort(key=lambda record: (record.episode.suite, record.episode.task))  # each task's simulator starts once
    in_parallel(todo, min(workers, len(todo)), lambda: Playback(folder, settings), store.add)
    order = [record.episode.id for record in chosen if record.episode.id not in store.left_out]
    if not order:
        raise PlaybackDiffers("no episode ended as recorded when it was played again: nothing was written")
    files.write_whole(target / PARTS / ORDER, files.with_checksum({"episodes": order}))
    return order


class _Store:
    """The parts of a dataset; threads add to it."""

    def __init__(
        self, folder: Path, marks: Mapping[str, str], cameras: Mapping[str, str], rate: int, planned: int, tell: Tell
    ) -> None:
        self._folder, self._marks, self._cameras, self._rate = folder, marks, cameras, rate
        self._planned, self._tell = planned, tell
        self._lock, self._done = threading.Lock(), 0
        self.left_out: set[str] = set()

    def has(self, record: EpisodeRecord) -> bool:
        """Say whether the episode's part is there; one of other commands is not its own."""
        there = parts.read(parts.place(self._folder, record), self._marks[record.episode.id]) is not None
        self._done += there
        return there

    def add(self, playback: Playback, record: EpisodeRecord) -> None:
        id, place = record.episode.id, parts.place(self._folder, record)
        try:
            parts.write(place, playback.moments(record), self._cameras, self._rate, self._marks[id])
            words = ""
        except PlaybackDiffers as error:
            words = f"left out: {error}"
        with self._lock:
            self._done += 1
            if words:
                self.left_out.add(id)
            self._tell(words or f"{self._done}/{self._planned} {id}")


def _assemble(
    folder: RunDirectory,
    records: Mapping[str, EpisodeRecord],
    order: Sequence[str],
    version: str,
    target: Path,
    spec: EnvSpec,
) -> None:
    """Make the dataset of its parts; films that have moved to their places already stay there."""
    experiment = folder.run().experiment
    suite = suite_named(experiment.suite.name)
    dataset = Dataset(target, LAYOUTS[version], round(spec.commands_per_second), names(suite.name, spec)[1])
    chosen = [records[id] for id in order]
    for record in chosen:
        place = parts.place(target / PARTS, record)
        if (part := parts.read(place)) is None:
            raise BadInput(f"{place} is gone; delete {target / PARTS}, and all episodes are played again")
        dataset.add(part, record.episode)
    said = collected(experiment, chosen)
    more = {"collected.json": files.with_checksum(said)}
    if others := wordings(suite, chosen):
        more["wordings.jsonl"] = others
    dataset.close(card(experiment, spec, said), more)


def names(suite: str, spec: EnvSpec) -> tuple[Mapping[str, str], list[str] | None]:
    """Name cameras and command columns as LingBot-VA's post-training does, where it plays the suite."""
    benchmark = suite_named(suite).post_training
    if not benchmark:
        return {camera: f"observation.images.{camera}" for camera in spec.cameras}, None
    return load_benchmark(benchmark).cameras, [column.name for column in columns(benchmark, spec.channels)]
