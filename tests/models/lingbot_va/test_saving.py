"""What was trained is written whole, in either layout, and plays as it did before."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file

from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import with_checksum
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import BadCheckpoint, Checkpoint, locate
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.own_file import NAME, SAMPLING
from lingbot_eval.models.lingbot_va.saving import write_lerobot, write_upstream
from lingbot_eval.settings.trained import Rate, Training
from tests.agents.lingbot_va.test_session import play, small

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
SETTINGS = small(channels=[3, 1, 0, 2, 4, 5, 6], q01=[-0.1 * n for n in range(30)])
TRAINING = Training(
    regime="3 episodes of lift_block",
    tasks={"tabletop": {"lift_block": {"easy": 3}}},
    data="0123456789ab",
    base="ba9876543210",
    steps=200,
    recipe={"lr": 1e-5, "betas": [0.9, 0.95]},
    curve={"video": 0.5, "action": 0.25},
    versions={"torch": "2.10"},
)
WRITERS = [write_upstream, write_lerobot]


@pytest.fixture
def base(tiny) -> Checkpoint:
    return locate(str(tiny))


def trained(base: Checkpoint) -> dict[str, torch.Tensor]:
    """The state of the base after something was learnt."""
    model = loading.load_transformer(base, torch.float32, torch.device("cpu"))
    return {name: value.detach() + 0.01 for name, value in model.state_dict().items()}


@pytest.mark.parametrize("write", WRITERS)
def test_what_is_written_plays_with_its_own_settings_bit_for_bit(base, tiny, tmp_path, write, capsys):
    state = trained(base)
    write(tmp_path / "out" / "it", state, base, SETTINGS, TRAINING)
    other = msgspec.structs.replace(load_benchmark("robotwin"), video_steps=2, action_steps=2, window=4)
    model = LingBotVA.from_pretrained(str(tmp_path / "out" / "it"), other, dtype="float32")
    assert all(torch.equal(value, state[name]) for name, value in model.transformer.state_dict().items())
    assert model.settings.cameras == SETTINGS.cameras
    assert (model.settings.video_steps, model.settings.q01) == (2, SETTINGS.q01)  # the one is a choice
    assert "channels: the checkpoint says" in capsys.readouterr().err
    before = LingBotVA.from_pretrained(str(tiny), model.settings, dtype="float32")
    before.transformer.load_state_dict(state)
    for a, b in zip(*(play(Sessions(m).new(), m.settings, chunks=2) for m in (model, before)), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("write", WRITERS)
def test_a_checkpoint_is_read_back_as_it_was_said(base, tmp_path, write):
    write(tmp_path / "it", trained(base), base, SETTINGS, TRAINING)
    found = locate(str(tmp_path / "it"))
    assert found.training == TRAINING
    assert {**found.settings, **found.sampling} == msgspec.to_builtins(SETTINGS)
    assert found.sampling.keys() == set(SAMPLING)
    again = locate(str(tmp_path / "it"))
    write(tmp_path / "other", trained(again), again, SETTINGS, None)  # both layouts are bases, too
    assert locate(str(tmp_path / "other")).training is None


@pytest.mark.parametrize("write", WRITERS)
def test_whoever_may_read_one_file_may_read_all(base, tiny, tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "it", trained(base), base, SETTINGS, TRAINING)
    finally:
        os.umask(before)
    assert {oct(file.stat().st_mode & 0o777) for file in (tmp_path / "it").rglob("*.*") if file.is_file()} == {"0o640"}
    assert len({file.stat().st_mode for file in tiny.rglob("*.*") if file.is_file()}) == 1


def test_upstreams_layout_has_every_tensor_of_the_base_and_upstreams_configuration(base, tiny, tmp_path):
    write_upstream(tmp_path / "it", trained(base), base, SETTINGS, None, torch.bfloat16)
    there, here = load_file(tiny / WEIGHTS), load_file(tmp_path / "it" / WEIGHTS)
    assert there.keys() == here.keys()
    assert {value.dtype for value in here.values()} == {torch.bfloat16}
    unused = [name for name in there if name.startswith(loading.UNUSED)]
    assert unused
    assert all(torch.equal(here[name], there[name].bfloat16()) for name in unused)
    assert json.loads((tmp_path / "it" / "transformer" / "config.json").read_text()) == base.config
    for part in ("vae", "text_encoder", "tokenizer"):
        assert {file.name: file.read_bytes() for file in (tiny / part).iterdir()} == {
            file.name: file.read_bytes() for file in (tmp_path / "it" / part).iterdir()
        }


def test_the_hash_follows_what_was_trained_but_not_the_rates_that_were_measured_of_it(base, tmp_path):
    state, hashes = trained(base), {}
    rate = Rate("tabletop", "lift_block", "easy", 3, 4, "tabletop", "0123456789ab")
    for name, training in {
        "as it is": TRAINING,
        "rates": msgspec.structs.replace(TRAINING, rates=(rate,)),
        "regime": msgspec.structs.replace(TRAINING, regime="all of it"),
        "untold": None,
    }.items():
        write_upstream(tmp_path / "it", state, base, SETTINGS, training)  # in the place of the one before
        hashes[name] = locate(str(tmp_path / "it")).hash(fresh=True)
    assert hashes["as it is"] == hashes["rates"]
    assert len({hashes[name] for name in ("as it is", "regime", "untold")}) == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == ["it"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("proj_out.bias"), r"1 tensors are not as in the base, of which proj_out\.bias: None"),
        (lambda state: state.update(lora=torch.zeros(3)), r"of which lora: \(3,\), there None"),
        (lambda state: state.update({"proj_out.bias": torch.zeros(3)}), r"proj_out\.bias: \(3,\), there \(192,\)"),
    ],
)
def test_weights_of_another_model_are_refused(base, tmp_path, change, words):
    state = trained(base)
    change(state)
    with pytest.raises(BadInput, match=words):
        write_upstream(tmp_path / "it", state, base, SETTINGS, None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_not_replaced(base, tiny, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.tex").write_text("mine")
    with pytest.raises(BadInput, match="was not written by this command; name a new folder"):
        write_upstream(tmp_path / "thesis", trained(base), base, SETTINGS, None)
    assert (tmp_path / "thesis" / "text.tex").read_text() == "mine"


def test_a_full_disk_leaves_the_last_checkpoint(base, tmp_path):
    write_upstream(tmp_path / "it", trained(base), base, SETTINGS, TRAINING)
    before = locate(str(tmp_path / "it")).hash()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(NotReady, match="cannot write") as error:
            write_upstream(tmp_path / "it", trained(base), base, SETTINGS, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(error.value)
    assert locate(str(tmp_path / "it")).hash(fresh=True) == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["it"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("lift_block", "lift_blocks"), "was changed: its content has checksum"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "has schema 2; this version reads 1"),
        (lambda text: text[:100], "cannot be read"),
        (lambda text: "[]", "cannot be read"),
    ],
)
def test_a_damaged_file_of_ours_is_refused_in_a_line(base, tmp_path, change, words):
    write_upstream(tmp_path / "it", trained(base), base, SETTINGS, TRAINING)
    file: Path = tmp_path / "it" / NAME
    file.write_text(change(file.read_text()))
    with pytest.raises(BadCheckpoint, match=words) as error:
        locate(str(tmp_path / "it"))
    assert NAME in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data["settings"].update(height="x"), "Expected `int`, got `str`"),
        (lambda data: data["settings"].update(height=50), "2 x 2 patches"),
        (lambda data: data["settings"].update(channels=[30]), "must be distinct and within"),
        (lambda data: data["settings"].update(colour=1), "unknown field `colour`"),
        (lambda data: data["settings"].pop("q01"), "missing required field `q01`"),
        (lambda data: data.pop("training"), "missing required field `training`"),
        (lambda data: data["training"]["tasks"].update(tabletop=3), "Expected `object`, got `int`"),
        (lambda data: data["training"].update(regime=""), "length >= 1"),
    ],
)
def test_a_file_of_ours_that_makes_no_sense_is_named(base, tmp_path, change, words):
    write_upstream(tmp_path / "it", trained(base), base, SETTINGS, TRAINING)
    file = tmp_path / "it" / NAME
    data = json.loads(file.read_text())
    change(data)
    file.write_bytes(with_checksum({name: value for name, value in data.items() if name != "checksum"}))
    with pytest.raises(BadCheckpoint) as error:
        locate(str(tmp_path / "it"))
    assert words.replace("`", "") in str(error.value)
    assert str(error.value).startswith(f"{file}: ")
