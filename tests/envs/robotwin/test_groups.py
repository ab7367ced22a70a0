"""The fifty tasks, and the seven groups in which they are played."""

from __future__ import annotations

from collections import Counter

import pytest

from lingbot_eval.envs.robotwin.groups import GROUPS
from lingbot_eval.envs.robotwin.tasks import EXPERT_FIRST, TASKS
from lingbot_eval.errors import BadInput
from lingbot_eval.runs.compose import Choices, choose
from lingbot_eval.settings import SuiteSettings
from lingbot_eval.settings.robotwin import RoboTwinProtocol
from lingbot_eval.suites import load_protocol
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted
from lingbot_eval.suites.scenes import episodes
from tests.planning import wanted_scenes

FACTS = {"sapien": "3.0.3"}


def every_other(wanted: Wanted, seed: int) -> Audition:
    """A stand-in for an expert: it solves even seeds."""
    if seed % 2:
        return Audition(seed, "unsolved", "odd", {})
    return Audition(seed, "solved", "", {split: f"{split} {wanted.task} {seed}" for split in ("seen", "unseen")})


def suite(tasks: tuple[str, ...], count: int) -> SuiteSettings:
    return SuiteSettings("robotwin", ("robotwin",), tasks, ("easy", "hard"), count, None, None)


def test_seven_groups_hold_each_of_the_fifty_tasks_once():
    assert len(TASKS) == 50
    assert [len(tasks) for tasks in GROUPS] == [8, 8, 8, 8, 8, 8, 2]
    assert sorted(task for tasks in GROUPS for task in tasks) == sorted(TASKS)
    assert set(EXPERT_FIRST) < set(TASKS)


def test_the_groups_together_play_each_of_the_fifty_times_n_episodes_once(tmp_path):
    count = 3
    protocol = load_protocol("robotwin", "lingbot-va")
    assert isinstance(protocol, RoboTwinProtocol)
    manifest = Manifest(tmp_path)
    manifest.open("robotwin", FACTS)
    played = Counter()
    for number in range(len(GROUPS)):
        wanted = wanted_scenes(suite(GROUPS[number], count), protocol)
        for want in wanted:
            manifest.extend(want, lambda seed, want=want: every_other(want, seed), lambda: False)
        played.update(episode.id for episode in episodes(manifest, wanted, "robotwin", protocol))
    together = episodes(manifest, wanted_scenes(suite((), count), protocol), "robotwin", protocol)
    assert len(together) == 50 * count * 2
    assert played == Counter(episode.id for episode in together)


def test_a_group_that_there_is_not_is_refused():
    with pytest.raises(BadInput, match=r"groups 0\.\.6"):
        choose("robotwin", Choices(group=7))


def test_limits_and_horizons_are_those_published():
    assert sum(task.command_limit for task in TASKS.values()) == 31_000
    assert Counter(task.horizon for task in TASKS.values()) == {1: 30, 2: 15, 3: 5}
    assert [name for name, task in TASKS.items() if not task.objects] == [
        *("blocks_ranking_rgb", "blocks_ranking_size", "handover_block", "stack_blocks_three", "stack_blocks_two"),
    ]
