"""What LingBot-VA's post-training makes of an exported dataset."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.datasets.commands import commands as commands_of
from lingbot_eval.datasets.commands import normalised
from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.datasets.segments import frame_ids, latent_frames
from lingbot_eval.envs.robotwin import poses


def test_an_exported_episode_becomes_the_commands_that_were_played(tmp_path, capsys):
    """Relative to the first command, as post-training has it, where play has them relative to the first state."""
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    run, out = tmp_path / "run", tmp_path / "out"
    words = ["tabletop", "--tasks", "press_button", "--episodes", "1", "--out", str(run), "actions=true"]
    assert run_suite([*words, f"suite.manifest={tmp_path / 'scenes'}", "agent.commands_per_action=1"]) == 0
    assert main(["export", str(run), "--to", "lerobot-2.1", "--out", str(out)]) == 0
    robot, dataset = load_robot("robotwin"), LeRobot(out)
    settings, (episode,) = settings_of(robot), dataset.episodes
    (segment,) = episode.segments
    ids = frame_ids(segment, settings.commands_per_look, robot.tail)
    rows, states = dataset.rows(episode), dataset.rows(episode, "observation.state")
    item = normalised(commands_of(rows, robot, dataset.names()), settings, latent_frames(ids), 4)
    with np.load(next(run.glob("actions/*/*.npz"))) as kept:
        commands = kept["actions"].reshape(-1, 16)
    assert len(rows) == len(commands) == segment.end_frame
    absolute = poses.absolute(states[0], commands)
    np.testing.assert_allclose(rows, absolute, atol=1e-6)
    low, high = (np.array(bounds)[list(settings.channels)] for bounds in (settings.q01, settings.q99))
    expected = np.clip((poses.relative(absolute[0], absolute) - low) / (high - low + 1e-6) * 2 - 1, -1.5, 1.5)
    count = (item.shape[1] - 1) * 16
    assert count >= 16
    played = item[list(settings.channels), 1:, :, 0].reshape(16, -1).T
    np.testing.assert_allclose(played, expected[:count], atol=1e-4)
    cameras = sorted(path.name for path in (out / "videos" / "chunk-000").iterdir())
    assert cameras == sorted(settings.cameras.values())
