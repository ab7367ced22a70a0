"""What version 0.1.0 left (``tests/version_0_1_0``) is read, reported and gone on with as ever, and said to have no
checksums."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted
from lingbot_eval.trials import TrialSession
from lingbot_eval.types import EpisodeRecord, Outcome

LEFT = Path(__file__).parent / "version_0_1_0"
NONE = "version 0.1.0 wrote none"


@pytest.fixture
def old(tmp_path) -> Path:
    return Path(shutil.copytree(LEFT, tmp_path / "old"))


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_is_reported_as_it_was_and_said_to_have_no_checksums(old, capsys):
    assert main(["report", str(old / "run")]) == 0
    now = rows(old / "run" / "report" / "table.csv")
    assert {row.pop("trained") for row in now} == {""}  # a column that 0.1.0 did not have
    assert now == rows(old / "table.csv")
    err = capsys.readouterr().err
    assert err.count(NONE) == 1
    assert "no checksums in run.json, 1 of sessions/, 1 of records/" in err


def test_a_run_is_gone_on_with_and_what_is_added_has_checksums(old, capsys):
    before = {file: file.read_bytes() for file in (old / "run").rglob("*") if file.is_file()}
    assert run_suite(["toy", "--episodes", "3", "--out", str(old / "run"), "--agent", "expert"]) == 0
    assert all(row["successes"] == row["planned"] for row in rows(old / "run" / "report" / "table.csv"))
    assert {file: file.read_bytes() for file in before} == before
    (added,) = (file for file in (old / "run" / "records").iterdir() if file not in before)
    assert all('"chain":"' in line for line in added.read_text().splitlines())
    assert NONE in capsys.readouterr().err


@dataclass(frozen=True)
class OldRecord:
    """As 0.1.0 decodes a line: it knows of no chain."""

    episode: Any
    outcome: Outcome
    schema: int = 1


def test_what_we_write_is_read_by_what_knows_of_no_checksums(tmp_path):
    assert run_suite(["toy", "--episodes", "1", "--out", str(tmp_path), "--agent", "expert"]) == 0
    (file,) = (tmp_path / "records").iterdir()
    lines = file.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=EpisodeRecord).outcome for line in lines] == [Outcome.SUCCESS] * 2
    assert [msgspec.json.decode(line, type=OldRecord).schema for line in lines] == [1, 1]
    assert json.loads((tmp_path / "run.json").read_text())["experiment"]["agent"]["name"] == "expert"


def test_trials_go_on_in_the_journal_that_is_there_which_has_checksums_from_there_on(old):
    journal = old / "trials" / "journal.jsonl"
    before = journal.read_bytes()
    with TrialSession(old / "trials", operator="op") as session:
        assert session.number == 3
        assert (session.state.points, session.state.interventions) == ((1.0, 0.0, 0.0), 0)
        assert any(NONE in sentence for sentence in session.warnings)
        session.step_reached(2)
    assert journal.read_bytes().startswith(before)
    assert journal.read_bytes()[len(before) :].count(b'"chain":"') == 1
    with TrialSession(old / "trials") as session:
        assert session.state.points == (1.0, 1.0, 0.0)
        session.success()
        assert session.record(3).outcome is Outcome.SUCCESS
        assert session.record(2).correction.why == "looked again"


def test_a_manifest_is_extended(old):
    wanted = Wanted("lift_block", "easy", 10_000, 3)
    manifest = Manifest(old / "manifest")
    assert manifest.open("tabletop", {"sapien": "3.0.3", "revision": "1"}) == []
    assert [trial.seed for trial in manifest.scenes(wanted)] == [10_000, 10_002]
    assert "manifest.json and 1 more: no checksums; version 0.1.0 wrote none" in manifest.warnings([wanted])[0]
    manifest.extend(wanted, lambda seed: Audition(seed, "solved", "", {"seen": "so"}), lambda: False)
    assert [trial.seed for trial in manifest.scenes(wanted)] == [10_000, 10_002, 10_003]


def test_files_without_checksums_do_not_hide_one_that_has_them_and_was_changed(old):
    run = RunDirectory(old / "run")
    file = RecordFile(old / "run" / "records" / "new.jsonl")
    for record in run.records().all[:2]:
        file.append(record)
    assert len(run.records().all) == 10
    added = old / "run" / "records" / "new.jsonl"
    added.write_bytes(added.read_bytes().replace(b'"outcome":"error"', b'"outcome":"failure"'))
    with pytest.raises(CorruptRecords, match=r"new\.jsonl:2: "):
        run.records()
