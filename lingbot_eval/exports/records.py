"""Every record of a run as one Parquet table, for pandas, DuckDB, Arrow, ..."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lingbot_eval.reports import frames
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.records import Records

TYPES: Mapping[str, pa.DataType] = {
    frames.TEXT: pa.string(),
    frames.WHOLE: pa.int64(),
    frames.REAL: pa.float64(),
    frames.TRUTH: pa.bool_(),
    frames.TIME: pa.timestamp("ms", "UTC"),
    "versions": pa.map_(pa.string(), pa.string()),
    "points": pa.list_(pa.float64()),
    "trial_videos": pa.list_(pa.string()),
}
"""Arrow's type for what a column holds, or for a column's name where pandas has no word for that."""


def table(records: Records, experiment: Experiment) -> pa.Table:
    """Return the columns of :func:`frames.records`, with one row per record: every attempt, and every record that a
    correction replaced; ``final`` marks the one of each episode that tables count. Fields carry their ``unit``, the
    table the run's experiment, as JSON. A cell is null where a record has no such part."""
    final = records.final()
    frame = frames.records(records.all)
    frame["final"] = pd.Series([final[one.episode.id] is one for one in records.all], dtype=frames.TRUTH)
    units = {column.name: column.unit for column in frames.COLUMNS}
    fields = [
        pa.field(name, TYPES.get(name) or TYPES[str(kind)], metadata={"unit": units.get(name, "")})
        for name, kind in frame.dtypes.items()
    ]
    schema = pa.schema(fields, metadata={"experiment": json.dumps(experiment.as_dict())})
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def write(records: Records, experiment: Experiment, file: Path) -> None:
    with file.open("wb") as stream:  # Arrow opens no name that is no text
        pq.write_table(table(records, experiment), stream)
