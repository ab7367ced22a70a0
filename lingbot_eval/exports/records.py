"""Every record of a run as one Parquet table, for pandas, DuckDB, Arrow, ..."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.runs.records import Records
from lingbot_eval.types import EpisodeRecord

TEXT, WHOLE, REAL, TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("ms", "UTC")

COLUMNS: tuple[tuple[str, str, pa.DataType, str], ...] = (
    ("episode_id", "episode.id", TEXT, ""),
    ("suite", "episode.suite", TEXT, ""),
    ("task", "episode.task", TEXT, ""),
    ("setting", "episode.setting", TEXT, ""),
    ("seed", "episode.seed", WHOLE, ""),
    ("initial_state", "episode.initial_state", WHOLE, ""),
    ("index", "episode.index", WHOLE, ""),
    ("instruction", "episode.instruction", TEXT, ""),
    ("attempt", "attempt", WHOLE, ""),
    ("outcome", "outcome.value", TEXT, "success, failure or error"),
    ("commands", "commands", WHOLE, "commands"),
    ("seconds", "seconds", REAL, "s"),
    ("progress", "progress", REAL, "steps of the task"),
    ("max_progress", "max_progress", REAL, "steps of the task"),
    ("out_of_bounds", "out_of_bounds", WHOLE, "commands"),
    ("plan_failures", "plan_failures", WHOLE, "commands of one arm"),
    ("error", "error", TEXT, ""),
    ("finished", "finished", TIME, "UTC"),
    ("agent", "provenance.agent", TEXT, ""),
    ("checkpoint", "provenance.checkpoint", TEXT, "content hash"),
    ("protocol", "provenance.protocol", TEXT, ""),
    ("protocol_hash", "provenance.protocol_hash", TEXT, ""),
    ("versions", "provenance.versions", pa.map_(TEXT, TEXT), ""),
    ("host", "provenance.host", TEXT, ""),
    ("model_seconds", "spent.model", REAL, "s"),
    ("simulator_seconds", "spent.simulator", REAL, "s"),
    ("waiting_seconds", "spent.waiting", REAL, "s"),
    ("latent_mse", "imagination.latent_mse", REAL, "variance of the encoder's training data"),
    ("latent_frames", "imagination.frames", WHOLE, "latent frames"),
    ("psnr", "imagination.psnr", REAL, "dB"),
    ("operator", "trial.operator", TEXT, ""),
    ("points", "trial.points", pa.list_(REAL), "steps of the task, by step of the rubric"),
    ("failure_reason", "trial.reason", TEXT, ""),
    ("interventions", "trial.interventions", WHOLE, "times"),
    ("retries", "trial.retries", WHOLE, "times"),
    ("note", "trial.note", TEXT, ""),
    ("trial_videos", "trial.videos", pa.list_(TEXT), "paths"),
    ("corrected_by", "correction.who", TEXT, ""),
    ("corrected_why", "correction.why", TEXT, ""),
    ("schema", "schema", WHOLE, "version of the record's layout"),
)
"""Name, field of the EpisodeRecord (``types.py`` says what each is), type, unit. Null where a record has no such part.
"""


def table(records: Records, experiment: Mapping[str, Any]) -> pa.Table:
    """One row per record, every attempt and every record that a correction replaced; ``final`` marks the one of each
    episode that tables count. Fields carry their ``unit``, the table the run's experiment, as JSON."""
    final = records.final()
    fields = [pa.field(name, kind, metadata={"unit": unit}) for name, _, kind, unit in COLUMNS]
    arrays = [pa.array([_value(record, path, kind) for record in records.all], kind) for _, path, kind, _ in COLUMNS]
    counted = pa.array([final[record.episode.id] is record for record in records.all], pa.bool_())
    fields.append(pa.field("final", pa.bool_(), metadata={"unit": ""}))
    return pa.Table.from_arrays(
        [*arrays, counted], schema=pa.schema(fields, metadata={"experiment": json.dumps(experiment, default=str)})
    )


def write(records: Records, experiment: Mapping[str, Any], file: Path) -> None:
    with file.open("wb") as stream:  # Arrow opens no name that is no text
        pq.write_table(table(records, experiment), stream)


def _value(record: EpisodeRecord, path: str, kind: pa.DataType) -> Any:
    part = path.rpartition(".")[0]
    if part and attrgetter(part)(record) is None:
        return None
    value = attrgetter(path)(record)
    if kind == TIME:
        return datetime.fromisoformat(value) if value else None
    return list(value.items()) if kind == pa.map_(TEXT, TEXT) else value
