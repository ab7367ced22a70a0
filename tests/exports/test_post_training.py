"""What LingBot-VA's post-training makes of an exported dataset."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.robotwin import poses
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from tests.exports.post_training import actions

GOLDEN = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))


@pytest.mark.parametrize("benchmark", ["libero", "robotwin"])
def test_our_reading_of_an_item_is_upstreams(benchmark):
    """The reading is the tests' own; recorded items of the original hold it."""
    if not (GOLDEN / f"data_{benchmark}.json").is_file():
        pytest.skip("no recorded items: LINGBOT_EVAL_GOLDEN names their folder")
    safetensors = pytest.importorskip("safetensors.torch")
    case = json.loads((GOLDEN / f"data_{benchmark}.json").read_text())
    tensors = safetensors.load_file(GOLDEN / f"data_{benchmark}.safetensors")
    rows = tensors["in/action"].numpy()
    ours = actions(rows, case["frame_ids"], case["local_start_frame"], load_benchmark(benchmark))
    np.testing.assert_allclose(ours, tensors["out/actions"].numpy(), atol=2e-6)


def test_an_exported_episode_becomes_the_commands_that_were_played(tmp_path, capsys):
    """Relative to the first command, as post-training has it, where play has them relative to the first state."""
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -e '.[export]'")
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    run, out = tmp_path / "run", tmp_path / "out"
    words = ["tabletop", "--tasks", "press_button", "--episodes", "1", "--out", str(run), "actions=true"]
    assert run_suite([*words, f"suite.manifest={tmp_path / 'scenes'}", "agent.commands_per_action=1"]) == 0
    assert main(["export", str(run), "--to", "lerobot-2.1", "--out", str(out)]) == 0
    settings = load_benchmark("robotwin")
    segment = json.loads((out / "meta" / "episodes.jsonl").read_text())["action_config"][0]
    frame_ids = range(segment["start_frame"], segment["end_frame"], 4)  # 16 commands per latent frame
    table = pq.read_table(out / "data" / "chunk-000" / "episode_000000.parquet")
    rows, states = (np.array(table[name].to_pylist()) for name in ("action", "observation.state"))
    item = actions(rows, list(frame_ids), 0, settings)
    with np.load(next(run.glob("actions/*/*.npz"))) as kept:
        commands = kept["actions"].reshape(-1, 16)
    assert len(rows) == len(commands) == segment["end_frame"]
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
