"""Paths of experts with fewer waypoints."""

from __future__ import annotations

import numpy as np
import pytest

from lingbot_eval.cli.run_suite import main
from lingbot_eval.envs.robotwin.thinned import ends, thinned

DOWN, OPEN, CLOSED = (0.5, -0.5, 0.5, 0.5), 1.0, 0.0


def path(*stretches: tuple[int, tuple[float, float, float], float]) -> np.ndarray:
    """(n, 16): each stretch is its number of waypoints, how far the left hand goes at each, and its gripper."""
    rows, at = [], np.zeros(3)
    for count, motion, gripper in stretches:
        for _ in range(count):
            at = at + motion
            rows.append([*at, *DOWN, gripper, 0.3, 0, 1, *DOWN, OPEN])
    return np.array(rows)


REACH = path((7, (0.025, 0, 0), OPEN), (5, (0, 0, -0.025), OPEN), (6, (0, 0, 0), CLOSED), (3, (0, 0, 0.02), CLOSED))


def test_stretches_end_where_the_hand_turns_or_stops_and_where_a_gripper_moves():
    assert ends(REACH) == [6, 11, 17, 20]


def test_ends_stay_a_wait_is_one_command_and_no_command_is_for_more_waypoints_than_asked():
    kept = [int(np.flatnonzero((row == REACH).all(axis=1))[-1]) for row in thinned(REACH, 4)]
    assert kept == [3, 6, 9, 11, 17, 20]
    assert len(thinned(REACH, 100)) == 4
    np.testing.assert_array_equal(thinned(REACH, 1), REACH)


def test_digits_that_relative_poses_lose_are_no_motion():
    dice = np.random.default_rng(0)
    assert ends(REACH + dice.normal(0.0, 1e-9, REACH.shape) * (np.arange(16) % 8 != 7)) == [6, 11, 17, 20]
    assert len(thinned(REACH + dice.normal(0.0, 1e-9, REACH.shape) * (np.arange(16) % 8 != 7), 100)) == 4


def test_an_arc_is_one_stretch():
    turn = np.linspace(0.0, 1.5, 11)
    rows = np.tile(path((1, (0, 0, 0), OPEN)), (11, 1))
    rows[:, 3:7] = np.stack([np.cos(turn / 2), np.sin(turn / 2), 0 * turn, 0 * turn], axis=1)
    assert ends(rows) == [10]


def test_a_thinned_expert_wins_in_fewer_commands_and_is_another_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    lift = ["tabletop", "--tasks", "lift_block", "--episodes", "1"]
    assert main([*lift, "--out", "whole"]) == 0
    assert main([*lift, "--out", "thinned", "agent.waypoints_per_command=6"]) == 0
    from lingbot_eval import Run

    whole, few = (Run(name).records().commands.item() for name in ("whole", "thinned"))
    assert few <= 7 < 20 < whole
    assert Run("whole").experiment["agent"] == {
        "name": "expert", "looks": False, "commands_per_action": 1, "lingbot": None,
    }  # fmt: skip
    assert Run("thinned").experiment["agent"]["name"] == "thinned-expert"
    assert Run("thinned").experiment["agent"]["waypoints_per_command"] == 6
    capsys.readouterr()
    assert main([*lift, "--out", "whole", "agent.waypoints_per_command=2"]) == 2
    assert "holds another experiment" in capsys.readouterr().err


def test_an_expert_that_knows_no_path_beforehand_is_not_thinned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy = ["toy", "--tasks", "reach", "--episodes", "1", "--agent", "expert", "--out", "run"]
    assert main([*toy, "agent.waypoints_per_command=2"]) == 1
    from lingbot_eval import Run

    assert "there is no path to thin" in Run("run").records().error.item()
