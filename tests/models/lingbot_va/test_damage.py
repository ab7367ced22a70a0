"""A checkpoint's small files, damaged at random: each damage is harmless or one line that names the file, at once."""

from __future__ import annotations

import json
import random
import resource
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.agents.lingbot_va.memory import Cache
from lingbot_eval.errors import LingbotEvalError
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import Tensors, locate
from lingbot_eval.models.lingbot_va.configuration import load_benchmark, overridden
from lingbot_eval.models.lingbot_va.text import TextEncoder
from tests.models.lingbot_va.test_loading import as_lerobot

CPU = torch.device("cpu")
SEED = 11
EACH = 45
"""Damages of each file."""

Load = Callable[[Path], object]

VALUES = (
    *(None, True, False, -1, 0, 1, 3, 2.5, -0.0, 10**9, 2**62, 2**63, -(2**64), 10**400, 1e308, float("nan")),
    *(float("inf"), "", "x", "30", "../../etc/passwd", "\0", "\ud800", "a/b", "\x1b[2J", [], [[]], [None], {}),
    *({"a": 1}, [1] * 5000, [10**9] * 3, [-1, 2, 4, 4], "x" * 100_000, "[bold]"),
)


def damaged(data: Any, rng: random.Random) -> Any:
    """One value somewhere in ``data`` is another, is gone, or is a key more."""
    place, key = data, None
    while isinstance(place, (dict, list)) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], (dict, list)) or not place[key] or rng.random() < 0.4:
            break
        place = place[key]
    if key is None:
        return rng.choice(VALUES)
    how = rng.random()
    if how < 0.1:
        del place[key]
    elif how < 0.2 and isinstance(place, dict):
        place[rng.choice(["num_labels", "obs_cam_keys", "dtype", "_class_name", "\x1b"])] = rng.choice(VALUES)
    else:
        place[key] = rng.choice(VALUES)
    return data


def spoilt(text: str, rng: random.Random) -> bytes:
    """The file's content after an accident, or an attack on whoever reads JSON."""
    raw = text.encode()
    at = rng.randrange(len(raw))
    return rng.choice(
        [
            raw[:at],
            raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :],
            raw[:at] + raw[at:][::-1],
            b"[" * 200_000,
            b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
            b'{"num_layers": ' + b"[" * 60 + b"]" * 60 + b"}",
            b'{"num_layers": ' + b"9" * 5000 + b"}",
            b'{"num_layers": 1e999}',
            b"\xff\xfe" + raw,
            b"",
            b"null",
        ]
    )


def weights(folder: Path) -> None:
    checkpoint = locate(str(folder))
    str(Cache.of(load_benchmark("libero"), checkpoint.config, "float32"))
    overridden(load_benchmark("libero"), checkpoint.settings)
    checkpoint.hash()
    loading.load_transformer(checkpoint, torch.float32, CPU)


def vae(folder: Path) -> None:
    loading.load_vae(locate(str(folder)), torch.float32, CPU)


def text(folder: Path) -> None:
    checkpoint = locate(str(folder))
    encoder = loading.load_text_encoder(checkpoint, torch.float32, CPU)
    TextEncoder(checkpoint.parts / "tokenizer" / "tokenizer.json", encoder, device=CPU, padded=False).embed(
        "pick it up"
    )


def settings(folder: Path) -> None:
    overridden(load_benchmark("libero"), locate(str(folder)).settings)


FILES: dict[str, Load] = {
    "transformer/config.json": weights,
    "transformer/diffusion_pytorch_model.safetensors.index.json": weights,
    "vae/config.json": vae,
    "text_encoder/config.json": text,
    "tokenizer/tokenizer.json": text,
    "lerobot/config.json": settings,
    "lerobot/policy_postprocessor.json": settings,
}


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> Path:
    """Both layouts in one folder."""
    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("damage") / "whole"))
    file = "diffusion_pytorch_model.safetensors"
    names = Tensors([folder / "transformer" / file]).shapes
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, file)}
    (folder / "transformer" / f"{file}.index.json").write_text(json.dumps(index))
    as_lerobot(
        tiny, folder / "lerobot", channels=range(7), video_exec_step=2, guidance_scale=5, obs_cam_keys=["a", "b"]
    )
    return folder


@pytest.mark.parametrize("name", list(FILES))
def test_damage_is_harmless_or_one_line_that_names_the_file(whole, name, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file, load = whole / name, FILES[name]
    folder = file.parent if name.startswith("lerobot") else whole
    good = file.read_text()
    load(folder)
    rng = random.Random(f"{SEED} {name}")  # noqa: S311
    harmless, before = 0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for number in range(EACH):
            spoils = rng.random() < 0.25
            content = spoilt(good, rng) if spoils else json.dumps(damaged(json.loads(good), rng)).encode()
            file.write_bytes(content)
            begun = time.process_time()
            try:
                load(folder)
                harmless += 1
            except LingbotEvalError as error:
                words = str(error)
                told = f"{number}: {content[:2000]!r} -> {words[:500]}"
                assert "\n" not in words, told
                assert file.name.removesuffix(".index.json") in words or file.parent.name in words, told
                assert len(words) < 20_000, told
            assert time.process_time() - begun < 5, f"{number}: {content[:2000]!r}"
    finally:
        file.write_text(good)
    assert harmless < EACH / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("transformer/config.json", {"num_layers": 10**9}),
        ("transformer/config.json", {"num_layers": 10**6}),
        ("transformer/config.json", {"attention_head_dim": -2}),
        ("transformer/config.json", {"action_dim": 2**52}),
        ("transformer/config.json", {"obs_cam_keys": 7}),
        ("vae/config.json", {"num_res_blocks": 10**6}),
        ("vae/config.json", {"dim_mult": [1] * 100_000}),
        ("vae/config.json", {"z_dim": 10**9}),
        ("text_encoder/config.json", {"num_layers": 10**6}),
        ("text_encoder/config.json", {"vocab_size": 10**15}),
        ("lerobot/config.json", {"action_dim": 10**12}),
        ("lerobot/config.json", {"num_inference_steps": 10**9}),
        ("lerobot/config.json", {"camera_layout": ["width_concat"]}),
        ("lerobot/config.json", {"used_action_channel_ids": [-1]}),
        ("lerobot/config.json", {"used_action_channel_ids": "0123456"}),
        ("lerobot/config.json", {"wan_pretrained_path": 3}),
        ("lerobot/policy_postprocessor.json", {"steps": 3}),
        ("lerobot/policy_postprocessor.json", {"steps": [{"registry_name": "unnormalizer_processor"}]}),
        (
            "lerobot/policy_postprocessor.json",
            {"steps": [{"registry_name": "unnormalizer_processor", "state_file": "../../x.safetensors"}]},
        ),
    ],
)
def test_an_absurd_value_is_named_with_its_key_and_nothing_is_made_of_it(whole, name, values):
    file = whole / name
    good = file.read_text()
    (key,) = values
    begun = time.process_time()
    try:
        file.write_text(json.dumps({**json.loads(good), **values}))
        with pytest.raises(LingbotEvalError, match=key if key != "steps" else "steps|state_file") as error:
            FILES[name](file.parent if name.startswith("lerobot") else whole)
    finally:
        file.write_text(good)
    assert file.name in str(error.value)
    assert "\n" not in str(error.value)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("named", ["../vae/x.safetensors", "/etc/passwd", 3, "", "x"])
def test_an_index_names_files_beside_it_alone(whole, named):
    file = whole / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    good = file.read_text()
    try:
        file.write_text(json.dumps({"weight_map": {"a": named}}))
        with pytest.raises(LingbotEvalError, match=r"weight_map names .* no safetensors file beside it"):
            locate(str(whole))
    finally:
        file.write_text(good)


def test_labels_without_end_are_not_made(whole):
    """transformers makes as many as num_labels says; the encoder reads none."""
    file = whole / "text_encoder" / "config.json"
    good = file.read_text()
    try:
        file.write_text(json.dumps({**json.loads(good), "num_labels": 10**9}))
        begun = time.process_time()
        text(whole)
        assert time.process_time() - begun < 2
    finally:
        file.write_text(good)


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (2**63, {"a": GOOD}),
        (10**9, {"a": GOOD}),
        (3, {"a": GOOD}),
        (None, {"a": {**GOOD, "data_offsets": [0, 2**40]}}),
        (None, {"a": {**GOOD, "data_offsets": [8, 0]}}),
        (None, {"a": {**GOOD, "shape": [2**62, 4]}}),
        (None, {"a": {**GOOD, "shape": [-1]}}),
        (None, {"a": {**GOOD, "dtype": "X"}}),
        (None, {"a": GOOD, "b": GOOD}),
        (None, [[]]),
    ],
)
@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_a_damaged_header_of_weights_is_one_line(tiny, tmp_path, part, length, header):
    folder = Path(shutil.copytree(tiny, tmp_path / "copy"))
    (file,) = (folder / part).glob("*.safetensors")
    encoded = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(encoded) if length is None else length) + encoded + bytes(8))
    load = {"transformer": weights, "vae": vae, "text_encoder": text}[part]
    with pytest.raises(LingbotEvalError, match=f"{file.name} cannot be read") as error:
        load(folder)
    assert "\n" not in str(error.value)
