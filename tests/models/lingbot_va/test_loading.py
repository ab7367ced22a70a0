"""A checkpoint is loaded whole or refused with the names of what does not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file, save_file

from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import BadCheckpoint, locate
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.tiny import make_tiny
from tests.agents.lingbot_va.test_session import play, small

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
CPU = torch.device("cpu")


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def edit(file: Path, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)


def configure(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def load(folder: Path) -> LingBotVA:
    return LingBotVA.from_pretrained(str(folder), small(), dtype="float32")


@pytest.mark.parametrize("part", [WEIGHTS, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
def test_missing_unexpected_and_misshapen_tensors_are_all_named(copy, part):
    names = sorted(load_file(copy / part))
    first, second = names[0], names[1]

    def change(tensors):
        tensors["intruder"] = tensors.pop(first)
        tensors[second] = torch.zeros(3, 3, 3)

    edit(copy / part, change)
    with pytest.raises(BadCheckpoint) as error:
        load(copy)
    words = str(error.value)
    assert "3 tensors do not fit" in words
    assert f"missing {first}" in words
    assert "unexpected intruder" in words
    assert f"{second} is (3, 3, 3), the configuration says" in words


def test_a_configuration_that_contradicts_the_tensors_is_refused(copy):
    configure(copy / "transformer" / "config.json", num_layers=3)
    with pytest.raises(BadCheckpoint, match=r"missing blocks\.2\.attn1"):
        load(copy)


def test_a_configuration_of_another_model_is_refused(copy):
    configure(copy / "transformer" / "config.json", patch_size=[1, 1, 1])
    with pytest.raises(BadInput, match="patch_size"):
        load(copy)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("vae", {"patch_size": "2"}),
        ("vae", {"base_dim": "x"}),
        ("vae", {"dim_mult": []}),
        ("vae", {"z_dim": None}),
        ("vae", {"latents_mean": 3}),
        ("text_encoder", {"d_model": "x"}),
        ("text_encoder", {"num_layers": None}),
        ("text_encoder", {"feed_forward_proj": 3}),
    ],
)
def test_a_configuration_with_a_wrong_value_is_named_on_one_line(copy, part, values):
    configure(copy / part / "config.json", **values)
    with pytest.raises(BadCheckpoint, match=f"{part}/config.json") as error:
        load(copy)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "model",
    [
        {},
        3,
        {"type": "Unigram", "vocab": 3},
        {"type": "Unigram", "vocab": [["a", 0.0]]},
        {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 7},
    ],
)
def test_a_broken_tokenizer_is_named_on_one_line(copy, model):
    (copy / "tokenizer" / "tokenizer.json").write_text(json.dumps({"version": "1.0", "model": model}))
    with pytest.raises(BadCheckpoint, match=r"tokenizer\.json cannot be read") as error:
        load(copy)
    assert "\n" not in str(error.value)


def test_the_embedding_in_use_is_the_files(copy):
    checkpoint = locate(str(copy))
    encoder = loading.load_text_encoder(checkpoint, torch.float32, CPU)
    shared = load_file(copy / "text_encoder" / "model.safetensors")["shared.weight"]
    assert torch.equal(encoder.encoder.embed_tokens.weight, shared)
    with pytest.raises(BadCheckpoint, match="another table"):
        loading.prove_embedding(encoder, shared + 1)


def test_shards_are_one_checkpoint_and_a_missing_one_is_named(copy):
    whole = load(copy)
    names = sorted(tensors := load_file(copy / WEIGHTS))
    files = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, copy / "transformer" / file)
    (copy / WEIGHTS).unlink()
    index = {"weight_map": {name: file for file, part in files.items() for name in part}}
    (copy / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    sharded = load(copy)
    for (name, value), other in zip(
        whole.transformer.named_parameters(), sharded.transformer.parameters(), strict=True
    ):
        assert torch.equal(value, other), name
    (copy / "transformer" / "b.safetensors").unlink()
    with pytest.raises(NotReady, match=r"lacks b\.safetensors"):
        load(copy)


def as_lerobot(tiny: Path, folder: Path, channels: Sequence[int] = (3, 1), **values: object) -> Path:
    """The same weights in LeRobot's layout; the n-th channel has the quantiles -n and n."""
    folder.mkdir()
    tensors = load_file(tiny / WEIGHTS)
    save_file({f"transformer.{name}": value for name, value in tensors.items()}, folder / "model.safetensors")
    config = json.loads((tiny / "transformer" / "config.json").read_text())
    config |= {"type": "lingbot_va", "wan_pretrained_path": str(tiny), "used_action_channel_ids": list(channels)}
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    largest = torch.arange(1.0, len(channels) + 1)
    state = {"action.q01": -largest, "action.q99": largest}
    save_file(state, folder / "state.safetensors")
    steps = [{"registry_name": "unnormalizer_processor", "state_file": "state.safetensors"}]
    (folder / "policy_postprocessor.json").write_text(json.dumps({"steps": steps}))
    return folder


def test_lerobots_layout_brings_its_own_settings_and_says_so(tiny, tmp_path, capsys):
    lingbot = load(as_lerobot(tiny, tmp_path / "lerobot", action_num_inference_steps=2, video_exec_step=-1))
    settings = lingbot.settings
    assert (settings.channels, settings.action_steps, settings.video_exec_step) == ((3, 1), 2, None)
    assert (settings.q01[:4], settings.q99[:4]) == ((0, -2, 0, -1), (0, 2, 0, 1))
    told = capsys.readouterr().err
    assert "action_steps: the checkpoint says 2, the settings 3" in told
    assert "video_exec_step" not in told
    assert play(Sessions(lingbot).new(), settings, chunks=1)[0].shape == (4, 1, 2)


def test_another_number_of_cameras_is_refused(tiny, tmp_path):
    folder = as_lerobot(tiny, tmp_path / "lerobot", obs_cam_keys=["observation.images.image"])
    with pytest.raises(BadInput, match=r"trained with cameras observation\.images\.image, not head, wrist"):
        load(folder)


def test_lerobots_layout_plays_as_upstreams(tiny, tmp_path):
    lerobot = load(as_lerobot(tiny, tmp_path / "lerobot"))
    upstream = LingBotVA.from_pretrained(str(tiny), lerobot.settings, dtype="float32")
    for a, b in zip(*(play(Sessions(m).new(), m.settings) for m in (lerobot, upstream)), strict=True):
        assert (a == b).all()


def test_an_attention_mode_in_the_checkpoint_changes_nothing(copy):
    hashes = set()
    for mode in ("torch", "flashattn", "flex"):
        configure(copy / "transformer" / "config.json", attn_mode=mode)
        load(copy)
        hashes.add(locate(str(copy)).hash())
    assert len(hashes) == 3  # the hash is of what is written, not of what is read


def test_the_hash_follows_the_weights(tiny, copy):
    assert locate(str(tiny)).hash() == locate(str(copy)).hash()
    edit(copy / WEIGHTS, lambda tensors: tensors["proj_out.bias"].add_(1e-6))
    assert locate(str(tiny)).hash() != locate(str(copy)).hash()


def test_what_is_not_there_is_said_with_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(NotReady, match="make-tiny"):
        locate(str(tmp_path / "none"))
    with pytest.raises(NotReady, match=r"neither transformer/config\.json"):
        locate(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    by_hand = r"hf download owner/name --revision COMMIT --local-dir DIR.*agent\.checkpoint=DIR"
    with pytest.raises(NotReady, match=rf"agent\.checkpoint=owner/name@COMMIT.*{by_hand}"):
        locate("owner/name")
    with pytest.raises(BadInput, match="a commit of the hub is 40 of 0-9, a-f, not 'main'"):
        locate("owner/name@main")
    for strange in ("", "x" * 5000, "a\0b", "a/b/c", "../x", "a/b@c@d", "~/x"):
        with pytest.raises(NotReady, match="no checkpoint folder"):
            locate(strange)


def test_the_transformer_is_trainable_and_has_the_checkpoints_names_before_and_after_it_has_played(tiny, tmp_path):
    model = load(tiny)
    held = load_file(tiny / WEIGHTS)
    for played in (False, True):
        if played:
            play(Sessions(model).new(), model.settings, chunks=2)
        assert all(parameter.requires_grad for parameter in model.transformer.parameters())
        assert list(model.transformer.buffers()) == []
        state = model.transformer.state_dict()
        assert set(held) - set(state) == {name for name in held if name.startswith(loading.UNUSED)}
        assert all(torch.equal(value, held[name]) for name, value in state.items())
    save_file(state, tmp_path / "again.safetensors")  # which refuses tensors that share memory
    assert load_file(tmp_path / "again.safetensors").keys() == state.keys()


def test_a_folder_in_use_is_not_overwritten(tiny):
    with pytest.raises(BadInput, match="not empty"):
        make_tiny(tiny)


@pytest.mark.parametrize(
    "file",
    [WEIGHTS, "transformer/config.json", "vae/config.json", "tokenizer/tokenizer.json", "text_encoder/config.json"],
)
def test_a_file_that_was_not_copied_whole_is_named(copy, file):
    """What a checkout without git-lfs leaves behind."""
    (copy / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(BadCheckpoint, match=f"{file} cannot be read"):
        load(copy)


@pytest.mark.parametrize(
    ("file", "values", "words"),
    [
        ("transformer/config.json", {"num_attention_heads": None}, "num_attention_heads is None, not a whole number"),
        ("transformer/config.json", {"num_layers": "30"}, "num_layers is '30', not a whole number"),
        ("transformer/config.json", {"ffn_dim": "x"}, "ffn_dim: Expected int, got str"),
        ("transformer/config.json", {"patch_size": None}, "patch_size None"),
        ("transformer/x.safetensors.index.json", {"weight_map": ["a"]}, r"index\.json needs a weight_map"),
        ("vae/config.json", {"latents_mean": [0.0]}, "latents_mean has 1 values, and the VAE has 48 channels"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_named(copy, file, values, words):
    if not (copy / file).exists():
        (copy / file).write_text("{}")
    configure(copy / file, **values)
    with pytest.raises((BadCheckpoint, BadInput), match=words):
        load(copy)


@pytest.mark.parametrize("name", ["wan_pretrained_path", "used_action_channel_ids", "action_dim", "num_layers"])
def test_what_lerobots_configuration_lacks_is_named(tiny, tmp_path, name):
    folder = as_lerobot(tiny, tmp_path / "lerobot")
    config = json.loads((folder / "config.json").read_text())
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadCheckpoint, match="channels" if name == "used_action_channel_ids" else name):
        locate(str(folder))


def test_a_channel_that_the_model_lacks_is_refused(tiny, tmp_path):
    with pytest.raises(BadCheckpoint, match=r"used_action_channel_ids is \[3, 30\], not distinct channels in 0\.\.29"):
        locate(str(as_lerobot(tiny, tmp_path / "lerobot", used_action_channel_ids=[3, 30])))
