"""Demonstrations in one command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.envs.tabletop.catalogue import catalogue, sentences, wordings
from lingbot_eval.errors import BadInput
from lingbot_eval.suites.training import FIRST_SEED

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -e '.[export]'")


def collect(out: Path, *words: str) -> int:
    return main(["collect", "toy", "--episodes", "3", "--out", str(out), *words])


def said(out: Path) -> dict[str, bytes]:
    """The files of a dataset that are the same whoever writes it, by name; who wrote it is said in another."""
    there = [*out.glob("meta/*"), *out.glob("data/*/*")]
    return {str(file.relative_to(out)): file.read_bytes() for file in there if file.name != "collected.json"}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("collected") / "whole"
    assert collect(out) == 0
    return out


def test_a_dataset_says_what_was_collected_and_where(whole):
    held = json.loads((whole / "meta" / "collected.json").read_text())
    assert (held["suite"], held["agent"]["name"], held["protocol_hash"] != "") == ("toy", "expert", True)
    assert [(task["task"], task["episodes"]) for task in held["tasks"]] == [("reach", 3), ("return", 3)]
    episodes = lines(whole / "meta" / "episodes.jsonl")
    assert {episode["task"] for episode in episodes} == {"reach", "return"}
    assert min(episode["seed"] for episode in episodes) == held["tasks"][0]["first_seed"] >= FIRST_SEED
    assert "| toy | return | - | 3 |" in (whole / "README.md").read_text()


def test_the_same_command_does_nothing_twice(whole, capsys):
    before = {file: file.stat().st_mtime_ns for file in whole.rglob("*") if file.is_file()}
    assert collect(whole) == 0
    assert "6 of 6 shown" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert sorted(path.name for path in whole.iterdir()) == ["README.md", "data", "meta", "run", "videos"]


def test_two_workers_write_the_same_bytes(whole, tmp_path):
    assert collect(tmp_path / "two", "--workers", "2") == 0
    assert said(tmp_path / "two") == said(whole)


def killed(out: Path, when: str) -> None:
    """Collect in another process until a file is there, then kill all of it."""
    words = ["collect", "toy", "--episodes", "3", "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not list(out.glob(when)):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("when", ["run/records/*.jsonl", ".parts/*/*/about.json", ".parts/order.json"])
def test_who_is_killed_goes_on_and_nothing_is_lost_doubled_or_changed(when, whole, tmp_path):
    out = tmp_path / "out"
    killed(out, when)
    assert not (out / "meta" / "info.json").exists()
    assert collect(out) == 0
    assert said(out) == said(whole)
    assert len(list(out.glob("videos/*/*/*.mp4"))) == 6
    assert not (out / ".parts").exists()


def test_at_the_end_the_last_command_is_repeated_until_frames_are_whole(whole, tmp_path):
    assert collect(tmp_path / "filled", "--commands-per-frame", "8") == 0
    filled, plain = (lines(out / "meta" / "episodes.jsonl") for out in (tmp_path / "filled", whole))
    for long, short in zip(filled, plain, strict=True):
        assert long["length"] % 8 == 1
        assert 0 <= long["length"] - short["length"] < 8
    rows = pq.read_table(next((tmp_path / "filled").glob("data/*/episode_000000.parquet"))).to_pydict()
    before = plain[0]["length"] - 1
    assert set(rows["action"][before:]) == {rows["action"][before - 1]}
    assert len(set(rows["observation.state"][before:])) == 1
    assert rows["observation.state"][before] != rows["observation.state"][before - 1]


def refused(words: list[str], capsys) -> str:
    capsys.readouterr()
    assert main(["collect", *words]) == 2
    err: str = capsys.readouterr().err
    assert "Traceback" not in err
    return err.splitlines()[-1]


def test_bad_input_is_said_in_a_line(whole, tmp_path, capsys):
    there = ["--episodes", "1", "--out", str(tmp_path / "new")]
    assert "a suite's expert's (--agent expert)" in refused(["toy", *there, "--agent", "random"], capsys)
    assert "no path to thin" in refused(["libero", *there, "agent.waypoints_per_command=4"], capsys)
    assert "agent.beat=4: libero's expert decides" in refused(["libero", *there, "agent.beat=4"], capsys)
    assert "numbered from 0" in refused(["toy", *there, "--seed", "-1"], capsys)
    assert "at least one command" in refused(["toy", *there, "--commands-per-frame", "0"], capsys)
    assert "unknown benchmark 'tabeltop'" in refused(["tabeltop", *there], capsys)
    assert not (tmp_path / "new").exists()
    assert "nothing was collected there" in refused(["toy", "--episodes", "1", "--out", str(whole.parent)], capsys)
    assert "holds another experiment" in refused(["toy", "--episodes", "4", "--out", str(whole)], capsys)


def test_two_episodes_of_a_tabletop_task(tmp_path, monkeypatch):
    pytest.importorskip("sapien", reason="the tabletop extra is not installed")
    monkeypatch.chdir(tmp_path)
    words = ["--tasks", "press_button", "--setting", "hard", "--episodes", "2", "--commands-per-frame", "4"]
    assert main(["collect", "tabletop", *words, "--out", "ds", "agent.waypoints_per_command=6"]) == 0
    episodes = lines(tmp_path / "ds" / "meta" / "episodes.jsonl")
    assert [episode["length"] % 4 for episode in episodes] == [1, 1]
    said = lines(tmp_path / "ds" / "meta" / "wordings.jsonl")
    assert {line["text"] for line in said} == {episode["tasks"][0] for episode in episodes}
    colours, sides = ("red", "green", "blue", "yellow", "purple"), ("left", "right")
    named = [{"{A}": f"{colour} button", "{a}": side} for colour in colours for side in sides]
    seen = {text for info in named for text in sentences("press_button", info)["seen"]}
    for line in said:  # hard is evaluated with unseen sentences, and trained on with none of them
        assert line["others"] == wordings("press_button", line["text"])
        assert line["text"] in seen


BLANKS = {"{A}": "red block", "{B}": "tray", "{C}": "blue pad", "{a}": "left", "{b}": "right"}


@pytest.mark.parametrize("task", catalogue())
def test_wordings_say_no_more_than_the_sentence_and_are_never_kept_back(task):
    found, entry = sentences(task, BLANKS), catalogue()[task]
    for split in ("seen", "unseen"):
        for template, text in zip(entry[split], found[split], strict=True):
            blanks = {blank for blank in BLANKS if blank in template}
            expected = [
                other
                for pattern, other in zip(entry["seen"], found["seen"], strict=True)
                if {blank for blank in BLANKS if blank in pattern} <= blanks and other != text
            ]
            assert wordings(task, text) == expected
    with pytest.raises(BadInput, match="is no instruction of"):
        wordings(task, "Sing.")
