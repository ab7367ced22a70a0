"""Whatever lies in a file's place: it is named, not waited for, and nothing is written through a link."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval import files
from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.envs.wrappers import RecordActions
from lingbot_eval.errors import CorruptRecords, NotReady
from lingbot_eval.suites.manifest import Manifest, Wanted
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.journal import alone
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.reports.folders import directory

EPISODES = [Episode("toy", "reach", seed, "go to the mark", index=seed) for seed in range(3)]


@pytest.fixture
def thesis(tmp_path) -> Path:
    """Somebody else's."""
    file = tmp_path / "precious" / "thesis.txt"
    file.parent.mkdir()
    file.write_text("years of work")
    return file


@pytest.fixture
def run(tmp_path) -> Path:
    records = [EpisodeRecord(episode, Outcome.SUCCESS, 5, 1.0) for episode in EPISODES]
    return directory(tmp_path / "run", EPISODES, records).path


def test_a_lock_is_neither_truncated_nor_opened_through_a_link(tmp_path, thesis):
    (tmp_path / ".lock").write_text("kept")
    with alone(tmp_path):
        assert (tmp_path / ".lock").read_text() == "kept"
        with pytest.raises(NotReady, match="another process has"), alone(tmp_path):
            pass
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").symlink_to(thesis)
    with pytest.raises(NotReady, match="symbolic links"), alone(tmp_path):
        pass
    assert thesis.read_text() == "years of work"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_no_lock(tmp_path, make):
    make(tmp_path / ".lock")
    with pytest.raises(NotReady, match="cannot lock"), alone(tmp_path):
        pass


def test_scenes_are_neither_locked_nor_appended_through_a_link(tmp_path, thesis):
    wanted = Wanted("lift_block", "easy", 0, 1)
    for name in (".lift_block-easy.lock", "lift_block-easy.jsonl"):
        manifest = Manifest(tmp_path / name)
        manifest.open("tabletop", {})
        (manifest.folder / name).symlink_to(thesis)
        with pytest.raises(NotReady, match=f"{manifest.folder}.*symbolic links"):
            manifest.extend(wanted, lambda seed: pytest.fail("nothing is tried"), lambda: False)
    assert thesis.read_text() == "years of work"


def test_a_trial_is_not_begun_in_a_journal_that_is_a_link(tmp_path, thesis):
    thesis.write_text("")
    folder = tmp_path / "trials"
    folder.mkdir()
    (folder / "journal.jsonl").symlink_to(thesis)
    plan = TrialPlan((load_rubric("fold_pants"),), ("a", "b"), 1, "alternating", 7, "", "unstated")
    with pytest.raises(NotReady, match=r"cannot write to .*journal\.jsonl"), TrialSession(folder, plan):
        pass
    assert thesis.read_text() == ""


def test_a_film_that_somebody_put_where_a_trial_shows_its_own_stays(tmp_path):
    plan = TrialPlan((load_rubric("fold_pants"),), ("a",), 2, "alternating", 7, "", "unstated")
    (tmp_path / "mine.mp4").write_bytes(b"a film")
    theirs = tmp_path / "trials" / "a" / "videos" / "fold_pants" / "7000-success.mp4"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"their film")
    with TrialSession(tmp_path / "trials", plan) as session:
        for _ in range(2):
            session.attach(tmp_path / "mine.mp4")
            session.success()
    assert theirs.read_bytes() == b"their film"
    assert theirs.with_name("7001-success.mp4").resolve() == tmp_path / "mine.mp4"


@pytest.mark.parametrize(
    ("folder", "command"),
    [
        ("report", ["report"]),
        ("report", ["plot"]),
        ("export", ["export", "--to", "eval-info"]),
        ("export", ["export", "--to", "parquet"]),
    ],
)
def test_outputs_are_not_written_through_a_folder_that_is_a_link(run, thesis, folder, command, capsys):
    (run / folder).symlink_to(thesis.parent)
    assert main([command[0], str(run), *command[1:]]) == 2
    assert "it is a link" in capsys.readouterr().err
    assert [file.name for file in thesis.parent.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("report/table.csv", ["report"]),
        ("report/index.html", ["report"]),
        ("report/success-by-task.svg", ["plot"]),
        ("export/eval_info.json", ["export", "--to", "eval-info"]),
        ("export/records.parquet", ["export", "--to", "parquet"]),
    ],
)
def test_a_link_in_the_place_of_an_output_is_replaced_and_not_followed(run, thesis, name, command):
    (run / name).parent.mkdir()
    (run / name).symlink_to(thesis)
    assert main([command[0], str(run), *command[1:]]) == 0
    assert thesis.read_text() == "years of work"


def test_a_runs_commands_take_the_place_of_a_link_also_on_another_disk(run, thesis, monkeypatch):
    target = run / "actions" / "reach" / "0.npz"
    target.parent.mkdir(parents=True)
    target.symlink_to(thesis)
    kept = RecordActions.__new__(RecordActions)
    kept._folder, kept._actions = run / "actions", [np.zeros((1, 2), np.float32)]
    other = Path("/dev/shm")  # noqa: S108  (another file system)
    monkeypatch.setattr("tempfile.tempdir", str(other) if other.is_dir() else None)
    kept.save(EPISODES[0], Outcome.SUCCESS)
    assert thesis.read_text() == "years of work"
    assert not target.is_symlink()
    with np.load(target) as found:
        assert found["episode"] == EPISODES[0].id


def test_a_checksum_is_of_what_is_said_however_it_is_spaced(tmp_path):
    content = {"a": [1.5, None, "ü"], "b": {"c": True}}
    written = files.with_checksum(content)
    found = files.parsed(written, tmp_path / "x.json")
    assert {name: found[name] for name in content} == content
    compact = json.dumps(json.loads(written), sort_keys=True, separators=(",", ":")).encode()
    assert files.parsed(compact, tmp_path / "x.json") == found
    with pytest.raises(CorruptRecords, match=r"x\.json was changed"):
        files.parsed(written.replace(b"1.5", b"1.25"), tmp_path / "x.json")


LOCKED = "import sys, pathlib; from lingbot_eval import files\nwith files.locked(pathlib.Path(sys.argv[1])): pass"


def test_a_lock_of_this_version_and_one_of_0_1_0_exclude_each_other(tmp_path):
    with (tmp_path / ".lock").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        ended = subprocess.run([sys.executable, "-c", LOCKED, tmp_path / ".lock"], capture_output=True, text=True)
    assert "BlockingIOError" in ended.stderr
