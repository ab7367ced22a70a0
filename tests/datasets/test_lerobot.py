"""Datasets of others are read as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.datasets.lerobot import LeRobot, Segment, datasets_in, numbers
from lingbot_eval.datasets.segments import frame_ids, latent_frames
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.videos import pictures_at
from tests.datasets.made import FPS, Made, picture, walk, write_21, write_30

CAMERAS = {"observation.images.top": (32, 48)}

CONFIG = [
    {"start_frame": 0, "end_frame": 5, "action_text": "a"},
    {"start_frame": 5, "end_frame": 8, "action_text": "b"},
]

EPISODES = [Made(walk(6, 3, 1), tasks=("first",)), Made(walk(8, 3, 2), more={"action_config": CONFIG, "task": "push"})]


@pytest.mark.parametrize("write", [write_21, write_30])
def test_rows_pictures_and_segments_are_found_by_episode(tmp_path, write):
    episodes = [EPISODES[0], EPISODES[1]]
    if write is write_30:  # a column has a value in every row
        episodes[0] = Made(EPISODES[0].actions, tasks=("first",), more={"action_config": None, "task": None})
    dataset = LeRobot(write(tmp_path / "d", episodes, CAMERAS))
    one, two = dataset.episodes
    np.testing.assert_array_equal(dataset.rows(one), EPISODES[0].actions)
    np.testing.assert_array_equal(dataset.rows(two), EPISODES[1].actions)
    assert one.segments == (Segment(0, 6, "first"),)
    assert two.segments == (Segment(0, 5, "a"), Segment(5, 8, "b"))
    assert (one.task, two.task) == (None, "push")
    film = dataset.film(two, "observation.images.top")
    found = pictures_at(film.file, [film.first + row for row in (1, 4, 7, 7)], dataset.fps)
    wanted = np.stack([picture(1, 0, row, (32, 48)) for row in (1, 4, 7, 7)])
    assert np.abs(found.astype(int) - wanted).mean() < 4
    assert dataset.names() == ["joint_0", "joint_1", "joint_2"]


def test_a_video_that_ends_too_early_is_named(tmp_path):
    dataset = LeRobot(write_21(tmp_path / "d", [Made(walk(5, 3))], CAMERAS))
    film = dataset.film(dataset.episodes[0], "observation.images.top")
    for wanted in ([0, 4, 5], [7, 8]):
        with pytest.raises(BadInput, match=r"episode_000000\.mp4"):
            pictures_at(film.file, wanted, FPS)


def change(folder: Path, **more: object) -> Path:
    file = folder / "meta" / "info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **more}))
    return folder


def test_names_of_columns_may_lie_deeper_or_be_absent(tmp_path):
    folder = write_21(tmp_path / "d", [Made(walk(5, 2))], {})
    for names, wanted in [({"motors": ["x", "y"]}, ["x", "y"]), (None, ["0", "1"]), (["one"], ["0", "1"])]:
        change(folder, features={"action": {"dtype": "float32", "shape": [2], "names": names}})
        assert LeRobot(folder).names() == wanted


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"codebase_version": "v1.6"}, "codebase_version 'v1.6' (valid: v2.0, v2.1, v3.0)"),
        ({"fps": 0}, "fps is 0, not a rate"),
        ({"features": []}, "features is [], which is none"),
        ({"data_path": "/etc/{episode_index}"}, "leads out of the dataset"),
        ({"data_path": "../{episode_index}"}, "leads out of the dataset"),
        ({"data_path": "{nothing}"}, "is no template of a file"),
    ],
)
def test_an_info_that_cannot_be_is_refused_in_a_line(tmp_path, more, words):
    folder = change(write_21(tmp_path / "d", [Made(walk(5, 2))], {}), **more)
    with pytest.raises(BadInput) as caught:
        LeRobot(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_or_damaged_are_named(tmp_path):
    dataset = LeRobot(write_21(tmp_path / "d", [Made(walk(5, 2)), Made(walk(5, 2))], {}))
    dataset.episodes[0].file.write_bytes(b"no parquet")
    with pytest.raises(BadInput, match=r"episode_000000\.parquet cannot be read"):
        dataset.rows(dataset.episodes[0])
    dataset.episodes[1].file.unlink()
    with pytest.raises(NotReady, match=r"episode_000001\.parquet is missing"):
        dataset.rows(dataset.episodes[1])
    (dataset.folder / "meta" / "episodes.jsonl").write_text('{"episode_index": -1, "length": 5}')
    with pytest.raises(BadInput, match="the episodes cannot be read"):
        datasets_in(dataset.folder.parent)


def test_vectors_of_several_lengths_are_refused():
    assert numbers(pa.chunked_array([pa.array([1.0, 2.0])])).tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="reshape"):
        numbers(pa.chunked_array([pa.array([[1.0], [1.0, 2.0]])]))


@pytest.mark.parametrize(
    ("rows", "stride", "cut", "held"),
    [
        (13, 1, 4, 4),
        (12, 1, 3, 4),
        (9, 1, 3, 3),
        (8, 1, 2, 3),
        (4, 1, 1, 2),
        (1, 1, 1, 1),
        (17, 4, 2, 2),
        (16, 4, 1, 2),
    ],
)
def test_pictures_make_latent_frames_or_are_left_out_or_held(rows, stride, cut, held):
    """What is held begins no frame for the last row alone, as there is one behind what ``collect`` writes."""
    segment = Segment(3, 3 + rows, "")
    for tail, frames in (("cut", cut), ("hold", held)):
        ids = frame_ids(segment, stride, tail)
        assert latent_frames(ids) == frames
        assert ids == list(range(3, 4 + 4 * (frames - 1) * stride, stride))
    assert frame_ids(segment, stride, "cut")[-1] < 3 + rows


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"chunks_size": "abc"}, 'chunks_size is "abc", not a number of episodes'),
        ({"chunks_size": float("inf")}, "chunks_size is Infinity"),
        ({"features": {"action": {"shape": 7}}}, "action has the shape 7, and is no vector"),
        ({"features": {"action": {"shape": ["x"]}}}, "and is no vector"),
        ({"features": {"../../home": {"dtype": "video"}}}, "'../../home' is no name of a feature"),
        ({"features": {"/home": {"dtype": "video"}}}, "'/home' is no name of a feature"),
    ],
)
def test_an_info_json_that_says_what_cannot_be_is_refused(tmp_path, said, words):
    folder = write_21(tmp_path, [Made(walk(9, 3))], {})
    file = folder / "meta" / "info.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **said}))
    with pytest.raises(BadInput, match=re.escape(words)):
        LeRobot(folder)


def test_names_that_are_no_list_are_no_names(tmp_path):
    folder = write_21(tmp_path, [Made(walk(9, 3))], {})
    file = folder / "meta" / "info.json"
    info = json.loads(file.read_text())
    info["features"]["action"]["names"] = 5
    file.write_text(json.dumps(info))
    assert LeRobot(folder).names() == ["0", "1", "2"]


def test_an_episode_that_is_said_twice_is_not_learnt_twice(tmp_path):
    folder = write_21(tmp_path, [Made(walk(9, 3)), Made(walk(9, 3))], {})
    file = folder / "meta" / "episodes.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")
    with pytest.raises(BadInput, match="has episode 0 twice"):
        LeRobot(folder)
