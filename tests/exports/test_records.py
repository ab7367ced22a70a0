"""Records as a Parquet."""

from __future__ import annotations

import json
from dataclasses import is_dataclass, replace
from datetime import datetime, timezone
from typing import get_args, get_type_hints

import pytest

from lingbot_eval.types import (
    Correction,
    Episode,
    EpisodeRecord,
    ImaginationError,
    Outcome,
    Provenance,
    Spent,
    Trial,
)
from tests.reports.folders import directory

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.exports import records as exported
from lingbot_eval.reports.frames import COLUMNS

EPISODE = Episode("libero_goal", "turn_on_the_stove", 3, "turn it on", initial_state=5, index=5)
FULL = EpisodeRecord(
    EPISODE,
    Outcome.SUCCESS,
    120,
    7.5,
    progress=2,
    max_progress=3,
    attempt=2,
    finished="2026-01-02T03:04:05.678+00:00",
    provenance=Provenance("expert", "", "toy", "0123456789ab", {"mujoco": "3.3.7"}, "here"),
    spent=Spent(1.0, 6.0, 0.5),
    imagination=ImaginationError(0.25, 8, 31.5),
    trial=Trial("op", (1.5, 0.5), "dropped", 1, 2, "note", ("/a.mp4",)),
)


def leaves(kind: type, path: str = "") -> set[str]:
    """Dotted names of a dataclass's fields and of those of the dataclasses in it."""
    found: set[str] = set()
    for name, hint in get_type_hints(kind).items():
        deeper = [inner for inner in (hint, *get_args(hint)) if is_dataclass(inner)]
        found |= leaves(deeper[0], f"{path}{name}.") if deeper else {f"{path}{name}"}
    return found


def test_no_field_of_a_record_is_left_out():
    paths = {column.path.removesuffix(".value") for column in COLUMNS}
    assert paths == leaves(EpisodeRecord) | {"episode.id"}


def test_every_attempt_is_a_row_and_one_of_each_episode_is_final(tmp_path):
    error = replace(FULL, outcome=Outcome.ERROR, attempt=1, error="it fell", spent=None, trial=None, imagination=None)
    corrected = replace(FULL, outcome=Outcome.FAILURE, correction=Correction("op", "wrong key"))
    folder = directory(tmp_path / "run", [EPISODE], [error, FULL, corrected])
    exported.write(folder.records(), folder.run().experiment, tmp_path / "records.parquet")
    rows = pq.read_table(tmp_path / "records.parquet").to_pylist()
    assert [(row["attempt"], row["outcome"], row["final"]) for row in rows] == [
        (1, "error", False),
        (2, "success", False),
        (2, "failure", True),
    ]
    assert rows[0]["model_seconds"] is rows[0]["operator"] is rows[0]["latent_mse"] is None
    assert (rows[2]["corrected_by"], rows[2]["corrected_why"]) == ("op", "wrong key")


def test_a_row_has_the_records_values_and_columns_have_units(tmp_path):
    folder = directory(tmp_path / "run", [EPISODE], [FULL])
    exported.write(folder.records(), folder.run().experiment, tmp_path / "records.parquet")
    table = pq.read_table(tmp_path / "records.parquet")
    (row,) = table.to_pylist()
    assert row["episode_id"] == "libero_goal/turn_on_the_stove/-/3/5"
    assert row["finished"] == datetime(2026, 1, 2, 3, 4, 5, 678000, timezone.utc)
    assert dict(row["versions"]) == {"mujoco": "3.3.7"}
    assert (row["points"], row["trial_videos"], row["psnr"], row["index"]) == ([1.5, 0.5], ["/a.mp4"], 31.5, 5)
    assert table.schema.field("simulator_seconds").metadata == {b"unit": b"s"}
    assert json.loads(table.schema.metadata[b"experiment"])["protocol_hash"] == "0123456789ab"


def test_a_run_without_records_keeps_its_columns(tmp_path):
    folder = directory(tmp_path / "run", [EPISODE], [])
    assert exported.table(folder.records(), folder.run().experiment).num_rows == 0
