"""What we write in LeRobot's layout is what LeRobot's own ``save_pretrained`` wrote of the same model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file

from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import from_upstream
from lingbot_eval.models.lingbot_va.saving import write_lerobot, write_upstream

FOLDER = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))

pytestmark = pytest.mark.skipif(
    not (FOLDER / "model_a_lerobot").is_dir(), reason=f"no recorded checkpoints in {FOLDER} (set LINGBOT_EVAL_GOLDEN)"
)

CAMERAS = {"head": "observation.images.image", "wrist": "observation.images.image2"}
OTHERWISE = {"push_to_hub", "wan_pretrained_path"}
"""We upload nothing, and our folder lies elsewhere."""


@pytest.fixture(params=["model_a", "model_a_lerobot"])
def written(request, tmp_path) -> Path:
    base = locate(str(FOLDER / request.param))
    config = json.loads((FOLDER / "libero.json").read_text())["config"]
    state = loading.load_transformer(base, torch.float32, torch.device("cpu")).state_dict()
    settings = from_upstream({**config, "obs_cam_keys": list(CAMERAS.values())}, CAMERAS)
    write_lerobot(tmp_path / "lerobot", state, base, settings, None)
    write_upstream(tmp_path / "upstream", state, base, settings, None)
    return tmp_path


def test_lerobots_layout_is_lerobots(written):
    theirs, ours = FOLDER / "model_a_lerobot", written / "lerobot"
    assert {file.name for file in theirs.iterdir()} == {file.name for file in ours.iterdir()} - {"lingbot_eval.json"}
    for file in theirs.glob("*.safetensors"):
        there, here = load_file(file), load_file(ours / file.name)
        assert there.keys() == here.keys()
        assert all(torch.equal(value, here[name]) for name, value in there.items()), file.name
    there, here = (json.loads((folder / "config.json").read_text()) for folder in (theirs, ours))
    picture = {"type": "VISUAL", "shape": [3, there["height"], there["width"]]}
    there["input_features"] = dict.fromkeys(there["input_features"], picture)  # theirs are of the data's size
    assert {
        name: (there.get(name), here.get(name)) for name in there.keys() | here.keys() if name not in OTHERWISE
    } == {name: (value, value) for name, value in there.items() if name not in OTHERWISE}
    assert (ours / here["wan_pretrained_path"]).resolve() == (FOLDER / "model_a").resolve()
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        there, here = (json.loads((folder / name).read_text()) for folder in (theirs, ours))
        assert [set(step) for step in there["steps"]] == [set(step) for step in here["steps"]]
        assert [step["registry_name"] for step in there["steps"]] == [step["registry_name"] for step in here["steps"]]


def test_upstreams_layout_has_upstreams_weights(written):
    there = load_file(FOLDER / "model_a" / "transformer" / "diffusion_pytorch_model.safetensors")
    here = load_file(written / "upstream" / "transformer" / "diffusion_pytorch_model.safetensors")
    assert there.keys() == here.keys()
    assert all(torch.equal(value, here[name]) for name, value in there.items())
