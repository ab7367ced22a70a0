"""The simulation of ways to share a suite out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.scaling import SECONDS_PER_COMMAND, groups, queue, robotwin, shards
from lingbot_eval.types import Episode


def test_one_worker_needs_the_same_time_however_episodes_are_shared_out():
    plan, costs = robotwin(SECONDS_PER_COMMAND)
    total = costs.worker_start + sum(costs.episodes.values()) + 100 * costs.task_start  # 50 tasks in two settings
    assert queue(plan, costs, 1) == pytest.approx(total)
    assert shards(plan, costs, 1) == pytest.approx(total)
    free = replace(costs, worker_start=0.0)
    assert groups(plan, free, 1) == pytest.approx(queue(plan, free, 1))


@pytest.mark.parametrize("workers", [8, 64])
def test_the_queue_comes_close_to_what_no_way_can_beat(workers):
    plan, costs = robotwin(SECONDS_PER_COMMAND)
    bound = sum(costs.episodes.values()) / workers
    assert bound < queue(plan, costs, workers) < min(1.05 * bound, shards(plan, costs, workers))
    assert shards(plan, costs, workers) < groups(plan, costs, workers)


def test_a_long_episode_is_not_left_for_the_end():
    plan, costs = robotwin(SECONDS_PER_COMMAND)
    short = [episode for episode in plan if episode.task == "click_bell"][:8]
    (long,) = [episode for episode in plan if episode.task == "open_microwave"][:1]
    made: list[Episode] = [*short, long]
    took = {episode.id: 400.0 if episode is long else 50.0 for episode in made}
    costs = replace(costs, worker_start=0.0, task_start=0.0, episodes=took)
    assert queue(made, costs, 2) == pytest.approx(400.0)
