"""``lingbot-eval dataset check`` and ``stats``: each complaint, on a small dataset that is broken so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.datasets.check_rows import check_commands, likely_order
from lingbot_eval.datasets.findings import Findings
from lingbot_eval.datasets.lerobot import LeRobot
from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.datasets.wordings import write_texts
from lingbot_eval.envs.robotwin.poses import unit
from tests.datasets.made import FPS, Made, walk, write_21
from tests.datasets.test_items import save_latents, text

KEYS = {"observation.images.top": (2, 2), "observation.images.side": (2, 2)}

ROBOT = """
name: arm
preset: demo
settings:
  cameras: {top: observation.images.top, side: observation.images.side}
  height: 32
  width: 32
  commands_per_frame: 4
columns:
  - {column: 0, channel: 0, q01: -2.0, q99: 2.0}
  - {column: 1, channel: 1, q01: -2.0, q99: 2.0}
  - {column: 2, channel: 2, q01: -2.0, q99: 2.0}
  - {column: 3, channel: 3, q01: -1.0, q99: 1.0}
  - {column: 4, channel: 4, q01: -1.0, q99: 1.0}
  - {column: 5, channel: 5, q01: -1.0, q99: 1.0}
  - {column: 6, channel: 6, q01: -1.0, q99: 1.0}
  - {column: 7, channel: 28, q01: -2.0, q99: 2.0}
relative:
  - {position: [0, 1, 2], rotation: [3, 4, 5, 6], quaternion: xyzw}
fps: 10
"""


def turning(rows: int, seed: int) -> np.ndarray:
    """A pose with its quaternion, scalar last and never negative, and a gripper."""
    values = walk(rows, 8, seed)
    rotation = unit(values[:, 3:7].astype(np.float64) + np.array([0, 0, 0, 1.5]))
    values[:, 3:7] = rotation * np.sign(rotation[:, 3:])
    return values


def dataset(folder: Path, change: Callable[[list[np.ndarray]], None] | None = None, **more: object) -> Path:
    rows = [turning(14, 1), turning(22, 2)]
    if change:
        change(rows)
    episodes = [Made(rows[0], [(0, 14, "do it")]), Made(rows[1], [(0, 9, "do it"), (9, 22, "do it")])]
    write_21(folder, episodes, {})
    info = json.loads((folder / "meta" / "info.json").read_text())
    info["features"]["timestamp"] = {"dtype": "float32", "shape": [1]}
    (folder / "meta" / "info.json").write_text(json.dumps({**info, **more}))
    for number, (start, end) in [(0, (0, 14)), (1, (0, 9)), (1, (9, 22))]:
        ids = list(range(start, start + (end - start - 1) // 4 * 4 + 1))
        for key in KEYS:
            good(folder, key, number, (start, end), ids)
    torch.save(text(2, rows=1), folder / "empty_emb.pt")
    (folder / "arm.yaml").write_text(ROBOT)
    return folder


def good(
    folder: Path, key: str, number: int, segment: tuple[int, int], ids: list[int],
    size: tuple[int, int] = (2, 2), frames: int = 0, own: torch.Tensor | None = None,
) -> Path:  # fmt: skip
    count = frames or (len(ids) - 1) // 4 + 1
    return save_latents(folder, key, number, segment, ids, torch.zeros(count * size[0] * size[1], 48), size, own)


def check(folder: Path, capsys, *more: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["dataset", "check", str(folder), "--robot", str(folder / "arm.yaml"), *more])
    return status, capsys.readouterr().out.splitlines()


def complaint(folder: Path, capsys) -> str:
    """The only one."""
    status, lines = check(folder, capsys)
    wrong = [line for line in lines if line.startswith("wrong: ")]
    assert (status, len(wrong)) == (1, 1), lines
    return wrong[0]


def test_a_sound_dataset_has_nothing_wrong(tmp_path, capsys):
    status, lines = check(dataset(tmp_path / "d"), capsys)
    assert (status, len(lines)) == (0, 1), lines
    assert "3 segments, as the robot arm has them: nothing is wrong" in lines[0]


def test_missing_latents_are_counted_by_camera(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    for file in (folder / "latents" / "chunk-000" / "observation.images.side").glob("episode_000001*"):
        file.unlink()
    assert "2 of 3 segments have no latents of observation.images.side" in complaint(folder, capsys)


def test_a_camera_of_which_there_is_nothing_is_said_not_to_be_there(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    (folder / "arm.yaml").write_text(ROBOT.replace("images.side", "images.sied"))
    expected = "3 of 3 segments have no latents of observation.images.sied, nor has it such pictures (it has: none)"
    status, lines = check(folder, capsys)
    assert (status, expected in "\n".join(lines)) == (1, True), lines


def test_a_folder_without_a_dataset_is_said_to_be_none_whether_or_not_a_robot_is_named(tmp_path, capsys):
    assert main(["dataset", "check", str(tmp_path)]) == main(["dataset", "stats", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("is no LeRobot dataset") == 2


def put(episode: int, row: int, column: int, value: float) -> Callable[[list[np.ndarray]], None]:
    def change(rows: list[np.ndarray]) -> None:
        rows[episode][row, column] = value

    return change


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_named(tmp_path, capsys, value):
    found = complaint(dataset(tmp_path / "d", put(1, 3, 7, value)), capsys)
    assert "no number, in joint_7 (episode 1)" in found


def test_a_constant_column_is_noted(tmp_path, capsys):
    def still(rows: list[np.ndarray]) -> None:
        for one in rows:
            one[:, 7] = 0.5

    status, lines = check(dataset(tmp_path / "d", still), capsys)
    assert status == 0
    assert "note: " in lines[0]
    assert "column joint_7 is always 0.5" in lines[0]


def test_quantiles_that_contradict_the_data_are_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    robot = folder / "arm.yaml"
    robot.write_text(ROBOT.replace("channel: 28, q01: -2.0, q99: 2.0", "channel: 28, q01: 5.0, q99: 6.0"))
    assert "column 7 (channel 28): 100% of the commands are well outside of q01..q99, 5..6" in complaint(folder, capsys)
    robot.write_text(ROBOT.replace("channel: 28, q01: -2.0, q99: 2.0", "channel: 28, q01: 1.0, q99: 1.0"))
    assert "q01 1 and q99 1 are not apart; lingbot-eval dataset stats" in complaint(folder, capsys)


def round_an_axis(order: list[int]) -> Callable[[list[np.ndarray]], None]:
    """A hand that turns past the half circle; the scalar is kept positive."""

    def change(rows: list[np.ndarray]) -> None:
        for one in rows:
            half = np.linspace(0.3, 0.72, len(one)) * np.pi
            sign = np.sign(np.cos(half))
            turn = np.stack([np.sin(half) * 0.6, np.sin(half) * 0.8, 0 * half, np.cos(half)], axis=1)
            one[:, 3:7] = (turn * sign[:, None])[:, order]

    return change


@pytest.mark.parametrize(("order", "name", "other"), [([0, 1, 2, 3], "xyzw", "wxyz"), ([3, 0, 1, 2], "wxyz", "xyzw")])
def test_the_order_of_a_quaternion_shows_where_its_sign_changes(tmp_path, capsys, order, name, other):
    folder = dataset(tmp_path / "d", round_an_axis(order))
    for said in (name, other):
        (folder / "arm.yaml").write_text(ROBOT.replace("quaternion: xyzw", f"quaternion: {said}"))
        _, lines = check(folder, capsys)
        words = f"the quaternions are {name}, and the robot says {other}; it is the scalar that passes 0"
        assert any(words in line for line in lines) == (said == other)
        assert any("a quaternion changes its sign from one row to the next 2 times" in line for line in lines)


def test_an_order_that_is_only_likely_is_noted(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    (folder / "arm.yaml").write_text(ROBOT.replace("quaternion: xyzw", "quaternion: wxyz"))
    status, lines = check(folder, capsys)
    assert status == 0
    assert "the quaternions may be xyzw, and the robot says wxyz" in lines[0]


def test_some_quaternions_do_not_tell_their_order():
    none = np.zeros((0, 4), np.float32)
    assert likely_order(unit(np.array([[0.5, 0.5, -0.5, 0.5], [0.5, 0.5, -0.5, 0.52]])), none) == ("", False)


def test_a_change_of_sign_and_columns_that_are_no_quaternion_are_found(tmp_path, capsys):
    def flip(rows: list[np.ndarray]) -> None:
        rows[0][7:, 3:7] *= -1

    assert "a quaternion changes its sign from one row to the next 1 times" in complaint(
        dataset(tmp_path / "d", flip), capsys
    )

    def longer(rows: list[np.ndarray]) -> None:
        rows[0][3, 3:7] *= 1.5

    assert "one has length 1.5; are these the right columns?" in complaint(dataset(tmp_path / "e", longer), capsys)


def test_rates_that_contradict_one_another_are_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d", fps=2 * FPS)
    status, lines = check(folder, capsys)
    assert status == 1
    assert any("20 rows per second, and the robot arm has 10" in line for line in lines)
    assert any("timestamps say 10 rows per second, or leave some out, and fps is 20" in line for line in lines)
    (folder / "arm.yaml").write_text(ROBOT.replace("fps: 10", "fps: null"))
    assert not any("the robot arm has" in line for line in check(folder, capsys)[1])


def test_latents_of_another_rate_are_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    file = good(folder, "observation.images.top", 0, (0, 14), list(range(13)))
    said = torch.load(file, weights_only=True)
    torch.save({**said, "ori_fps": 30}, file)
    assert "latents are of 30 rows per second, the dataset of 10" in complaint(folder, capsys)
    torch.save({**said, "fps": 5}, file)
    assert "of 10.0 pictures per second are not 5" in complaint(folder, capsys)


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ([(0, 15, "do it")], "a segment lies outside of its episode (episode 0, rows 0..15 of 14)"),
        ([(0, 14, "do it"), (8, 14, "do it")], "two segments of an episode overlap (episode 0, rows 8..14)"),
        ([(0, 4, "do it")], "too short for two latent frames"),
        ([(0, 14, " ")], "a segment has no text (episode 0, rows 0..14)"),
    ],
)
def test_segments_that_cannot_be_are_found(tmp_path, capsys, segments, words):
    folder = dataset(tmp_path / "d")
    file = folder / "meta" / "episodes.jsonl"
    first, *others = file.read_text().splitlines()
    config = [dict(zip(("start_frame", "end_frame", "action_text"), one, strict=True)) for one in segments]
    file.write_text("\n".join([json.dumps({**json.loads(first), "action_config": config}), *others]))
    assert any(words in line for line in check(folder, capsys)[1])


def test_an_episode_of_another_length_is_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    file = folder / "meta" / "episodes.jsonl"
    file.write_text(file.read_text().replace('"length": 22', '"length": 23'))
    assert "meta says another number of rows than the file has (episode 1)" in complaint(folder, capsys)


TOP = "observation.images.top"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"own": text(1)[:500]}, "text_emb has 500 rows, not the 512"),
        ({"own": text(1) * torch.nan}, "latents or text have what is no number"),
        ({"size": (4, 1)}, "latents of 4 x 1, and the robot arm has 2 x 2"),
        ({"ids": [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13]}, "frame_ids are not evenly spaced"),
        ({"ids": list(range(0, 9, 2))}, "pictures are 2 rows apart, and the robot arm has 1"),
        ({"ids": list(range(4, 17))}, "frame_ids 4..16 leave the segment"),
        ({"ids": list(range(9))}, "4 latent frames of 9 pictures, which make 3"),
    ],
)
def test_files_of_latents_that_do_not_fit_are_found(tmp_path, capsys, change, words):
    folder = dataset(tmp_path / "d")
    ids = change.pop("ids", list(range(13)))
    frames = 2 if ids[1] - ids[0] == 2 else 4
    file = good(folder, TOP, 0, (0, 14), ids, frames=frames, **change)
    said = torch.load(file, weights_only=True)
    torch.save({**said, "latent_num_frames": frames, "fps": 10 // (ids[1] - ids[0])}, file)
    found = complaint(folder, capsys)
    assert words in found
    assert "episode 0, rows 0..14, observation.images.top" in found


def test_a_text_of_another_sentence_and_a_damaged_file_are_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    file = good(folder, TOP, 0, (0, 14), list(range(13)))
    torch.save({**torch.load(file, weights_only=True), "text": "something else"}, file)
    assert "the text that was encoded is another than the segment's" in complaint(folder, capsys)
    file.write_bytes(b"nothing")
    assert "it is damaged" in complaint(folder, capsys)


def test_the_empty_text_is_looked_at(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    torch.save(text(2)[:100], folder / "empty_emb.pt")
    assert "empty_emb.pt is no matrix of 512 rows" in complaint(folder, capsys)


def test_a_robot_with_other_columns_is_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    (folder / "arm.yaml").write_text(ROBOT.replace("column: 7", "column: 9"))
    assert "do not fit the robot arm: column 9 is none; the dataset's action has 8" in complaint(folder, capsys)


def test_statistics_are_of_relative_commands_and_make_a_robot(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    out = tmp_path / "mine.yaml"
    words = ["dataset", "stats", str(folder), "--robot", str(folder / "arm.yaml"), "--spread", "0.2"]
    assert main([*words, "--out", str(out)]) == 0
    robot = load_robot(str(out))
    parts = [turning(14, 1), turning(22, 2)[:9], turning(22, 2)[9:]]
    moves = np.concatenate([part[:, 0] - part[0, 0] for part in parts])
    assert robot.name == "mine"
    assert robot.columns[0].q01 == pytest.approx(np.quantile(moves, 0.01), abs=1e-5)
    assert robot.columns[0].q99 == pytest.approx(np.quantile(moves, 0.99), abs=1e-5)
    assert all(one.q99 - one.q01 > 0.2 - 1e-5 for one in robot.columns)
    assert settings_of(robot).channels == (*range(7), 28)
    capsys.readouterr()
    assert main(["dataset", "check", str(folder), "--robot", str(out)]) == 0
    assert main(words) == 0
    assert "name: arm" in capsys.readouterr().out


def test_a_constant_column_is_spread_about_its_value(tmp_path, capsys):
    def still(rows: list[np.ndarray]) -> None:
        for one in rows:
            one[:, 7] = 0.5

    folder = dataset(tmp_path / "d", still)
    words = ["dataset", "stats", str(folder), "--robot", str(folder / "arm.yaml"), "--out", str(tmp_path / "s.yaml")]
    assert main(words) == 0
    assert (load_robot(str(tmp_path / "s.yaml")).columns[7].q01, 0.5) == (0.5, 0.5)
    assert main([*words, "--spread", "0.2"]) == 0
    last = load_robot(str(tmp_path / "s.yaml")).columns[7]
    assert (last.q01, last.q99) == (pytest.approx(0.4), pytest.approx(0.6))


def test_a_state_that_is_no_number_is_found_where_poses_are_relative_to_it(tmp_path, capsys):
    rows = turning(14, 1)
    states = rows.copy()
    folder = dataset(tmp_path / "d")
    (folder / "arm.yaml").write_text(ROBOT.replace("quaternion: xyzw", "quaternion: xyzw, origin: state"))
    for bad in (False, True):
        if bad:
            states[0, 1] = np.nan
        write_21(tmp_path / f"{bad}", [Made(rows, [(0, 14, "do it")], states=states)], {})
        robot = load_robot(str(folder / "arm.yaml"))
        found = Findings()
        check_commands([LeRobot(tmp_path / f"{bad}")], robot, found)
        assert any("observation.state has what is no number, in row 0 of" in line for line in found.wrongs()) == bad


def test_wordings_that_cannot_be_read_are_found(tmp_path, capsys):
    folder = dataset(tmp_path / "d")
    (folder / "meta" / "wordings.jsonl").write_text('{"text": 3}\n')
    assert "wordings.jsonl: Expected `str`, got `int`" in complaint(folder, capsys)
    (folder / "meta" / "wordings.jsonl").unlink()
    write_texts(folder, {"do it": torch.full((2, 16), torch.nan)})
    assert "wordings.safetensors: the text of 'do it' is no matrix of numbers" in complaint(folder, capsys)
