"""Paths of experts in the beat of a model's looks."""

from __future__ import annotations

import numpy as np
import pytest

from lingbot_eval.cli.run_suite import main
from lingbot_eval.envs.robotwin.paced import paced
from lingbot_eval.envs.robotwin.thinned import thinned
from lingbot_eval.settings.pace import Pace
from tests.envs.robotwin.test_thinned import CLOSED, OPEN, path

OVER, LOWER = (7, (0.025, 0, 0), OPEN), (3, (0, 0, -0.025), OPEN)
PICK = path(OVER, LOWER, (6, (0, 0, 0), CLOSED), (3, (0, 0, 0.02), CLOSED))
LATER = slice(4, None)


def drawn(seed: int) -> np.ndarray:
    return paced(PICK, Pace(6, beat=4, stray=0.02), np.random.default_rng(seed))


def test_a_hand_is_above_what_it_comes_down_on_at_a_beat_and_comes_down_in_two_commands():
    found = paced(PICK, Pace(6, beat=4), np.random.default_rng(0))
    assert len(thinned(PICK, 6)) == 5
    np.testing.assert_array_equal(found[3], PICK[6])
    np.testing.assert_array_equal(found[LATER], PICK[[8, 9, 15, 18]])


def test_a_hand_strays_more_often_than_not_and_comes_down_where_it_should():
    paths = [drawn(seed) for seed in range(40)]
    aside = np.array([found[3] - PICK[6] for found in paths])
    strayed = np.linalg.norm(aside[:, :2], axis=1) > 0
    assert 0.4 < strayed.mean() < 0.8
    assert 0.005 < np.abs(aside[strayed, :2]).mean() < 0.06
    assert (np.linalg.norm(aside[strayed, 3:7], axis=1) > 0).all()
    assert not aside[:, [2, *range(7, 16)]].any()
    for found in paths:
        np.testing.assert_array_equal(found[LATER], PICK[[8, 9, 15, 18]])
        np.testing.assert_allclose(np.linalg.norm(found[:, 3:7], axis=1), 1)


def test_it_goes_straight_to_beside_the_place():
    found = next(found for found in map(drawn, range(40)) if found[3, 1] != 0)
    np.testing.assert_allclose(found[:4, 1], found[3, 1] * np.array([0.25, 0.5, 0.75, 1]))


def test_the_same_generator_strays_alike():
    np.testing.assert_array_equal(drawn(3), drawn(3))


def test_who_does_not_come_down_is_only_thinned():
    along = path(OVER, (4, (0, 0.025, 0), OPEN))
    np.testing.assert_array_equal(paced(along, Pace(6, 4, 0.05), np.random.default_rng(0)), thinned(along, 6))


def test_a_gripper_may_close_before_the_hand_comes_down():
    press = path(OVER, (6, (0, 0, 0), CLOSED), (6, (0, 0, -0.025), CLOSED))
    found = paced(press, Pace(6, 4), np.random.default_rng(0))
    np.testing.assert_array_equal(found[3:], press[[6, 12, 15, 18]])


def test_a_paced_expert_wins_and_is_another_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    pace = ["agent.waypoints_per_command=6", "agent.beat=4", "agent.stray=0.015"]
    assert main(["tabletop", "--tasks", "lift_block", "--episodes", "2", "--out", "run", *pace]) == 0
    from lingbot_eval import Run

    records, agent = Run("run").records(), Run("run").experiment["agent"]
    assert records.success.all()
    assert records.commands.tolist() == [8, 8]
    assert {name: agent[name] for name in ("name", "beat", "stray")} == {
        "name": "paced-expert", "beat": 4, "stray": 0.015,
    }  # fmt: skip
