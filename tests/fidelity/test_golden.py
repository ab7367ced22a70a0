"""The fast path and the exact one compute what the original computes: recorded rollouts, replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

from lingbot_eval.agents.lingbot_va.imagine import decoded, imagine
from lingbot_eval.cli.imagine import read_pictures
from lingbot_eval.episode import run_episode
from lingbot_eval.types import Episode
from tests.fidelity.rollout import Feedback, Infer, Replay

FOLDER = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
CASES = sorted(path for path in FOLDER.glob("*.json") if "calls" in json.loads(path.read_text()))

pytestmark = pytest.mark.skipif(not CASES, reason=f"no recorded rollouts in {FOLDER} (set LINGBOT_EVAL_GOLDEN)")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("mode", ["fast", "exact"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_recorded_rollout_is_reproduced(case, mode):
    replay = Replay(case, exact=mode == "exact")
    report = replay.run()
    assert report.passed, "\n".join(report.lines())
    if mode == "exact":
        assert report.left(replay.tensors) == []


class Recorded(gym.Env):
    """Shows a case's pictures in turn, whatever is commanded, and remembers the commands."""

    def __init__(self, replay: Replay) -> None:
        keys = replay.model.settings.cameras
        self._images = {name: replay.tensors[f"keyframes/{key}"].numpy() for name, key in keys.items()}
        self._count = max(event.keyframes[1] for event in replay.case.events if isinstance(event, Feedback))

    def reset(self, *, seed=None, options=None):
        self._shown, self.commands = 0, []
        return self._look(), {}

    def step(self, action):
        self.commands.append(action)
        self._shown += 1
        done = sum(map(len, self.commands))
        info = {"commands": done, "progress": 0.0, "max_progress": 0.0, "out_of_bounds": 0}
        return self._look(), 0.0, self._shown == self._count - 1, False, info

    def _look(self):
        images = {name: pictures[self._shown] for name, pictures in self._images.items()}
        return {"images": images, "state": np.zeros(0, np.float32)}


def closed_loop(path: Path) -> bool:
    """The executed commands are the returned ones, so that the core's loop makes the same calls."""
    case = json.loads(path.read_text())
    fed_back = [event["op"] for event in case["events"][1:]] == ["infer", "compute_kv_cache"] * case["n_chunks"]
    return fed_back and case["state_mode"] == "returned" and not case["exec_frames"]


@pytest.mark.parametrize("case", [path for path in CASES if closed_loop(path)], ids=lambda path: path.stem)
def test_the_cores_loop_makes_the_originals_calls(case):
    replay = Replay(case, exact=True)
    env = Recorded(replay)
    run_episode(env, replay.session, Episode("recorded", case.stem, 0, replay.case.prompt))
    replay.compare_calls(last=2)  # an episode that is over feeds nothing back
    assert replay.report.passed, "\n".join(replay.report.lines())
    count = sum(isinstance(event, Infer) for event in replay.case.events)
    chunks = [replay.tensors[f"chunk{chunk}/actions"].numpy() for chunk in range(count)]
    executed = np.concatenate([chunk.transpose(1, 2, 0)[chunk is chunks[0] :] for chunk in chunks])
    executed = executed.reshape(-1, *env.commands[0].shape)
    if not replay.report.half:
        np.testing.assert_allclose(np.stack(env.commands), executed, atol=2e-4, rtol=1e-4)


def test_imagine_makes_the_originals_video_and_actions_from_picture_files(tmp_path):
    case = FOLDER / "robotwin_i2va.json"
    if not case.is_file():
        pytest.skip(f"{case} is not there")
    replay = Replay(case, exact=False)
    model, tensors, report, given = replay.model, replay.tensors, replay.report, []
    for name, key in model.settings.cameras.items():
        Image.fromarray(tensors[f"keyframes/{key}"][0].numpy()).save(tmp_path / f"{name}.png")
        given.append(f"{name}={tmp_path / name}.png")
    pictures, chunks = (
        read_pictures(given, list(model.settings.cameras)),
        sum(isinstance(event, Infer) for event in replay.case.events),
    )

    def noise(chunk: int) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[f"chunk{chunk}/noise/latents"], tensors[f"chunk{chunk}/noise/actions"]

    rollout = imagine(replay.sessions, pictures, replay.case.prompt, chunks, seed=0, noise=noise)
    commands = np.split(rollout.commands, chunks, axis=1)
    for chunk, latents in enumerate(rollout.latents.split(model.settings.frames, dim=2)):
        report.close("latents", f"chunk{chunk}/latents", latents, tensors[f"chunk{chunk}/latents"])
        report.close("actions", f"chunk{chunk}/actions", commands[chunk], tensors[f"chunk{chunk}/actions"])
    shown, wanted = list(decoded(model, rollout)), tensors["decoded_video"]
    assert len(shown) == tensors["decoded_video_shape"][0]
    for number, picture in zip(tensors["decoded_video_frames"].tolist(), wanted, strict=True):
        for name, tile in model.vision.apart(picture[None].numpy()).items():
            np.testing.assert_allclose(shown[number].images[name], tile[0] * 255, atol=0.6)
    assert report.passed, "\n".join(report.lines())
    assert report.errors["actions"].count == chunks


@pytest.mark.skipif(not (FOLDER / "model_a_lerobot").is_dir(), reason="no recorded model in LeRobot's layout")
def test_lerobots_layout_computes_the_same(capsys):
    report = Replay(FOLDER / "libero.json", exact=False, model="model_a_lerobot").run()
    assert report.passed, "\n".join(report.lines())
    assert capsys.readouterr().out == ""  # its settings are the case's


def test_the_script_says_what_is_beyond_tolerance_and_exits_1(tmp_path):
    """One recorded action is moved by 1e-3."""
    from safetensors.torch import load_file, save_file

    case = FOLDER / "nocfg.json"
    if not case.is_file():
        pytest.skip(f"{case} is not there")
    tensors = load_file(case.with_suffix(".safetensors"))
    tensors["chunk1/actions"][0, 0, 0] += 1e-3
    save_file(tensors, tmp_path / "nocfg.safetensors")
    content = json.loads(case.read_text())
    (tmp_path / "nocfg.json").write_text(json.dumps({**content, "model": str(case.parent / content["model"])}))
    script = Path(__file__).parent / "replay.py"
    command = [sys.executable, str(script), str(tmp_path / "nocfg.json"), "--mode", "fast"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if "BEYOND" in line] == ["actions"]
