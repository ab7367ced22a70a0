"""How long a suite takes on more workers: a simulation from measured durations, held to a measured run.

    python -m benchmarks.scaling                    # RoboTwin 2.0, 50 tasks x 100 episodes x easy and hard, on paper
    python -m benchmarks.scaling --check            # tabletop: plays 1 worker, predicts 2, plays 2 and 2 shards

Three ways to share a suite out:

groups        LingBot-VA's own: seven launches of eight tasks, a GPU each, a launch when the one before it has ended
fixed shards  worker i of n plays every n-th episode (``--shard i/n``), whatever the others do
queue         ``runs/queue.py`` itself, asked by whichever worker is free
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

import numpy as np

from lingbot_eval.envs.robotwin.groups import GROUPS
from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.envs.tabletop.catalogue import command_limit
from lingbot_eval.reports.published import claims
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.plan import by_task
from lingbot_eval.runs.queue import Queue
from lingbot_eval.runs.records import Records
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

SECONDS_PER_COMMAND = 7.65 / 32
"""Of the original server on an H100: 6.9 to 8.4 s per chunk of 32 commands, by third parties; nothing of ours was
measured on a GPU."""

SUCCESS_TAKES = 0.5
"""Of the command limit; an assumption. A failure takes all of it."""


@dataclass(frozen=True)
class Costs:
    """Seconds."""

    worker_start: float
    task_start: float
    """A simulator for another task."""
    episodes: Mapping[str, float]
    """By episode id."""
    limits: Mapping[str, int]
    """Commands, likewise."""


def queue(plan: Sequence[Episode], costs: Costs, workers: int) -> float:
    """Seconds until the last episode has ended, as the other two. The queue knows command limits alone."""
    tasks = by_task(plan)
    limits = {task: next(costs.limits[episode.id] for episode in episodes) for task, episodes in tasks.items()}
    waiting = Queue(plan, limits, Records())
    free = [(costs.worker_start, number) for number in range(workers)]
    last: dict[int, Episode] = {}
    end = 0.0
    while waiting.waiting:
        now, worker = heapq.heappop(free)
        if before := last.get(worker):
            waiting.finished(EpisodeRecord(before, Outcome.SUCCESS, 0, 0.0), alone=True)
        episode = waiting.next_for(before, ())
        assert episode is not None
        now += _takes(episode, before, costs)
        last[worker] = episode
        end = max(end, now)
        heapq.heappush(free, (now, worker))
    return end


def shards(plan: Sequence[Episode], costs: Costs, workers: int) -> float:
    return max(_in_turn(plan[worker::workers], costs) for worker in range(workers))


def groups(plan: Sequence[Episode], costs: Costs, workers: int) -> float:
    """With fewer than eight GPUs the tasks of a launch share them, longest first; with 16, two launches run at once."""
    by_task = defaultdict(list)
    for episode in plan:
        by_task[episode.setting, episode.task].append(episode)
    settings = dict.fromkeys(episode.setting for episode in plan)
    ends = [0.0] * max(1, workers // 8)
    for setting, tasks in itertools.product(settings, GROUPS):
        took = sorted((_in_turn(by_task[setting, task], costs) for task in tasks), reverse=True)
        slots = [0.0] * min(workers, 8)
        for seconds in took:
            heapq.heapreplace(slots, slots[0] + seconds)
        heapq.heapreplace(ends, ends[0] + max(slots))
    return max(ends)


def _in_turn(episodes: Sequence[Episode], costs: Costs) -> float:
    pairs = zip(episodes, [None, *episodes], strict=False)
    return costs.worker_start + sum(_takes(episode, last, costs) for episode, last in pairs)


def _takes(episode: Episode, last: Episode | None, costs: Costs) -> float:
    changes = last is None or (last.task, last.setting) != (episode.task, episode.setting)
    return costs.episodes[episode.id] + costs.task_start * changes


def robotwin(seconds_per_command: float) -> tuple[list[Episode], Costs]:
    """The published suite; which episodes succeed is drawn with LingBot-VA's published rates."""
    generator = np.random.default_rng(0)
    rates = {claim.task: claim.percents for claim in claims("robotwin_tasks") if claim.method == "LingBot-VA"}
    plan, seconds, limits = [], {}, {}
    for setting, (name, task) in itertools.product(("easy", "hard"), TASKS.items()):
        for seed, chance in enumerate(generator.uniform(0, 100, 100)):
            episode = Episode("robotwin", name, seed, "", setting)
            share = SUCCESS_TAKES if chance < float(rates[name][setting]) else 1.0
            plan.append(episode)
            seconds[episode.id] = task.command_limit * share * seconds_per_command
            limits[episode.id] = task.command_limit
    return plan, Costs(worker_start=120.0, task_start=30.0, episodes=seconds, limits=limits)


def on_paper(seconds_per_command: float) -> None:
    plan, costs = robotwin(seconds_per_command)
    total = sum(costs.episodes.values()) / 3600
    print(f"RoboTwin 2.0, {len(plan)} episodes, {seconds_per_command:.3f} s per command: {total:.0f} GPU hours")
    print(f"{'hours on':14} {'1 GPU':>8} {'8 GPUs':>8} {'64 GPUs':>8}")
    ways: dict[str, Callable[[Sequence[Episode], Costs, int], float]]
    ways = {"groups": groups, "fixed shards": shards, "queue": queue}
    for name, way in ways.items():
        hours = (way(plan, costs, workers) / 3600 for workers in (1, 8, 64))
        print(f"{name:14} " + " ".join(f"{number:8.1f}" for number in hours))


def play(out: Path, episodes: int, *ways: Sequence[str]) -> float:
    """Seconds from command to report of a run of the tabletop's expert, its scenes known, with one ``run-suite`` for
    each of ``ways``, at the same time."""
    words = ["tabletop", "--agent", "expert", "--setting", "both", "--episodes", str(episodes), "--video", "off"]
    words += [f"suite.manifest={out.parent / 'manifest'}", "--out", str(out)]
    start = time.monotonic()
    command = [sys.executable, "-m", "lingbot_eval.cli.run_suite", *words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    runs = [subprocess.Popen([*command, *way], **quiet) for way in ways]
    if max(run.wait() for run in runs):
        raise SystemExit(f"{out} has errors")
    return time.monotonic() - start


def measured(folder: RunDirectory, total: float) -> Costs:
    """Of a run with one worker that took ``total`` seconds, from the times between its records. What is in no episode
    is taken for the worker's start."""
    records = sorted(folder.records().all, key=lambda record: record.finished)
    same, changes = defaultdict(list), []
    for before, after in itertools.pairwise(records):
        seconds = _finished(after) - _finished(before)
        if _task(before) == _task(after):
            same[_task(after)].append(seconds)
        else:
            changes.append((_task(after), seconds))
    usual = {task: mean(seconds) for task, seconds in same.items()}
    change = mean(seconds - usual[task] for task, seconds in changes)
    known = sum(usual[_task(record)] for record in records) + change * (len(changes) + 1)
    episodes = {record.episode.id: usual[_task(record)] for record in records}
    limits = {record.episode.id: command_limit(record.episode.task) for record in records}
    return Costs(total - known, change, episodes, limits)


def check(episodes: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        play(folder / "first", episodes, ["--workers", "1"])  # finds the scenes, and warms the disk
        alone = play(folder / "one", episodes, ["--workers", "1"])
        one = RunDirectory(folder / "one")
        costs = measured(one, alone)
        said = queue(one.plan(), costs, 2)
        two = play(folder / "two", episodes, ["--workers", "2"])
        fixed = play(folder / "shards", episodes, ["--shard", "0/2"], ["--shard", "1/2"])
    print(f"tabletop, both settings, {episodes} episodes of each task: 1 worker {alone:.1f} s ", end="")
    print(f"(its start {costs.worker_start:.1f}, another task {costs.task_start:.2f})")
    print(f"2 workers, queue: {two:.1f} s, predicted {said:.1f} ({two / said - 1:+.0%}); {alone / two:.2f}x of one")
    print(f"2 fixed shards:   {fixed:.1f} s; the queue takes {two / fixed:.2f} of that")


def _task(record: EpisodeRecord) -> tuple[str, str]:
    return record.episode.task, record.episode.setting


def _finished(record: EpisodeRecord) -> float:
    return datetime.fromisoformat(record.finished).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--episodes", type=int, default=20, help="--check: per task and setting")
    parser.add_argument("--seconds-per-command", type=float, default=SECONDS_PER_COMMAND)
    given = parser.parse_args()
    if given.check:
        check(given.episodes)
    else:
        on_paper(given.seconds_per_command)


if __name__ == "__main__":
    main()
