"""Damaged recordings are said to be damaged, whatever the damage."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval import files
from lingbot_eval.agents.scripted import recordings
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.wrappers import RecordActions
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.recording import recording
from lingbot_eval.types import Episode, Outcome
from tests.conftest import toy

EPISODE = Episode("toy", "reach", 0, "go to the mark")


@pytest.fixture
def file(tmp_path) -> Path:
    env = RecordActions(ReachEnv(toy()), tmp_path)
    env.reset(seed=0)
    for metres in (0.1, 0.05):
        env.step(np.full((1, 1), metres, np.float32))
    env.save(EPISODE, Outcome.FAILURE)
    (file,) = tmp_path.rglob("*.npz")
    return file


def unpacked(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as kept:
        return dict(kept)


def test_what_was_kept_is_read(file):
    episode, actions = recording(file)
    assert episode == EPISODE.id
    np.testing.assert_array_equal(actions, np.float32([[[0.1]], [[0.05]]]))


def test_a_recording_with_any_byte_changed_is_said_to_be_damaged_or_holds_what_it_held(file):
    whole, draw = file.read_bytes(), np.random.default_rng(0)
    before = recording(file)
    told = 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(draw.integers(8))
        file.write_bytes(changed)
        try:
            episode, actions = recording(file)
        except CorruptRecords as error:
            told += str(file) in str(error)
        else:  # a date, say
            assert episode == before[0]
            np.testing.assert_array_equal(actions, before[1])
    assert told > len(whole) / 2


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_recording_that_is_packed_in_another_way_is_none(file, way):
    with zipfile.ZipFile(file) as kept:
        contents = {name: kept.read(name) for name in kept.namelist()}
    with zipfile.ZipFile(file, "w", way) as other:
        for name, content in contents.items():
            other.writestr(name, content)
    with pytest.raises(CorruptRecords, match="which no recording does"):
        recordings(file.parents[1])


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.pop("episode"),
        lambda kept: kept.update(episode=np.arange(3)),
        lambda kept: kept.update(actions=np.zeros((2, 1), np.float32)),
        lambda kept: kept.update(actions=np.zeros((2, 0, 1), np.float32)),
        lambda kept: kept.update(actions=np.array([[["left"]]])),
        lambda kept: kept.update(actions=np.zeros((files.LARGEST // 4, 1, 1), np.float32)),
    ],
)
def test_a_recording_of_anything_else_is_none(file, change: Callable[[dict[str, np.ndarray]], object]):
    kept = unpacked(file)
    change(kept)
    np.savez_compressed(file, **kept)
    with pytest.raises(CorruptRecords, match=r"0\.npz cannot be read"):
        recordings(file.parents[1])


def test_an_array_that_is_smaller_than_its_header_says_costs_no_memory(file):
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (2**58, 1, 1)}
    np.lib.format.write_array_header_1_0(header, shape)
    kept = unpacked(file)
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("actions.npy", header.getvalue())
        with other.open("episode.npy", "w") as stream:
            np.lib.format.write_array(stream, kept["episode"])
    with pytest.raises(CorruptRecords, match=r"0\.npz cannot be read"):
        recordings(file.parents[1])


def test_a_single_array_or_a_link_to_nothing_in_place_of_a_recording_is_told(file):
    with file.open("wb") as stream:
        np.save(stream, np.zeros((2, 1, 1), np.float32))
    with pytest.raises(CorruptRecords, match="cannot be read"):
        recordings(file.parents[1])
    file.unlink()
    file.symlink_to(file.with_name("nothing"))
    with pytest.raises(CorruptRecords, match="a link to nothing"):
        recordings(file.parents[1])
