"""Played episodes as a LeRobotDataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.files import with_checksum
from tests.conftest import toy
from tests.envs.test_wrappers import read
from tests.reports.folders import directory, many

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -e '.[export]'")

FORMATS = ["lerobot-2.1", "lerobot-3.0"]


def played(folder: Path, *more: str) -> Path:
    assert run_suite(["toy", "--episodes", "2", "actions=true", "--out", str(folder), *more]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return played(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module", params=FORMATS)
def dataset(request, run, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dataset") / request.param
    assert main(["export", str(run), "--to", request.param, "--out", str(out)]) == 0
    return out


def rows_of(dataset: Path) -> dict[str, Any]:
    """All of its rows by column, in the order of its files."""
    tables = [pq.read_table(file).to_pydict() for file in sorted(dataset.glob("data/*/*.parquet"))]
    return {name: np.array([value for table in tables for value in table[name]]) for name in tables[0]}


def info_of(dataset: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((dataset / "meta" / "info.json").read_text())
    return info


def test_a_row_is_a_command_with_what_was_seen_before_it_and_what_it_led_to(dataset, run):
    rows = rows_of(dataset)
    first = np.load(run / "actions" / "reach" / "0.npz")["actions"].reshape(-1)
    count = len(first)
    np.testing.assert_array_equal(rows["action"][:count], first)
    env = ReachEnv(toy())
    observation, _ = env.reset(seed=0)
    for row in range(count):
        assert rows["observation.state"][row] == observation["state"][0]
        observation, *_ = env.step(first[None, row : row + 1])
    assert rows["next.success"][: count + 1].tolist() == [*[False] * (count - 1), True, False]
    np.testing.assert_array_equal(rows["next.success"], rows["next.done"])
    np.testing.assert_array_equal(rows["next.success"], rows["next.reward"])


def test_rows_are_counted_in_the_episode_and_in_the_dataset(dataset):
    rows, info = rows_of(dataset), info_of(dataset)
    assert rows["index"].tolist() == list(range(info["total_frames"]))
    for episode in range(info["total_episodes"]):
        own = rows["episode_index"] == episode
        assert rows["frame_index"][own].tolist() == list(range(own.sum()))
        np.testing.assert_allclose(rows["timestamp"][own], rows["frame_index"][own] / info["fps"], rtol=1e-6)
    assert (info["total_episodes"], info["total_tasks"], info["fps"]) == (4, 2, 10)
    assert rows["task_index"][[0, -1]].tolist() == [0, 1]


def test_every_row_has_its_picture(dataset):
    info, rows = info_of(dataset), rows_of(dataset)
    place = {"episode_chunk": 0, "chunk_index": 0, "episode_index": 0, "file_index": 0}
    video = dataset / info["video_path"].format(video_key="observation.images.head", **place)
    pictures, rate = read(video)
    assert rate == info["fps"]
    assert len(pictures) == (rows["episode_index"] == 0).sum()
    env = ReachEnv(toy())
    observation, _ = env.reset(seed=0)
    for picture, command in zip(pictures, rows["action"], strict=False):
        error = np.mean((picture.astype(float) - observation["images"]["head"]) ** 2)
        assert error < 255**2 * 10 ** (-30 / 10)  # 30 dB
        observation, *_ = env.step(np.array([[command]], np.float32))


def test_statistics_are_those_of_the_rows(tmp_path, run):
    main(["export", str(run), "--to", "lerobot-3.0", "--out", str(tmp_path / "3.0")])
    rows, found = rows_of(tmp_path / "3.0"), json.loads((tmp_path / "3.0" / "meta" / "stats.json").read_text())
    for name, values in rows.items():
        for what, value in {
            "min": values.min(),
            "max": values.max(),
            "mean": values.mean(),
            "std": values.std(),
        }.items():
            np.testing.assert_allclose(found[name][what], [value], atol=1e-6)
        assert found[name]["count"] == [len(values)]
    colours = found["observation.images.head"]
    assert np.shape(colours["mean"]) == (3, 1, 1)
    assert np.min(colours["min"]) == pytest.approx(40 / 255)  # the point
    assert np.max(colours["max"]) == pytest.approx(235 / 255)  # the line


def test_version_2_1_has_one_segment_per_episode_for_post_training(tmp_path, run):
    main(["export", str(run), "--to", "lerobot-2.1", "--out", str(tmp_path / "2.1")])
    lines = [json.loads(line) for line in (tmp_path / "2.1" / "meta" / "episodes.jsonl").read_text().splitlines()]
    assert [line["episode_index"] for line in lines] == [0, 1, 2, 3]
    for line in lines:
        (text,) = line["tasks"]
        assert line["action_config"] == [{"start_frame": 0, "end_frame": line["length"], "action_text": text}]


def test_only_commands_that_were_executed_are_rows(tmp_path):
    limits = ["--agent", "random", "--tasks", "reach", "agent.commands_per_action=4", "protocol.command_limit=10"]
    run, out = played(tmp_path / "run", *limits), tmp_path / "out"
    assert np.load(run / "actions" / "reach" / "0.npz")["actions"].size == 12
    assert main(["export", str(run), "--to", "lerobot-3.0", "--out", str(out), "--outcome", "failure"]) == 0
    rows = rows_of(out)
    assert (rows["episode_index"] == 0).sum() == 10
    assert rows["next.done"].sum() == 2
    assert not rows["next.success"].any()


def refused(arguments: Sequence[str], capsys) -> str:
    capsys.readouterr()
    assert main(["export", *arguments]) == 2
    err: str = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("lingbot-eval: ")
    assert "Traceback" not in err
    return err


def spoil(run: Path, seeds: Sequence[int]) -> None:
    """Put other commands where the recorded ones were."""
    for seed in seeds:
        file = run / "actions" / "reach" / f"{seed}.npz"
        kept = dict(np.load(file))
        np.savez_compressed(file, **{**kept, "actions": 0 * kept["actions"]})


def test_an_episode_that_does_not_end_as_recorded_is_left_out(tmp_path, capsys):
    run, out = played(tmp_path / "run", "--tasks", "reach"), tmp_path / "out"
    spoil(run, [1])
    capsys.readouterr()
    assert main(["export", str(run), "--to", "lerobot-2.1", "--out", str(out)]) == 1
    assert "left out: toy/reach/-/1/-: recorded were success after 19 commands" in capsys.readouterr().err
    rows = rows_of(out)
    assert set(rows["episode_index"]) == {0}
    assert len(rows["index"]) == info_of(out)["total_frames"] == 18
    assert len(list(out.glob("videos/*/*/*.mp4"))) == 1
    spoil(run, [0])
    assert "nothing was written" in refused([str(run), "--to", "lerobot-2.1", "--out", str(tmp_path / "none")], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "run"]


def test_a_run_on_another_simulator_is_refused(tmp_path, capsys):
    run = played(tmp_path / "run", "--tasks", "reach")
    content = json.loads((run / "run.json").read_text())
    content["experiment"]["facts"] = {"physics": "2"}
    (run / "run.json").write_bytes(with_checksum(content))
    assert "on this machine: physics: there '2', here None" in refused([str(run), "--to", "lerobot-2.1"], capsys)


def test_what_is_missing_is_said_before_anything_is_played(tmp_path, run, capsys):
    plan, records = many(1, 4)
    by_hand = directory(tmp_path / "trials", plan, records)
    assert "played by no simulator" in refused([str(by_hand.path), "--to", "lerobot-2.1"], capsys)
    without = tmp_path / "without"
    assert run_suite(["toy", "--episodes", "1", "actions=false", "--out", str(without)]) == 0
    assert "a run keeps its commands unless actions=false" in refused([str(without), "--to", "lerobot-2.1"], capsys)
    assert "ended in failure" in refused([str(run), "--to", "lerobot-2.1", "--outcome", "failure"], capsys)
    assert "not a run directory" in refused([str(tmp_path / "nowhere"), "--to", "parquet"], capsys)
    assert not (tmp_path / "nowhere").exists()
    assert "did you mean 'parquet'" in refused([str(run), "--to", "parket"], capsys)
    (without / "actions" / "reach").mkdir(parents=True)
    (without / "actions" / "reach" / "0.npz").write_bytes(b"PK\x03\x04 torn")
    assert "0.npz cannot be read" in refused([str(without), "--to", "lerobot-2.1"], capsys)
    assert "exists" in refused([str(run), "--to", "lerobot-2.1", "--out", str(tmp_path)], capsys)


def test_eval_info_and_parquet_are_written_into_the_run_by_default(run, capsys):
    assert main(["export", str(run), "--to", "eval-info"]) == 0
    assert main(["export", str(run), "--to", "parquet"]) == 0
    assert json.loads((run / "export" / "eval_info.json").read_text())["overall"]["pc_success"] == 100
    assert pq.read_table(run / "export" / "records.parquet").num_rows == 4


def test_lerobot_reads_it(dataset):
    """Where the lerobot package is, in the version that it reads."""
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="lerobot is not installed")
    if info_of(dataset)["codebase_version"] != lerobot.CODEBASE_VERSION:
        pytest.skip(f"this lerobot reads {lerobot.CODEBASE_VERSION}")
    theirs, rows = lerobot.LeRobotDataset("anybody/anything", root=dataset), rows_of(dataset)
    assert (len(theirs), theirs.meta.total_episodes, theirs.fps) == (len(rows["index"]), 4, 10)
    for row in (0, 1, len(theirs) - 1):
        item = theirs[row]
        assert item["action"].item() == rows["action"][row]
        assert item["episode_index"].item() == rows["episode_index"][row]
        assert tuple(item["observation.images.head"].shape) == (3, 64, 64)
    assert theirs[0]["task"] == "go to the mark"
    assert theirs[len(theirs) - 1]["task"] == "go to the mark and come back"
