"""Parts of the example that makes a model for tabletop from nothing. All of it is run by hand: make.py OUT --small."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[train]'")
pytest.importorskip("sapien", reason="the tabletop extra is not installed")

import yaml

from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.pictures import pictures
from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.envs import tabletop
from lingbot_eval.envs.tabletop.appearance import COLOURS
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.settings import as_struct
from lingbot_eval.suites.training import FIRST_SEED

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "train_tabletop"

sys.path.insert(0, str(EXAMPLE))  # as for a script that lies there

import record
from demonstrator import BEAT
from looks import Looks, Shown, open_looks
from make import same_recipe
from train_vae import Training, encoded_whole, train
from vae import Settings, decoded, encoded, joined

MODEL = settings_of(load_robot("tabletop"))


def settings(name: str) -> Settings:
    found: Settings = as_struct(yaml.safe_load((EXAMPLE / name).read_text())["vae"], Settings)
    return found


@pytest.fixture(scope="module")
def looks(tmp_path_factory) -> Looks:
    """Three episodes of noise, of which the first is held out."""
    folder, rng = tmp_path_factory.mktemp("looks"), np.random.default_rng(0)
    for name, shape in {"main": (1, 3, 64, 96), "wrist": (2, 3, 32, 48)}.items():
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (23, *shape), np.uint8))
    np.save(folder / "commands.npy", rng.normal(size=(23, 16)).astype(np.float32))
    shown = [Shown("a", "easy", first, count, first == 0) for first, count in ((0, 5), (5, 5), (10, 13))]
    (folder / "episodes.json").write_text(json.dumps([asdict(one) for one in shown]))
    return open_looks(folder)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["recipe.yaml", "small.yaml"])
def test_what_a_recipe_says_of_the_vae_is_understood(name):
    assert settings(name).steps > 0


def test_the_vae_is_trained_on_what_play_makes_of_pictures(looks):
    training = Training(settings("small.yaml"), looks, MODEL)
    vae, episode = training.learnt.vae, looks.episodes[2]
    main, wrist = (looks.pixels(stream, episode.first, episode.count) for stream in ("main", "wrist"))
    vision = Vision(vae, MODEL, torch.float32, torch.device("cpu"))
    wanted = encoded_whole(vision, looks.images(episode, list(MODEL.cameras)))
    with torch.no_grad():
        latents = joined(encoded(vae, main), encoded(vae, wrist))
        pictures = decoded(vae, latents).clamp(-1, 1)[0].permute(1, 2, 3, 0).numpy() / 2 + 0.5
    torch.testing.assert_close(latents, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pictures, vision.decode(wanted), atol=1e-4)


def test_a_vae_that_is_trained_in_two_goes_is_the_same_to_the_bit(looks, tmp_path):
    chosen = msgspec.structs.replace(settings("small.yaml"), steps=3, look_every=3, save_every=2)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    whole = Training(chosen, looks, MODEL)
    train(whole, first)
    shutil.copytree(first, second)
    shutil.rmtree(second / "state" / "step-00000003")  # as if it had been killed before it wrote this one
    again = Training(chosen, looks, MODEL)
    train(again, second)
    assert (second / "looked.jsonl").read_text() == (first / "looked.jsonl").read_text()
    for name, value in whole.tensors().items():
        assert torch.equal(value, again.tensors()[name]), name


def test_a_folder_belongs_to_one_recipe(tmp_path):
    kept = same_recipe(tmp_path, EXAMPLE / "small.yaml")
    assert same_recipe(tmp_path, EXAMPLE / "small.yaml") == kept
    with pytest.raises(BadInput, match=r"begun with another recipe.*choose another folder"):
        same_recipe(tmp_path, EXAMPLE / "recipe.yaml")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Four demonstrations of one task, of which some come back from astray."""
    try:
        probe()
    except NotReady as missing:
        pytest.skip(str(missing))
    out = tmp_path_factory.mktemp("recorded")
    record.record(out, record.Scenes("easy", 0), ["lift_block"], 4, (0, 1))
    assert record.describe(out) == 4
    return out


def test_demonstrations_are_a_dataset_of_scenes_that_are_never_evaluated(recorded):
    dataset = LeRobot(recorded)
    assert all(
        json.loads(line)["seed"] >= FIRST_SEED
        for line in (recorded / "meta" / "episodes.jsonl").read_text().splitlines()
    )
    for episode in dataset.episodes:
        (segment,) = episode.segments
        assert segment.end_frame == episode.length == len(dataset.rows(episode))
        assert episode.length % BEAT == 1
        words = segment.action_text
        assert words[0].isupper()
        assert words in tabletop.sentences("lift_block", {"{A}": _thing(words), "{a}": _arm(words)})["seen"]
        seen = pictures(dataset, episode, "observation.images.cam_high", [0, episode.length - 1])
        assert seen.shape == (2, *record.SIZE, 3)
        assert np.abs(seen[0].astype(int) - seen[1]).mean() > 1  # the arm has moved


def _thing(words: str) -> str:
    return next(f"{colour} block" for colour in COLOURS if colour in words)


def _arm(words: str) -> str:
    return "left" if "left" in words else "right"


def test_what_led_astray_is_given_in_whole_latent_frames_and_two_are_left_to_learn(recorded):
    segments = [episode.segments[0] for episode in LeRobot(recorded).episodes]
    assert any(segment.given for segment in segments)
    assert not all(segment.given for segment in segments)
    for segment in segments:
        assert segment.given % BEAT == 0
        assert segment.end_frame - 1 - segment.given >= record.LEARNT * BEAT


def test_a_recording_that_was_stopped_goes_on_with_what_is_missing(recorded, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(recorded, again)
    file, about = again / "data/chunk-000/episode_000002.parquet", again / "episodes/000002.json"
    whole, said = file.read_bytes(), about.read_text()
    about.unlink()
    file.write_bytes(b"half")
    record.record(again, record.Scenes("easy", 0), ["lift_block"], 4, (0, 1))
    assert json.loads(about.read_text()) == json.loads(said)
    assert (
        LeRobot(again).rows(LeRobot(again).episodes[2]).tolist()
        == LeRobot(recorded).rows(LeRobot(recorded).episodes[2]).tolist()
    )
    assert len(file.read_bytes()) == len(whole)


def test_of_a_first_chunk_no_more_is_recorded_than_leads_to_the_second_look(recorded, tmp_path):
    record.record(tmp_path, record.Scenes("easy", 0, first_chunk=True), ["lift_block"], 4, (0, 1))
    assert record.describe(tmp_path) == 4
    first, whole = LeRobot(tmp_path), LeRobot(recorded)
    straight = [n for n, episode in enumerate(whole.episodes) if not episode.segments[0].given]
    assert straight
    for n in straight:  # the same scenes, played to their end
        rows = first.rows(first.episodes[n])
        assert len(rows) == 1 + BEAT
        assert np.array_equal(rows[:BEAT], whole.rows(whole.episodes[n])[:BEAT])


def test_a_hand_that_closed_in_vain_opens_and_hovers_before_it_comes_down(recorded):
    dataset = LeRobot(recorded)
    for episode in dataset.episodes:
        rows, given = dataset.rows(episode), episode.segments[0].given
        grippers = rows[:, [7, 15]].min(axis=1)
        if given and grippers[given - 1] < 0.5:
            assert (grippers[given : given + BEAT] > 0.5).all()
            break
    else:
        pytest.fail("no demonstration closed in vain; record more")
