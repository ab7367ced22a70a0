"""``eval_info.json`` as LeRobot's ``lerobot-eval`` writes it (huggingface/lerobot v0.6.1, scripts/lerobot_eval.py,
``eval_policy_all``), for whatever reads that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lingbot_eval.errors import BadInput
from lingbot_eval.names import video_name
from lingbot_eval.suites import tasks_of
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


def eval_info(
    benchmark: str, plan: Sequence[Episode], final: Mapping[str, EpisodeRecord], folder: Path
) -> dict[str, Any]:
    """Return ``per_task``, ``per_group`` and ``overall``, with LeRobot's names and units (``pc_success`` in percent).

    A group is a suite, in each of its settings; a task's id is its index in the suite. An episode's reward is 1 at its
    success and 0 before, as both benchmarks have it, so that its sum and its largest are the success. ERRORs are left
    out: ``lerobot-eval`` would have ended there. ``eval_s`` is the sum of the episodes' wall times, whatever the number
    of workers. Videos are those in ``folder``, the run directory; ours show what was imagined in the same file.

    Raises BadInput where no episode has a result.
    """
    groups: dict[str, dict[str, list[EpisodeRecord]]] = {}
    for episode in plan:
        record = final.get(episode.id)
        if record is not None and record.outcome is not Outcome.ERROR:
            group = "_".join(word for word in (episode.suite, episode.setting) if word)
            groups.setdefault(group, {}).setdefault(episode.task, []).append(record)
    if not groups:
        raise BadInput(f"{folder} has no result yet")
    names = {
        suite: list(dict.fromkeys((*tasks_of(benchmark, suite), *(e.task for e in plan if e.suite == suite))))
        for suite in {e.suite for e in plan}
    }
    per_task = [
        {
            "task_group": group,
            "task_id": names[records[0].episode.suite].index(task),
            "metrics": _metrics(records, folder),
        }
        for group, tasks in groups.items()
        for task, records in tasks.items()
    ]
    together = {group: [record for records in tasks.values() for record in records] for group, tasks in groups.items()}
    everything = [record for records in together.values() for record in records]
    seconds = sum(record.seconds for record in everything)
    return {
        "per_task": per_task,
        "per_group": {group: _averages(records, folder) for group, records in together.items()},
        "overall": {**_averages(everything, folder), "eval_s": seconds, "eval_ep_s": seconds / len(everything)},
    }


def _metrics(records: Sequence[EpisodeRecord], folder: Path) -> dict[str, list[Any]]:
    """Return lists of one value per episode, and one of the videos that there are."""
    rewards = [float(record.outcome is Outcome.SUCCESS) for record in records]
    return {
        "sum_rewards": rewards,
        "max_rewards": rewards,
        "successes": [record.outcome is Outcome.SUCCESS for record in records],
        "video_paths": [path for record in records for path in _videos(record, folder)],
        "predicted_video_paths": [],
    }


def _averages(records: Sequence[EpisodeRecord], folder: Path) -> dict[str, Any]:
    metrics = _metrics(records, folder)
    return {
        "avg_sum_reward": fmean(metrics["sum_rewards"]),
        "avg_max_reward": fmean(metrics["max_rewards"]),
        "pc_success": 100 * fmean(metrics["successes"]),
        "n_episodes": len(records),
        "video_paths": metrics["video_paths"],
        "predicted_video_paths": metrics["predicted_video_paths"],
    }


def _videos(record: EpisodeRecord, folder: Path) -> list[str]:
    film = folder / "videos" / video_name(record.episode, record.outcome)
    return [str(film)] if film.is_file() else []
