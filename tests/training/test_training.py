"""A training of a few steps, from its settings to a checkpoint that loads, and what it survives."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.errors import Diverged, RunMismatch
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.loading import load_transformer
from lingbot_eval.models.lingbot_va.own_file import add_rates
from lingbot_eval.settings.trained import Rate
from lingbot_eval.training import state
from tests.training.runs import started, steps, trained
from tests.training.synthetic import write_dataset


@pytest.fixture(scope="session")
def plain(data, tiny, tmp_path_factory) -> Path:
    """The folder of a training of eight steps, in one process, without an interruption."""
    out = tmp_path_factory.mktemp("plain") / "out"
    trained(data, tiny, out, "steps=8")
    return out


def close(one, other, tolerance: float) -> None:
    assert [line["step"] for line in one] == [line["step"] for line in other]
    for mine, theirs in zip(one, other, strict=True):
        assert {name: mine[name] for name in ("video", "action", "norm", "rate")} == pytest.approx(
            {name: theirs[name] for name in ("video", "action", "norm", "rate")}, rel=tolerance
        )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_transformer(locate(str(folder)), torch.float32, torch.device("cpu")).state_dict()


def test_losses_fall_and_what_comes_out_loads_with_its_settings(plain, tiny):
    lines = steps(plain)
    assert lines[-1]["action"] < lines[0]["action"]
    assert lines[0]["rate"] == 0.0
    checkpoint = locate(str(plain / "checkpoint"))
    assert checkpoint.settings["commands_per_frame"] == 4
    assert checkpoint.training.steps == 8
    assert checkpoint.training.tasks["tabletop"]["press_button"] == {"easy": 3}  # one of four is held out
    assert checkpoint.training.regime == "2 tasks, 6 episodes, 8 steps"
    before, after = weights(tiny), weights(plain / "checkpoint")
    assert all(before[name].shape == after[name].shape for name in before)
    assert sum(not torch.equal(before[name], after[name]) for name in before) == len(before)


def test_killed_at_any_moment_the_same_command_writes_the_same_curve(data, tiny, plain, tmp_path):
    out = tmp_path / "out"
    process = started(data, tiny, out, "steps=8")
    while not (out / "state").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(random.uniform(0, 0.5))  # noqa: S311  (any moment will do)
    process.kill()
    process.communicate()
    if not (out / "checkpoint").exists():  # or it was faster than we
        assert len(steps(out)) < 8 or state.saved(out / "state")
    trained(data, tiny, out, "steps=8")
    assert (out / "curve.jsonl").read_bytes() == (plain / "curve.jsonl").read_bytes()
    found, wanted = weights(out / "checkpoint"), weights(plain / "checkpoint")
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_two_processes_learn_as_one_that_accumulates_and_one_goes_on_where_two_stopped(data, tiny, plain, tmp_path):
    out = tmp_path / "out"
    process = started(data, tiny, out, "steps=5", "recompute=true", processes=2)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    one = steps(plain)
    close(steps(out), one[:5], 1e-5)
    assert len(list((out / "state" / "step-00000004").glob("*.safetensors"))) == 2
    close(trained(data, tiny, out, "steps=8"), one, 1e-5)


def test_bfloat16_forwards_learn_about_the_same_from_float32_weights(data, tiny, plain, tmp_path):
    out = tmp_path / "out"
    more = ("precision=bf16", "optimizer.average=null", "held_out.every=2")  # which looks at the end, too
    close(trained(data, tiny, out, "steps=4", *more), steps(plain)[:4], 0.02)
    rounded = [
        name for name, value in weights(out / "checkpoint").items() if torch.equal(value, value.bfloat16().float())
    ]
    assert rounded == []


def test_a_longer_training_goes_on_and_another_one_is_refused_with_what_differs(data, tiny, tmp_path):
    trained(data, tiny, tmp_path / "out", "steps=3")
    assert len(trained(data, tiny, tmp_path / "out", "steps=4")) == 4
    with pytest.raises(RunMismatch, match=r"optimizer.rate was 0.0015, and is 0.1"):
        trained(data, tiny, tmp_path / "out", "steps=4", "optimizer.rate=0.1")


def test_rates_that_were_measured_stay_until_the_checkpoint_is_another(data, tiny, tmp_path):
    out = tmp_path / "out"
    trained(data, tiny, out, "steps=3")
    rate = Rate("tabletop", "lift_block", "easy", 8, 10, "tabletop", "0123456789ab")
    add_rates(out / "checkpoint", [rate])
    trained(data, tiny, out, "steps=3")
    assert locate(str(out / "checkpoint")).training.rates == (rate,)
    assert "| 8/10 |" in (out / "checkpoint" / "MODEL_CARD.md").read_text()
    trained(data, tiny, out, "steps=4")
    assert locate(str(out / "checkpoint")).training.rates == ()


def test_a_checkpoint_that_began_with_a_trained_one_says_so(data, plain, tmp_path):
    more = write_dataset(tmp_path / "more", episodes=4)
    trained(more, plain / "checkpoint", tmp_path / "out", "steps=3")
    training = locate(str(tmp_path / "out" / "checkpoint")).training
    one = "2 tasks, 2 episodes, 3 steps"
    assert training.regime == f"{one}; before that: 2 tasks, 6 episodes, 8 steps"
    assert training.tasks["tabletop"] == {"press_button": {"easy": 4}, "push_to_line": {"easy": 4}}


def test_a_loss_that_is_no_number_stops_and_the_last_good_state_is_kept(data, tiny, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(Diverged, match=r"step \d+: .*step-\d+ is kept") as raised:
        trained(data, tiny, out, "steps=40", "optimizer.rate=1e30", "optimizer.clip=1e30", "held_out.share=0")
    assert "\n" not in str(raised.value)
    (kept,) = state.saved(out / "state")[:1]
    assert kept.step == 2


def test_adapters_are_learnt_alone_and_merged_or_kept_apart(data, tiny, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed: pip install -e '.[train]'")
    from safetensors.torch import load_file

    out = tmp_path / "out"
    trained(data, tiny, out, "steps=3", "lora.rank=2", "lora.merged=false", "lora.modules=[to_q]")
    before, after = weights(tiny), weights(out / "checkpoint")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith("to_q.weight")}
    adapter = load_file(out / "adapter" / "adapter_model.safetensors")
    name = "blocks.0.attn1.to_q"
    up, down = (adapter[f"base_model.model.{name}.lora_{part}.weight"] for part in "BA")
    torch.testing.assert_close(after[f"{name}.weight"], before[f"{name}.weight"] + 16 / 2 * up @ down)


def test_ctrl_c_and_sigterm_save_a_state_first(data, tiny, tmp_path):
    out = tmp_path / "out"
    process = started(data, tiny, out, "steps=100000", "save_every=100000")
    while not (out / "curve.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    printed, _ = process.communicate()
    assert process.returncode == 130, printed
    (kept,) = state.saved(out / "state")
    assert kept.step == len(steps(out))


def test_datasets_that_say_no_task_are_learnt_from_all_the_same(tiny, tmp_path):
    folder = write_dataset(tmp_path / "data", episodes=4)
    episodes = folder / "meta" / "episodes.jsonl"
    episodes.write_text(episodes.read_text().replace('"suite": "tabletop", ', ""))
    trained(folder, tiny, tmp_path / "out", "steps=3", "wordings=own")
    assert locate(str(tmp_path / "out" / "checkpoint")).training.tasks == {}


def test_of_long_items_a_stretch_is_learnt_and_played_with_a_window_of_as_much(data, tiny, tmp_path):
    trained(data, tiny, tmp_path / "out", "steps=3", "noising.longest=2", "batch=4")
    assert locate(str(tmp_path / "out" / "checkpoint")).sampling["window"] == 4
