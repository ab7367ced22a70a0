"""Recorded training steps are reproduced; and the replay script on small recordings of our own: what it notices, what
it refuses in one line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file, save_file

from benchmarks.plain_training import plain_losses
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.masks import seen, whole
from lingbot_eval.models.lingbot_va.noising import applied, draw
from lingbot_eval.models.lingbot_va.training import Trainable, compared
from tests.fidelity.replay import main
from tests.fidelity.training import TrainingReplay, is_training
from tests.models.lingbot_va.noisy import ORIGINAL, batch, dice

FOLDER = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))
CASES = sorted(filter(is_training, FOLDER.glob("*.json")))


@pytest.mark.skipif(not CASES, reason=f"no recorded training steps in {FOLDER} (set LINGBOT_EVAL_GOLDEN)")
@pytest.mark.parametrize("mode", ["fast", "exact"])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_recorded_training_step_is_reproduced(case, mode):
    replay = TrainingReplay(case, exact=mode == "exact")
    report = replay.run()
    assert report.passed, "\n".join(report.lines())
    assert report.left(replay.tensors) == report.missing == []
    norms = [norm for norm in replay.case.grad_norms.values() if norm is not None]
    assert report.errors["gradient norms"].count == len(norms) > 50
    assert report.errors["losses"].count == 2


@pytest.mark.skipif(not CASES, reason=f"no recorded training steps in {FOLDER} (set LINGBOT_EVAL_GOLDEN)")
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_plain_step_that_ours_is_measured_against_is_the_originals(case):
    replay = TrainingReplay(case, exact=True)
    recorded, step = replay.case, replay.step(replay.layout(whole))
    found = plain_losses(replay.model, step)
    assert found.video.item() == pytest.approx(recorded.loss_latent, rel=1e-5)
    assert found.action.item() == pytest.approx(recorded.loss_action, rel=1e-5)
    found.total.backward()
    for name, parameter in replay.model.named_parameters():
        assert parameter.grad.norm().item() == pytest.approx(recorded.grad_norms[name], rel=1e-4), name


def record(checkpoint: Path, folder: Path) -> Path:
    """A step of our own, as the original's is recorded: everything stands in the sequence."""
    items, noising = batch(), msgspec.structs.replace(ORIGINAL, chunk=(2, 2), window=(4, 4), history_share=1.0)
    layout = whole(5, (4, 6), 4, 2, 4)
    noised = applied(items, noising, replace(draw(items, noising, dice(1)), layout=layout))
    model = loading.load_transformer(locate(str(checkpoint)), torch.float32, torch.device("cpu"))
    predicted = Trainable(model, "dense").predict(noised)
    found = compared(predicted, noised)
    found.total.backward()
    tensors = {"in/latents": items.latents, "in/actions": items.actions, "in/actions_mask": items.mask}
    tensors |= {f"in/text_emb.{row}": text for row, text in enumerate(items.texts)}
    for stream, half in (("latent", noised.video), ("action", noised.actions)):
        tensors |= {
            f"{stream}_dict/noisy_latents": half.noisy,
            f"{stream}_dict/targets": half.target,
            f"{stream}_dict/timesteps": half.times,
            f"{stream}_dict/cond_timesteps": half.clean_times,
            f"{stream}_dict/latent": half.clean,
            f"weights/{stream}_timestep_weight": half.weights,
        }
    one = seen(layout)
    parts = torch.repeat_interleave(torch.arange(4), torch.tensor(layout.lengths))
    order = torch.cat([torch.stack([torch.arange(len(parts))[parts == part]] * 2).flatten() for part in range(4)])
    owner = torch.cat([torch.arange(2).repeat_interleave(int((parts == part).sum())) for part in range(4)])
    mask = torch.zeros(256, 256, dtype=torch.bool)
    mask[: len(order), : len(order)] = one[order][:, order] & (owner[:, None] == owner[None])
    tensors["attention_mask"] = mask
    case = {
        "model": str(checkpoint),
        "chunk_size": 2,
        "window_size": 4,
        "snr_shift": 5.0,
        "action_snr_shift": 1.0,
        "loss_latent": found.video.item(),
        "loss_action": found.action.item(),
        "grad_norms": {name: value.grad.norm().item() for name, value in model.named_parameters()},
    }
    folder.mkdir()
    (folder / "case.json").write_text(json.dumps(case))
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / "case.safetensors")
    return folder / "case.json"


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
    save_file({name: value.contiguous() for name, value in tensors.items()}, case.with_suffix(".safetensors"))


def test_a_recording_is_reproduced_and_what_it_does_not_hold_is_said(case, capsys):
    assert main([str(case)]) == 0
    fast, exact = capsys.readouterr().out.split("case, exact: within tolerance")
    assert fast.startswith("case, fast: within tolerance")
    assert "not recorded: action_dict/grid_id (1), latent_dict/grid_id (1), out/action_pred (1)" in exact


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(chunk_size=3), "attention_mask"),
        (lambda c: c.update(window_size=2), "attention_mask"),
        (lambda c: c.update(snr_shift=4.0), "times"),
        (lambda c: c.update(action_snr_shift=2.0), "weights"),
        (lambda c: c.update(loss_action=c["loss_action"] * (1 + 3e-5)), "losses"),
        (
            lambda c: c["grad_norms"].update({"proj_out.bias": c["grad_norms"]["proj_out.bias"] * 1.001}),
            "gradient norms",
        ),
        (lambda c: c["grad_norms"].pop("proj_out.bias"), "with a gradient"),
        (lambda c: c["grad_norms"].update(another=1.0), "without a gradient"),
    ],
)
def test_another_step_than_recorded_is_named(case, change, words, capsys):
    edit(case, change)
    assert main([str(case), "--mode", "fast"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "DIFFERENT" in line or "BEYOND" in line]
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["latent_dict/targets"].neg_(), "noised"),
        (lambda t: t["latent_dict/cond_timesteps"].fill_(1000.0), "the past is noised more than half"),
        (lambda t: t["action_dict/latent"].add_(0.01), "noised"),
        (lambda t: t["weights/latent_timestep_weight"].mul_(1.001), "weights"),
        (lambda t: t["in/text_emb.0"].add_(0.1), "losses"),
        (lambda t: t["attention_mask"].fill_(True), "attention_mask"),
    ],
)
def test_what_the_original_would_not_have_read_is_named(case, change, words, capsys):
    edit_tensors(case, change)
    assert main([str(case), "--mode", "fast"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "DIFFERENT" in line or "BEYOND" in line]
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(model="nowhere"), "nowhere"),
        (lambda c: c.update(chunk_size=0), "chunk_size"),
        (lambda c: c.update(snr_shift=-1.0), "snr_shift"),
        (lambda c: c.pop("grad_norms"), "grad_norms"),
        (lambda c: c.update(loss_latent="much"), "loss_latent"),
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
        (lambda t: t.pop("latent_dict/targets"), "lacks the tensor latent_dict/targets"),
        (lambda t: t.update({"in/latents": t["in/latents"][:, :47]}), "in/latents is (2, 47, 5, 4, 6)"),
        (lambda t: t.update({"in/latents": t["in/latents"][..., :5]}), "must be even"),
        (lambda t: t.update({"in/actions": t["in/actions"][:, :, :3]}), "other samples or frames"),
        (lambda t: t.update({"in/text_emb.1": torch.zeros(600, 32)}), "600 tokens"),
        (lambda t: t.update({"attention_mask": t["attention_mask"][:9, :9]}), "(9, 9)"),
    ],
)
def test_inputs_that_are_missing_or_do_not_fit_are_named(case, change, words, capsys):
    edit_tensors(case, change)
    assert main([str(case)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1
    assert words in error[0]
