"""What is wrong with a training's settings or data is said in one line, before anything is loaded."""

from __future__ import annotations

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.errors import BadInput, NotReady, RunMismatch, UnknownName
from lingbot_eval.runs.compose import training_names, training_settings
from lingbot_eval.settings import to_dict
from lingbot_eval.training import preparing
from lingbot_eval.training.directory import Directory
from lingbot_eval.training.preparing import prepare
from lingbot_eval.training.ranks import Ranks
from tests.training.runs import trained, words
from tests.training.synthetic import write_dataset


def refused(kind, pattern, data, tiny, out, *more, ranks=None):
    with pytest.raises(kind, match=pattern) as raised:
        prepare(training_settings(words(data, tiny, out, *more)), ranks or Ranks(0, 1, 1, torch.device("cpu")))
    assert "\n" not in str(raised.value)


def test_every_recipe_is_complete():
    for name in training_names():
        chosen = training_settings([f"train={name}", "data=a", "checkpoint=b", "out=c"])
        assert chosen.robot == name
        assert "noising" in chosen.identity()
        assert to_dict(chosen)["data"] == "a"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=a", "checkpoint=b", "out=c"], "which recipe.*libero, robotwin, tabletop"),
        (["train=libro", "data=a"], "did you mean 'libero'"),
        (["robot=mine.yaml", "data=a"], "which recipe"),
        (["train=libero", "data=a", "out=c"], "checkpoint=DIR must be said"),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "optimizer.rte=1"], "did you mean 'optimizer.rate'"),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "steps=0"], "steps: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", f"seed={2**64}"], "seed: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "balance=1000"], "balance: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "optimizer.rate=nan"], "optimizer.rate: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "optimizer.clip=inf"], "optimizer.clip: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "optimizer.weight_decay=nan"], "optimizer.weight_decay: "),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "steps=10"], "the rate would never be reached"),
        (["train=libero", "data=a", "checkpoint=b", "out=c", "precision=fp8"], "valid: float32, bf16"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_would(overrides, words):
    with pytest.raises(BadInput, match=words):
        training_settings(overrides)


def test_a_robot_of_ones_own_takes_a_recipe_by_name():
    chosen = training_settings(["train=tabletop", "robot=mine.yaml", "data=a", "checkpoint=b", "out=c"])
    assert (chosen.robot, chosen.batch) == ("mine.yaml", 32)


def test_data_without_latents_is_refused_with_the_command_that_makes_them(data, tiny, tmp_path):
    bare = shutil.copytree(data, tmp_path / "bare", ignore=shutil.ignore_patterns("latents"))
    refused(NotReady, "lingbot-eval latents", bare, tiny, tmp_path / "out")
    refused(NotReady, "is no LeRobot dataset", tmp_path / "nothing", tiny, tmp_path / "out")


def test_a_folder_of_other_things_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / ".train.json.0123").write_text("of a process that was killed")
    with Directory(tmp_path).alone():
        pass
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes").touch()
    with pytest.raises(BadInput, match=r"has no train\.json, and is not empty"), Directory(foreign).alone():
        pass
    assert [one.name for one in foreign.iterdir()] == ["notes"]


def test_what_was_refused_before_anything_was_learnt_may_be_said_otherwise(data, tiny, tmp_path):
    folder, mended = Directory(tmp_path), training_settings(words(data, tiny, tmp_path, "seed=1"))
    with pytest.raises(BadInput, match="no linear layer's name ends in 'nope'"):
        trained(data, tiny, tmp_path, "lora.rank=2", "lora.modules=[nope]")
    folder.open(mended, {})
    folder.curve.touch()
    with pytest.raises(RunMismatch, match="seed was 1, and is 2"):
        folder.open(training_settings(words(data, tiny, tmp_path, "seed=2")), {})


def test_flexible_attention_on_a_cpu_is_refused(data, tiny, tmp_path):
    refused(BadInput, "attention=flex cannot be trained on a CPU", data, tiny, tmp_path / "out", "attention=flex")


def test_a_suite_that_nobody_knows_is_refused_before_anything_is_learnt(data, tiny, tmp_path):
    refused(UnknownName, "unknown benchmark 'nope'", data, tiny, tmp_path / "out", "play.every=1", "play.suite=nope")
    refused(
        UnknownName, "unknown choice 'taks'", data, tiny, tmp_path / "out", "play.every=1", "play.choices={taks: 1}"
    )
    refused(BadInput, "episodes", data, tiny, tmp_path / "out", "play.every=1", "play.choices={episodes: some}")


def test_texts_of_another_width_are_refused(tiny, tmp_path):
    wide = write_dataset(tmp_path / "wide", episodes=2, text_width=48)
    refused(BadInput, "48 wide, and .* reads 32", wide, tiny, tmp_path / "out")


def test_a_checkpoint_without_a_text_encoder_is_refused(data, tiny, tmp_path):
    bare = shutil.copytree(tiny, tmp_path / "bare")
    shutil.rmtree(bare / "text_encoder")
    refused(NotReady, "lacks its text_encoder", data, bare, tmp_path / "out")


def test_latents_of_another_robots_size_are_refused(data, tiny, tmp_path):
    refused((NotReady, BadInput), "latents", data, tiny, tmp_path / "out", "train=libero", "robot=libero")


def test_latents_that_other_encoders_made_are_refused(data, tiny, tmp_path):
    from lingbot_eval.datasets.made import Made, encoders_hash, write_made
    from lingbot_eval.datasets.robots import load_robot
    from lingbot_eval.models.lingbot_va.checkpoint import locate

    own, copied = encoders_hash(locate(str(tiny))), shutil.copytree(data, tmp_path / "copied")
    for encoders in (own, "0123456789ab"):
        write_made(copied, Made(to_dict(load_robot("tabletop")), encoders, "float32"))
        if encoders == own:
            prepare(training_settings(words(copied, tiny, tmp_path / "o")), Ranks(0, 1, 1, torch.device("cpu")))
    refused(BadInput, f"made by other encoders .0123456789ab.*{own}", copied, tiny, tmp_path / "o")


def test_a_checkpoint_that_was_trained_with_other_quantiles_is_refused(data, tiny, tmp_path):
    trained(data, tiny, tmp_path / "out", "steps=3")
    other = tmp_path / "other.yaml"
    from lingbot_eval.datasets.robots import load_robot

    robot = to_dict(load_robot("tabletop"))
    robot["settings"]["q99"][0] = 3.0
    other.write_text(json.dumps(robot))
    checkpoint = tmp_path / "out" / "checkpoint"
    refused(BadInput, "trained with q99", data, checkpoint, tmp_path / "o", "train=tabletop", f"robot={other}")
    prepare(training_settings(words(data, checkpoint, tmp_path / "o")), Ranks(0, 1, 1, torch.device("cpu")))


def test_micro_batches_that_the_processes_cannot_share_are_refused(data, tiny, tmp_path):
    ranks = Ranks(0, 3, 3, torch.device("cpu"))
    refused(BadInput, "micro_batches=2 cannot be shared by 3", data, tiny, tmp_path / "out", ranks=ranks)


def test_memory_that_is_not_there_is_named_with_the_arithmetic(data, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "free_bytes", lambda device: 1e6)
    refused(NotReady, r"cpu has 0.001 GB free, and training needs about \(0.00\d+ GB of", data, tiny, tmp_path / "out")


def test_a_folder_of_other_things_is_left_alone(data, tiny, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match=r"no train\.json, and is not empty"):
        trained(data, tiny, tmp_path, "steps=3")


def test_adapters_for_layers_that_are_not_there_are_refused(data, tiny, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed: pip install -e '.[train]'")
    with pytest.raises(BadInput, match=r"no linear layer's name ends in 'to_x' .*attn1.to_q"):
        trained(data, tiny, tmp_path / "out", "steps=3", "lora.rank=2", "lora.modules=[to_x]")


def test_unknown_robots_are_refused_with_the_known_ones(data, tiny, tmp_path):
    refused(UnknownName, "robotwin", data, tiny, tmp_path / "out", "train=tabletop", "robot=tabeltop")


def test_a_cpu_that_would_compute_bfloat16_without_instructions_for_it_is_told_of(monkeypatch):
    cpu = {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    chosen = [
        training_settings(words("data", "tiny", "out", f"precision={name}", "device=cpu"))
        for name in ("float32", "autocast")
    ]
    assert preparing.slow(chosen[0]) == ""
    assert "no instructions for bfloat16" in preparing.slow(chosen[1])
    cpu["avx512_bf16"] = True
    assert preparing.slow(chosen[1]) == ""
