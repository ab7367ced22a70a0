"""Run directories written by hand, through the store."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.experiments import experiment


def planned(path: Path, plan: Sequence[Episode], **changes: Any) -> RunDirectory:
    """A new one, or one whose plan grows."""
    folder = RunDirectory(path)
    folder.open(experiment(**changes), plan)
    return folder


def directory(path: Path, plan: Sequence[Episode], records: Iterable[EpisodeRecord], **changes: Any) -> RunDirectory:
    folder = planned(path, plan, **changes)
    add(folder, "first", records)
    return folder


def add(folder: RunDirectory, name: str, records: Iterable[EpisodeRecord]) -> None:
    file = RecordFile(folder.path / "records" / f"{name}.jsonl")
    for record in records:
        file.append(record)


def copy_plan(source: Path, target: Path) -> None:
    """What a run directory holds before its first record."""
    shutil.copy(source / "run.json", target)
    shutil.copytree(source / "plan", target / "plan")
    (target / "records").mkdir()


def film(folder: RunDirectory, name: str) -> Path:
    """A real one, of a grey second."""
    import numpy as np

    from lingbot_eval.videos import mp4

    target = folder.path / "videos" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with mp4(target, 10) as writer:
        for shade in range(10):
            writer.append_data(np.full((64, 96, 3), 20 * shade, np.uint8))
    return target


def many(tasks: int, each: int) -> tuple[list[Episode], list[EpisodeRecord]]:
    """Of every ten episodes of a task the first fails, the second is an ERROR and the rest succeed."""
    names = [f"task_{number:02d}" for number in range(tasks)]
    plan = [Episode("toy", task, seed, f"Do {task}, way {seed}.") for task in names for seed in range(each)]
    outcomes = [Outcome.FAILURE, Outcome.ERROR, *[Outcome.SUCCESS] * 8]
    return plan, [EpisodeRecord(e, outcomes[e.seed % 10], 10 + e.seed, 1.0) for e in plan]
