"""What training from nothing begins with is a whole checkpoint, whose every layer can learn."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from safetensors.torch import load_file

from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.initial import Sizes, initialise, make_base, words_of
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer
from tests.agents.lingbot_va.test_session import play, small

SIZES = Sizes(num_attention_heads=2, attention_head_dim=32, num_layers=3, ffn_dim=96, freq_dim=32, text_dim=16)
WORDS = ("lift", "the", "red", "block")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "base"
    make_base(folder, SIZES, WORDS)
    return folder


def test_a_base_is_loaded_whole_and_plays(base):
    model = LingBotVA.from_pretrained(str(base), small(), dtype="float32")
    assert model.transformer.shape.width == 64
    assert len(play(Sessions(model).new(), model.settings, chunks=2)) == 2


def test_the_tokenizer_has_a_token_for_each_word_and_none_is_unknown(base):
    model = LingBotVA.from_pretrained(str(base), small(), dtype="float32")
    assert len(model.text.ids("lift the red block")) == len(WORDS) + 1  # and the end
    assert len(set(model.text.ids("lift the red block"))) == len(WORDS) + 1
    assert 2 not in model.text.ids("Lift it, please!")


def test_the_text_encoder_hears_where_a_word_stands(tmp_path):
    make_base(tmp_path / "base", SIZES, ("put", "on", *WORDS, "green"))
    text = LingBotVA.from_pretrained(str(tmp_path / "base"), small(), dtype="float32").text
    one, other = (
        text.embed(f"put the {upper} block on the {lower} block")
        for upper, lower in (("red", "green"), ("green", "red"))
    )
    upper, lower = one[..., 2, :], other[..., 6, :]  # red, above and below
    assert (upper - lower).norm() > 0.2 * upper.norm()


def test_the_same_seed_writes_the_same_weights(base, tmp_path):
    make_base(tmp_path / "again", SIZES, reversed(WORDS))
    make_base(tmp_path / "other", SIZES, WORDS, seed=1)
    assert locate(str(tmp_path / "again")).hash() == locate(str(base)).hash() != locate(str(tmp_path / "other")).hash()


def test_a_trained_vae_is_taken_from_a_checkpoint_or_a_folder(tiny, tmp_path):
    for source in (tiny, tiny / "vae"):
        folder = tmp_path / source.name
        make_base(folder, SIZES, WORDS, source)
        there, here = (load_file(place / "vae" / "diffusion_pytorch_model.safetensors") for place in (tiny, folder))
        assert all(torch.equal(value, here[name]) for name, value in there.items())
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"z_dim": 48}')
    with pytest.raises(NotReady, match="lacks any"):
        make_base(tmp_path / "none", SIZES, WORDS, tmp_path / "empty")
    assert not (tmp_path / "none").exists()


def test_every_layer_keeps_the_size_of_what_it_gets_and_learns_from_the_second_step_on():
    deep = Sizes(2, 32, 12, 96, 32, 16)
    config = {"action_dim": 30, "in_channels": 48, "out_channels": 48, "eps": 1e-6, **vars(deep)}
    model = VideoActionTransformer(Shape.from_config({**config, "patch_size": [1, 2, 2], "cross_attn_norm": True}))
    initialise(model, torch.Generator().manual_seed(0))
    assert all(torch.isfinite(value).all() for value in model.parameters())
    assert not model.proj_out.weight.any()
    assert not model.action_proj_out.weight.any()
    table = model.blocks[0].scale_shift_table
    assert table[:, [2, 5]].eq(1).all()
    assert not table[:, [0, 1, 3, 4]].any()
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(1))
    assert 0.8 < model.blocks[3].attn1.to_q(x).std() < 1.2
    added = [x + sum(block.ffn(torch.randn_like(x)) for block in model.blocks[:count]) for count in (1, 12)]
    assert added[1].std() < 2 * added[0].std()
    assert torch.equal(model.blocks[0].attn1.norm_q.weight, torch.ones(64))
    assert not model.patch_embedding_mlp.bias.any()


def test_words_come_from_files_and_from_what_datasets_say(tmp_path):
    (tmp_path / "words.txt").write_text("lift the\nblock, please\n")
    meta = tmp_path / "data" / "meta"
    meta.mkdir(parents=True)
    (meta / "wordings.jsonl").write_text(json.dumps({"text": "Raise it.", "others": ["hand-over now", "don't"]}) + "\n")
    (meta / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "stack two"}) + "\n")
    found = words_of([tmp_path / "words.txt", tmp_path / "data"])
    lines = {"lift", "the", "block", "please"}
    assert found == lines | {"Raise", "it", "hand-over", "now", "don't", "stack", "two"}
    with pytest.raises(BadInput, match="no word was found"):
        words_of([meta.parent.parent])
    (meta / "tasks.jsonl").write_text("[")
    with pytest.raises(BadInput, match=r"tasks\.jsonl cannot be read"):
        words_of([tmp_path / "data"])
    with pytest.raises(BadInput, match=r"none\.txt cannot be read: No such file"):
        words_of([tmp_path / "none.txt"])


def test_words_come_from_the_sentences_of_any_dataset(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")
    from tests.datasets.made import Made, walk, write_30

    episode = Made(walk(3, 2), tasks=("wash the cup",))
    assert words_of([write_30(tmp_path / "strangers", [episode], {})]) == {"wash", "the", "cup"}


def test_a_full_disk_is_said_in_a_line_and_nothing_is_left(tmp_path, capsys):
    (tmp_path / "words").write_text("wash")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        status = main(["make-base", str(tmp_path / "base"), "--words", str(tmp_path / "words")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capsys.readouterr().err
    assert (status, said.count("\n"), "cannot write diffusion_pytorch_model" in said) == (2, 1, True), said
    assert [one.name for one in tmp_path.iterdir()] == ["words"]


def test_the_command_writes_once_and_refuses_sizes_that_make_no_model(tmp_path, capsys):
    (tmp_path / "words").write_text(" ".join(WORDS))
    command = ["make-base", str(tmp_path / "base"), "--words", str(tmp_path / "words"), "--heads", "2", "--layers", "1"]
    for flags, words in (
        (["--head-dim", "31"], "cannot be split into the pairs"),
        (["--text-dim", "30"], "does not divide into the text encoder's 4 heads"),
        (["--ffn", "0"], "ffn_dim is 0; a size is in 1"),
        (["--layers", "1000000", "--head-dim", "1000"], "GB of weights, and "),
        (["--vae", str(tmp_path)], "cannot be read"),
    ):
        assert main([*command, *flags]) == 2
        err = capsys.readouterr().err
        assert words in err
        assert err.count("\n") == 1
    assert main(["make-base", str(tmp_path / "words"), *command[2:]]) == 2  # a file of somebody's
    assert "words is there, and is not empty" in capsys.readouterr().err
    assert (tmp_path / "words").read_text() == " ".join(WORDS)
    assert main(command) == 0
    assert "that knows 4 words" in capsys.readouterr().out
    assert main(command) == 2
    assert "is there, and is not empty" in capsys.readouterr().err
    assert locate(str(tmp_path / "base")).config["num_layers"] == 1
