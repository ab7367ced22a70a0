"""``lingbot-eval imagine``: three files from pictures, and one line for what does not fit."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import imageio
import msgspec
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.models.lingbot_va.columns import columns, known_columns, presets
from lingbot_eval.models.lingbot_va.configuration import benchmark_names, load_benchmark
from lingbot_eval.models.lingbot_va.own_file import OwnFile
from lingbot_eval.videos import bar_height

BAR = bar_height(256)


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(file)
    return file


def command(checkpoint: object, picture: Path, out: Path, *more: str) -> list[str]:
    arguments = ["imagine", "--checkpoint", str(checkpoint), "--prompt", "Grab the mug", "--out", str(out)]
    arguments += ["--image", f"wrist={picture}", "--image", f"head={picture}"]
    return [*arguments, "--settings", "libero", "--chunks", "2", "--dtype", "float32", *more]


def test_it_writes_a_video_a_table_and_a_plot(tiny, picture, tmp_path, capsys):
    tables = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        out = tmp_path / name
        assert main(command(tiny, picture, out, "--seed", seed)) == 0
        assert capsys.readouterr().out.split() == [f"{out / n}" for n in ("video.mp4", "actions.csv", "actions.png")]
        tables.append((out / "actions.csv").read_text())
    assert tables[0] == tables[1] != tables[2]

    with (out / "actions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["chunk", "frame", "command", "seconds", "x [1 = 5 cm]"]
    assert [(row["chunk"], row["frame"]) for row in rows[::4]] == [
        *[("1", str(frame)) for frame in (1, 2, 3)],
        *[("2", str(frame)) for frame in (4, 5, 6, 7)],
    ]
    assert [int(row["command"]) for row in rows] == list(range(28))
    assert float(rows[-1]["seconds"]) == 27 / 20
    assert np.isfinite([float(row["gripper [-1 open .. 1 closed]"]) for row in rows]).all()

    video = imageio.get_reader(out / "video.mp4")
    assert video.count_frames() == 1 + 28
    assert video.get_meta_data()["fps"] == 20.0
    assert np.asarray(video.get_data(0)).shape == (BAR + 256, 2 * 256, 3)
    with Image.open(out / "actions.png") as plot:
        assert plot.width > 800
        assert plot.height > 600


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (["--image", "left_wrist=x.png"], r"unknown camera 'left_wrist'.*\(valid: head, wrist\)"),
        (["--image", "head=x.png"], "two pictures of camera head"),
        (["--image", "x.png"], "'x.png' is not CAMERA=FILE"),
        (["--settings", "robotwin"], r"unknown camera 'wrist'.*left_wrist"),
        (["--settings", "aloha"], r"unknown LingBot-VA benchmark 'aloha'.*libero"),
        (["--chunks", "0"], "at least 1"),
        (["--seed", "9223372036854775808"], r"--seed 9223372036854775808 is not in 0\.\."),
        (["--chunks", "few"], "'few'"),
        (["--dtype", "float16"], "float16.*bfloat16"),
        (["--device", "gpu"], "device 'gpu'.*cpu, cuda"),
        (["--checkpoint", "/no/such/folder"], "/no/such/folder"),
    ],
)
def test_bad_input_gets_one_line(more, complaint, tiny, picture, tmp_path, capsys):
    assert main(command(tiny, picture, tmp_path / "out", *more)) == 2
    err = capsys.readouterr().err
    assert re.match(r"lingbot-eval: [^\n]*\n$", err), err
    assert re.search(complaint, err), err


def test_the_cameras_are_those_that_the_checkpoint_says(tiny, picture, tmp_path, capsys):
    own = shutil.copytree(tiny, tmp_path / "own")
    cameras = {"top": "observation.images.top", "side": "observation.images.side"}
    own_file = OwnFile(msgspec.structs.replace(load_benchmark("libero"), cameras=cameras), None)
    (own / "lingbot_eval.json").write_bytes(own_file.content())
    arguments = ["imagine", "--checkpoint", str(own), "--prompt", "y", "--out", str(tmp_path / "out"), "--chunks", "1"]
    assert main([*arguments, "--image", f"top={picture}"]) == 2
    assert "no --image of side (cameras: top, side" in capsys.readouterr().err


def test_pictures_and_the_folder_must_be_what_they_should(tiny, picture, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no picture")
    bare = ["imagine", "--checkpoint", str(tiny), "--prompt", "y", "--out", "z", "--image", f"head={picture}"]
    wrong = [
        (command(tiny, tmp_path / "text.png", tmp_path / "out"), "text.png is not a picture"),
        (command(tiny, tmp_path / "none.png", tmp_path / "out"), "none.png: No such file"),
        (command(tiny, picture, tmp_path), "not empty"),
        (command(tiny, picture, tmp_path / "text.png"), "text.png"),
        (bare, "no --image of left_wrist, right_wrist"),
    ]
    for arguments, words in wrong:
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert words in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", benchmark_names())
def test_every_command_column_of_a_benchmark_has_a_name_of_its_own(name):
    assert sorted(presets()) == benchmark_names()
    assert set(load_benchmark(name).channels) == set(known_columns(name))
    named = columns(name, load_benchmark(name).channels)
    assert len({column.name for column in named}) == len(named)
