"""LeRobot's eval_info.json."""

from __future__ import annotations

import pytest

from lingbot_eval.errors import BadInput
from lingbot_eval.exports.eval_info import eval_info
from lingbot_eval.suites import tasks_of
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.reports.folders import directory, film

SUITES = ("libero_goal", "libero_10")


def libero() -> tuple[list[Episode], list[EpisodeRecord]]:
    """Task 7 of one suite, 1 of 2 done, and task 8 of another, 2 of 3 done, the fourth an ERROR."""
    stove, pots = "turn_on_the_stove", "KITCHEN_SCENE8_put_both_moka_pots_on_the_stove"
    plan = [Episode("libero_goal", stove, k, "turn it on", initial_state=k) for k in range(2)]
    plan += [Episode("libero_10", pots, k, "put both", initial_state=k) for k in range(4)]
    outcomes = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.SUCCESS, Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR]
    return plan, [EpisodeRecord(e, o, 10, 2.0) for e, o in zip(plan, outcomes, strict=True)]


def test_it_has_the_keys_that_lerobot_eval_writes(tmp_path):
    plan, records = libero()
    info = eval_info("libero", plan, {r.episode.id: r for r in records}, tmp_path)
    assert list(info) == ["per_task", "per_group", "overall"]
    averages = ["avg_sum_reward", "avg_max_reward", "pc_success", "n_episodes", "video_paths", "predicted_video_paths"]
    assert list(info["per_group"]) == list(SUITES)
    assert all(set(group) == set(averages) for group in info["per_group"].values())
    assert set(info["overall"]) == {*averages, "eval_s", "eval_ep_s"}
    metrics = {"sum_rewards", "max_rewards", "successes", "video_paths", "predicted_video_paths"}
    for task in info["per_task"]:
        assert set(task) == {"task_group", "task_id", "metrics"}
        assert set(task["metrics"]) == metrics


def test_tasks_have_their_index_in_the_suite_and_errors_are_no_episodes(tmp_path):
    plan, records = libero()
    info = eval_info("libero", plan, {r.episode.id: r for r in records}, tmp_path)
    assert [(task["task_group"], task["task_id"]) for task in info["per_task"]] == [
        ("libero_goal", 7),
        ("libero_10", 8),
    ]
    assert info["per_task"][1]["metrics"]["successes"] == [True, True, False]
    assert info["per_group"]["libero_10"]["n_episodes"] == 3
    overall = info["overall"]
    assert (overall["n_episodes"], overall["pc_success"], overall["eval_s"], overall["eval_ep_s"]) == (5, 60, 10, 2)
    assert overall["avg_sum_reward"] == overall["avg_max_reward"] == 0.6


def test_easy_and_hard_are_groups_of_their_own(tmp_path):
    plan = [Episode("tabletop", "lift_block", 1, "lift", setting=setting) for setting in ("easy", "hard")]
    info = eval_info("tabletop", plan, {e.id: EpisodeRecord(e, Outcome.SUCCESS, 1, 1.0) for e in plan}, tmp_path)
    assert list(info["per_group"]) == ["tabletop_easy", "tabletop_hard"]


def test_videos_that_there_are_are_named(tmp_path):
    plan = [Episode("real", task, 2, "fold") for task in ("pants", "clothes")]
    folder = directory(tmp_path / "run", plan, [EpisodeRecord(e, Outcome.SUCCESS, 0, 1.0) for e in plan])
    video = film(folder, "clothes/2-success.mp4")
    info = eval_info("real", plan, folder.records().final(), folder.path)
    assert info["overall"]["video_paths"] == info["per_task"][1]["metrics"]["video_paths"] == [str(video)]
    assert info["per_task"][1]["task_id"] == 1  # no suite lists it: its place in the plan


def test_a_task_that_its_suite_no_longer_lists_comes_after_those_that_it_does(tmp_path):
    renamed = Episode("toy", "gone", 0, "")
    info = eval_info("toy", [renamed], {renamed.id: EpisodeRecord(renamed, Outcome.SUCCESS, 1, 1.0)}, tmp_path)
    assert info["per_task"][0]["task_id"] == len(tasks_of("toy", "toy"))


def test_a_run_without_results_is_refused(tmp_path):
    plan, _ = libero()
    with pytest.raises(BadInput, match="no result yet"):
        eval_info("libero", plan, {}, tmp_path)


def test_a_part_is_the_one_of_its_own_benchmark(tmp_path):
    """Another benchmark may call its part so as well, and have other tasks in it."""
    plan = [Episode("toy", task, 0, "") for task in ("return", "reach")]
    final = {e.id: EpisodeRecord(e, Outcome.SUCCESS, 1, 1.0) for e in plan}
    tasks = eval_info("mine", plan, final, tmp_path)["per_task"]
    assert [task["task_id"] for task in tasks] == [0, 1]
    tasks = eval_info("toy", plan, final, tmp_path)["per_task"]
    assert [task["task_id"] for task in tasks] == [1, 0]
