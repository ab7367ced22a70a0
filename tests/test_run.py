"""``lingbot_eval.Run``: what a run directory says, as frames."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import lingbot_eval
from lingbot_eval.errors import BadInput, CorruptRecords
from lingbot_eval.names import video_name
from lingbot_eval.reports import table as tables
from lingbot_eval.reports.frames import COLUMNS
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Spent
from tests.experiments import experiment
from tests.reports.folders import add, directory, film, planned

PLAN = [Episode("toy", task, seed, f"{task}!") for task in ("reach", "push") for seed in range(3)]
OUTCOMES = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.ERROR, Outcome.SUCCESS, Outcome.SUCCESS]
"""The last episode is not played."""
RECORDS = [
    EpisodeRecord(
        episode,
        outcome,
        10 + k,
        2.5,
        progress=2.0 if outcome is Outcome.SUCCESS else 1.0,
        max_progress=2.0,
        finished=f"2026-01-02T03:04:0{k}.678+00:00",
        spent=None if outcome is Outcome.ERROR else Spent(1.0, 1.0, 0.25),
    )
    for k, (episode, outcome) in enumerate(zip(PLAN, OUTCOMES, strict=False))
]


@pytest.fixture
def path(tmp_path) -> Path:
    return directory(tmp_path / "run", PLAN, RECORDS).path


def test_records_has_one_row_per_planned_episode_with_a_final_record(tmp_path):
    again = replace(RECORDS[2], outcome=Outcome.FAILURE, attempt=2)
    unplanned = EpisodeRecord(Episode("toy", "reach", 99, ""), Outcome.SUCCESS, 1, 1.0)
    folder = directory(tmp_path / "run", PLAN, [*RECORDS, again, unplanned])
    records = lingbot_eval.Run(folder.path).records()
    assert list(records["episode_id"]) == [episode.id for episode in PLAN[:5]]
    assert list(records["attempt"]) == [1, 1, 2, 1, 1]


def test_the_mean_of_success_is_the_rate_of_the_table(path):
    run = lingbot_eval.Run(path)
    rates = run.records().groupby("task", sort=False)["success"].mean()
    assert rates.to_dict() == {"reach": 0.5, "push": 1.0}
    tasks = run.table().query("task != ''").set_index("task")
    assert tasks["sr"].to_dict() == rates.to_dict()
    assert run.records()["success"].isna().tolist() == [False, False, True, False, False]


def test_columns_and_what_they_hold_are_the_same_with_and_without_records(path, tmp_path):
    empty = lingbot_eval.Run(planned(tmp_path / "empty", PLAN).path)
    full = lingbot_eval.Run(path)
    for frame in (full.records(), full.plan(), full.table()):
        assert isinstance(frame, pd.DataFrame)
    assert full.records().dtypes.equals(empty.records().dtypes)
    assert full.table().dtypes.equals(empty.table().dtypes)
    assert len(empty.records()) == 0
    assert empty.table()["sr"].isna().all()


def test_values_are_the_records_own(path):
    row = lingbot_eval.Run(path).records().iloc[1]
    assert (row["task"], row["seed"], row["outcome"], row["commands"]) == ("reach", 1, "failure", 11)
    assert (row["progress"], row["max_progress"], row["model_seconds"]) == (1.0, 2.0, 1.0)
    assert row["finished"] == pd.Timestamp("2026-01-02T03:04:01.678", tz="UTC")
    assert row["initial_state"] is row["operator"] is pd.NA


def test_the_plan_has_what_was_not_played_too(path):
    plan = lingbot_eval.Run(path).plan()
    assert list(plan["episode_id"]) == [episode.id for episode in PLAN]
    assert list(plan["instruction"]) == [episode.instruction for episode in PLAN]
    shared = [name for name in lingbot_eval.Run(path).records() if name in plan]
    assert list(plan) == shared


def test_the_table_is_the_reports(path):
    run = lingbot_eval.Run(path)
    final = {record.episode.id: record for record in RECORDS}
    said = csv.DictReader(tables.as_csv(experiment(**run.experiment), tables.rows(PLAN, final)).splitlines())
    for row, written in zip(run.table().to_dict("records"), said, strict=True):
        assert all(written[name] == ("" if pd.isna(value) else str(value)) for name, value in row.items())


def test_a_run_of_version_0_1_0_reads_as_it_did():
    old = Path(__file__).parent / "version_0_1_0"
    run = lingbot_eval.Run(old / "run")
    written = pd.read_csv(old / "table.csv", keep_default_na=False, na_values={"ps": "", "sr": ""})
    shown = run.table()
    for name in ("suite", "task", "planned", "trials", "successes", "errors", "sr", "ps"):
        assert shown[name].tolist() == written[name].tolist()
    assert len(run.records()) == written.loc[written["task"] != "", ["trials", "errors"]].to_numpy().sum()


def test_a_run_shows_itself_as_its_table(path):
    run = lingbot_eval.Run(path)
    text, shown = repr(run), run._repr_html_()
    for words in ("reach", "1/2 of 3", "50.0", "all tasks", str(path), "NOT FINAL: 1 episodes ended in ERROR"):
        assert words in text
        assert words in shown
    assert shown.startswith("<table")


def test_what_a_stranger_wrote_is_no_markup_and_no_command(tmp_path):
    plan = [Episode("toy", "<script>\x1b[31m", 0, "")]
    folder = directory(tmp_path / "run", plan, [EpisodeRecord(plan[0], Outcome.SUCCESS, 1, 1.0)])
    run = lingbot_eval.Run(folder.path)
    assert r"<script>\x1b[31m" in repr(run)
    assert r"&lt;script&gt;\x1b[31m" in run._repr_html_()


def test_a_run_that_goes_on_is_read_on(tmp_path):
    folder = directory(tmp_path / "run", PLAN, RECORDS[:2])
    run = lingbot_eval.Run(folder.path)
    assert len(run.records()) == 2
    add(folder, "second", RECORDS[2:])
    assert len(run.records()) == 5


def test_videos_are_those_that_are_there_by_episode(path):
    name = video_name(PLAN[1], Outcome.FAILURE)
    run = lingbot_eval.Run(path)
    assert run.videos() == {}
    film(run._reader.read().folder, name)
    assert run.videos() == {PLAN[1].id: path / "videos" / name}


def test_comparing_prints_a_sentence_and_gives_the_numbers(path, tmp_path):
    won = [replace(record, outcome=Outcome.SUCCESS) for record in RECORDS]
    other = directory(tmp_path / "other", PLAN, won).path
    run = lingbot_eval.Run(path)
    compared = run.compare(other)
    assert repr(compared) == str(run.compare(lingbot_eval.Run(other)))
    assert "toy: B is better on none of 2 tasks" in str(compared)
    assert "Paired: the 4 episodes that both played (0 of A and 1 of B left out)" in str(compared)
    assert "NOT FINAL: 2 ended in ERROR or were not played" in str(compared)
    table = compared.table().set_index("task")
    assert table.loc["reach", ["a", "b", "difference", "only_b"]].tolist() == [0.5, 1.0, 0.5, 1]
    assert table["p_holm"].isna().tolist() == [False, False, True]


def test_other_rules_are_refused_or_marked(path, tmp_path):
    other = directory(tmp_path / "other", PLAN, RECORDS, protocol_hash="ba9876543210", protocol={"name": "lax"}).path
    with pytest.raises(BadInput, match=r"different protocols: protocol\.name: A 'toy', B 'lax'.*anyway=True"):
        lingbot_eval.Run(path).compare(other)
    assert "NOT COMPARABLE: the protocols differ" in str(lingbot_eval.Run(path).compare(other, anyway=True))


def test_a_run_without_a_result_is_not_compared(path, tmp_path):
    empty = planned(tmp_path / "empty", PLAN).path
    with pytest.raises(BadInput, match="no finished episode"):
        lingbot_eval.Run(path).compare(empty)


def test_a_missing_or_damaged_directory_is_said_at_once(path, tmp_path):
    with pytest.raises(BadInput, match="is not a run directory"):
        lingbot_eval.Run(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=f"there are runs in it: {re.escape(str(path))}"):
        lingbot_eval.Run(tmp_path)
    (file,) = path.glob("records/*.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"commands":11', b'"commands":12'))
    with pytest.raises(CorruptRecords):
        lingbot_eval.Run(path)


def test_a_torn_line_is_said_below_the_table(path):
    (file,) = path.glob("records/*.jsonl")
    file.write_bytes(file.read_bytes()[:-10])
    run = lingbot_eval.Run(path)
    assert len(run.warnings) == 1
    assert "is torn and counts nowhere" in repr(run)
    assert "is torn and counts nowhere" in run._repr_html_()


def test_the_page_lists_every_column():
    page = (Path(__file__).resolve().parents[1] / "docs" / "python.md").read_text()
    named = re.findall(r"`(\w+)`", page.partition("## Columns")[2].partition("\n## ")[0])
    assert [column.name for column in COLUMNS if column.name not in named] == []


def test_the_names_of_the_package_are_offered_and_others_are_refused():
    assert {"Run", "evaluate"} <= set(dir(lingbot_eval))
    with pytest.raises(AttributeError, match="no attribute 'run_all'"):
        lingbot_eval.run_all  # noqa: B018
