"""The replay script on small recordings of our own: what it accepts, what it notices, what it refuses in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file, save_file

from lingbot_eval.agents.lingbot_va.session import Call
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.models.lingbot_va.configuration import from_upstream
from lingbot_eval.models.lingbot_va.tiny import make_tiny
from tests.fidelity.replay import main

CONFIG = {
    "env_type": "none",
    "obs_cam_keys": ["head", "wrist"],
    "height": 32,
    "width": 32,
    "frame_chunk_size": 2,
    "action_per_frame": 4,
    "attn_window": 4,
    "num_inference_steps": 2,
    "action_num_inference_steps": 2,
    "video_exec_step": -1,
    "guidance_scale": 5,
    "action_guidance_scale": 1,
    "snr_shift": 5.0,
    "action_snr_shift": 0.05,
    "used_action_channel_ids": [3, 0, 29],
    "norm_stat": {"q01": [-1.0] * 30, "q99": [1.0] * 30},
}


class Recorder:
    """A session's trace, as a case's calls and some of its tensors."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.tensors: dict[str, torch.Tensor] = {}

    def encoded(self, name, pixels, output) -> None:
        self.tensors[f"{name}/enc_out"] = output.clone()

    def called(self, call: Call) -> None:
        serials = {entry["tag"]: entry["serial"] for entry in self.calls} | {call.name: len(self.calls)}
        self.tensors |= {f"{call.name}/in": call.input.clone(), f"{call.name}/out": call.output.clone()}
        self.calls.append(
            {
                "serial": len(self.calls),
                "tag": call.name,
                "kind": call.stream,
                "update_cache": (2 if "/kv/" in call.name else 1) if call.kept else 0,
                "batch": call.rows,
                "timesteps": call.times,
                "frame_start": call.frame_start,
                "tokens": call.grid.shape[1],
                "attended": [(serials[name], tokens) for name, tokens in call.attended],
                "evicted": call.evicted,
            }
        )


def record(checkpoint: Path, folder: Path, *, executed: tuple[int | None, ...] = (2, 1, 2)) -> Path:
    """A server's case. ``executed``: per chunk, how many frames were fed back; None: there was no feedback."""
    sessions = Sessions.from_pretrained(str(checkpoint), from_upstream(CONFIG), dtype="float32", exact=True)
    trace, rng = Recorder(), np.random.default_rng(0)
    tensors, settings = trace.tensors, sessions.model.settings

    def noise(chunk):
        latents = torch.from_numpy(rng.standard_normal((1, 48, settings.frames, *settings.latent_size), np.float32))
        actions = torch.from_numpy(rng.standard_normal((1, 30, settings.frames, 4, 1), np.float32))
        tensors.update({f"chunk{chunk}/noise/latents": latents, f"chunk{chunk}/noise/actions": actions})
        return latents, actions

    session = sessions.new(open_loop=None in executed, trace=trace, noise=noise)
    pictures = {key: rng.integers(0, 256, (1 + 8 * len(executed), 40, 48, 3), np.uint8) for key in ("head", "wrist")}
    tensors |= {f"keyframes/{key}": torch.from_numpy(shots) for key, shots in pictures.items()}
    session.reset("open the drawer", seed=1)
    events: list[dict] = [{"op": "reset", "prompt": "open the drawer"}]
    shown = 1
    for chunk, frames in enumerate(executed):
        start = session.state.frame
        events.append({"op": "infer", "chunk": chunk, "frame_st_id": start})
        imagined = session.infer({key: images[:1] for key, images in pictures.items()})
        commands = imagined.commands
        tensors |= {f"chunk{chunk}/latents": imagined.latents.clone(), f"chunk{chunk}/actions": torch.tensor(commands)}
        session.state.frame = start
        if frames is None:
            continue
        last = shown + 4 * (frames - (start == 0))
        state = f"chunk{chunk}/kv/state"
        tensors[state] = torch.tensor(commands[:, :frames])
        session.feedback({key: images[shown:last] for key, images in pictures.items()}, commands[:, :frames])
        events.append({"op": "compute_kv_cache", "chunk": chunk, "keyframes": [shown, last], "state": state})
        shown = last
    case = {
        "model": str(checkpoint),
        "config": CONFIG,
        "prompt": "open the drawer",
        "prompt_clean": "open the drawer",
        "mode": "server",
        "dtype": "torch.float32",
        "events": events,
        "calls": trace.calls,
    }
    folder.mkdir()
    (folder / "case.json").write_text(json.dumps(case))
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "case.safetensors")
    return folder / "case.json"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    make_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def recorded(tiny, tmp_path_factory) -> Path:
    return record(tiny, tmp_path_factory.mktemp("cases") / "one")


@pytest.fixture
def case(recorded, tmp_path) -> Path:
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"case{suffix}").write_bytes(recorded.with_suffix(suffix).read_bytes())
    return tmp_path / "case.json"


def edit(case: Path, change) -> None:
    content = json.loads(case.read_text())
    change(content)
    case.write_text(json.dumps(content))


def edit_tensors(case: Path, change) -> None:
    tensors = load_file(case.with_suffix(".safetensors"))
    change(tensors)
    save_file(tensors, case.with_suffix(".safetensors"))


def test_a_recording_is_reproduced_and_what_it_does_not_hold_is_said(case, capsys):
    assert main([str(case)]) == 0
    fast, exact = capsys.readouterr().out.split("case, exact: within tolerance")
    assert fast.startswith("case, fast: within tolerance")
    assert "not recorded: chunk*/action/step*/grid_id (3)" in exact
    assert "not computed here: chunk*/action/step*/in (3)" in fast  # of the pass that feedback drops unread
    assert "not computed here" not in exact


def test_the_exact_mode_repeats_its_own_bits_also_where_groups_are_evicted_in_part(case, capsys):
    calls = json.loads(case.read_text())["calls"]
    assert any(0 < call["evicted"] < call["tokens"] for call in calls)
    assert main([str(case), "--mode", "exact"]) == 0
    counts = [line.split() for line in capsys.readouterr().out.splitlines() if "tensors," in line]
    assert all(line[line.index("tensors,") - 1].strip("(") == line[line.index("identical;") - 1] for line in counts)


def test_a_server_that_got_no_feedback_imagines_the_same_frames_again(tiny, tmp_path, capsys):
    case = record(tiny, tmp_path / "case", executed=(2, None, 2))
    events = json.loads(case.read_text())["events"]
    assert [event["frame_st_id"] for event in events if event["op"] == "infer"] == [0, 2, 2]
    assert main([str(case)]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["calls"][4]["attended"].pop(), "attended"),
        (lambda c: c["calls"][1]["timesteps"].append(0.0), "times"),
        (lambda c: c["calls"].pop(), "not recorded"),
        (lambda c: c.update(prompt_clean="?"), "cleaned prompt"),
        (lambda c: c["events"][3].update(frame_st_id=1), "frame"),
        (lambda c: c["config"].update(guidance_scale=4), "video output"),
    ],
)
def test_another_call_than_recorded_is_named(case, change, words, capsys):
    edit(case, change)
    assert main([str(case), "--mode", "fast"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "DIFFERENT" in line or "BEYOND" in line]
    assert any(words in line for line in lines), lines


def test_a_recording_without_any_output_does_not_pass(case):
    def inputs_only(tensors):
        for name in list(tensors):
            if not name.startswith("keyframes/") and "/noise/" not in name and "/state" not in name:
                del tensors[name]

    edit_tensors(case, inputs_only)
    assert main([str(case), "--mode", "fast"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(model="nowhere"), "nowhere"),
        (lambda c: c.update(dtype="torch.float16"), "torch.float16"),
        (lambda c: c.pop("events"), "events"),
        (lambda c: c["events"].append({"op": "reset", "prompt": "x"}), "one reset"),
        (lambda c: c["events"].append({"op": "dance"}), "dance"),
        (lambda c: c["events"][2].update(keyframes=[5, 1]), "5 to 1"),
        (lambda c: c["events"][2].update(state="nothing"), "lacks the tensor nothing"),
        (lambda c: c["config"].pop("attn_window"), "attn_window"),
        (lambda c: c["config"].update(norm_stat=None), "norm_stat"),
        (lambda c: c["config"].update(video_exec_step=3), "beyond the schedule"),
        (lambda c: c["config"].update(width=64), "its configuration says"),
    ],
)
def test_a_case_that_cannot_be_replayed_is_one_line_and_status_2(case, change, words, capsys):
    edit(case, change)
    assert main([str(case)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert words in error[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("chunk1/noise/latents"), "lacks the tensor chunk1/noise/latents"),
        (lambda t: t.update({"keyframes/head": t["keyframes/head"].float()}), "float32"),
        (lambda t: t.update({"keyframes/head": t["keyframes/head"][:3]}), "1 to 5"),
        (
            lambda t: t.update({"chunk0/kv/state": t["chunk0/kv/state"][:, :1].clone()}),
            "cover 1 latent frames",
        ),
    ],
)
def test_inputs_that_are_missing_or_do_not_fit_are_named(case, change, words, capsys):
    edit_tensors(case, change)
    assert main([str(case)]) == 2
    assert words in capsys.readouterr().err


def test_files_that_are_missing_or_broken_are_named(case, capsys):
    case.with_suffix(".safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    for path, words in ((case, "case.safetensors cannot be read"), (case.parent / "no.json", "no file")):
        assert main([str(path)]) == 2
        assert words in capsys.readouterr().err


def test_the_script_runs_from_a_checkout_and_ends_without_a_traceback(tmp_path):
    script = Path(__file__).parent / "replay.py"
    (tmp_path / "case.json").write_text("{")
    (tmp_path / "case.safetensors").touch()
    command = [sys.executable, script, tmp_path / "case.json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "no recorded rollout" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
