"""The fast path and the exact one compute what the original computes: recorded rollouts, replayed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

import torch

from tests.fidelity.replay import Replay

FOLDER = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
CASES = sorted(path for path in FOLDER.glob("*.json") if "calls" in json.loads(path.read_text()))

pytestmark = pytest.mark.skipif(not CASES, reason=f"no recorded rollouts in {FOLDER} (set LINGBOT_EVAL_GOLDEN)")

NOT_COMPARED = (
    "keyframes/",
    "/noise/",
    "/kv/state",
    "decoded_video_",
    "final_pool/",
    "text/",
    "/init_latent",
    "/cache_",
)
"""Inputs; what is compared as lists; frame 0 of what the first call gets; slot tables of the original."""


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
        rest = [
            name for name in set(replay.tensors) - report.compared if not any(part in name for part in NOT_COMPARED)
        ]
        assert rest == []


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
