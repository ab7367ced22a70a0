"""Records, plans and tables as pandas DataFrames: what a :class:`lingbot_eval.Run` gives, and what Parquet is made of.

pandas takes half a second to import, so tables and pages do without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from lingbot_eval.plain import plain
from lingbot_eval.reports import table
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

if TYPE_CHECKING:  # scipy.stats takes a second to import
    from lingbot_eval.reports.compare import Comparison

TEXT, WHOLE, REAL, TRUTH, TIME, OBJECT = "string", "Int64", "float64", "boolean", "datetime64[ms, UTC]", "object"
"""pandas' names for what a column holds. The first, second and fourth have a missing value of their own (``pd.NA``), so
that a column stays what it is where one record lacks it; a missing number is NaN, a missing time NaT."""


class Column(NamedTuple):
    name: str
    path: str
    """The field of an EpisodeRecord; ``types.py`` says what each is."""
    kind: str
    unit: str = ""

    def of(self, record: Any) -> Any:
        """The value of a record; None where the record lacks that part."""
        part = self.path.rpartition(".")[0]
        return None if part and attrgetter(part)(record) is None else attrgetter(self.path)(record)


COLUMNS = tuple(
    Column(*words)
    for words in (
        ("episode_id", "episode.id", TEXT),
        ("suite", "episode.suite", TEXT),
        ("task", "episode.task", TEXT),
        ("setting", "episode.setting", TEXT),
        ("seed", "episode.seed", WHOLE),
        ("initial_state", "episode.initial_state", WHOLE),
        ("index", "episode.index", WHOLE),
        ("instruction", "episode.instruction", TEXT),
        ("attempt", "attempt", WHOLE),
        ("outcome", "outcome.value", TEXT, "success, failure or error"),
        ("commands", "commands", WHOLE, "commands"),
        ("seconds", "seconds", REAL, "s"),
        ("progress", "progress", REAL, "steps of the task"),
        ("max_progress", "max_progress", REAL, "steps of the task"),
        ("out_of_bounds", "out_of_bounds", WHOLE, "commands"),
        ("plan_failures", "plan_failures", WHOLE, "commands of one arm"),
        ("error", "error", TEXT),
        ("finished", "finished", TIME, "UTC"),
        ("agent", "provenance.agent", TEXT),
        ("checkpoint", "provenance.checkpoint", TEXT, "content hash"),
        ("protocol", "provenance.protocol", TEXT),
        ("protocol_hash", "provenance.protocol_hash", TEXT),
        ("versions", "provenance.versions", OBJECT),
        ("host", "provenance.host", TEXT),
        ("model_seconds", "spent.model", REAL, "s"),
        ("simulator_seconds", "spent.simulator", REAL, "s"),
        ("waiting_seconds", "spent.waiting", REAL, "s"),
        ("latent_mse", "imagination.latent_mse", REAL, "variance of the encoder's training data"),
        ("latent_frames", "imagination.frames", WHOLE, "latent frames"),
        ("psnr", "imagination.psnr", REAL, "dB"),
        ("operator", "trial.operator", TEXT),
        ("points", "trial.points", OBJECT, "steps of the task, by step of the rubric"),
        ("failure_reason", "trial.reason", TEXT),
        ("interventions", "trial.interventions", WHOLE, "times"),
        ("retries", "trial.retries", WHOLE, "times"),
        ("note", "trial.note", TEXT),
        ("trial_videos", "trial.videos", OBJECT, "paths"),
        ("corrected_by", "correction.who", TEXT),
        ("corrected_why", "correction.why", TEXT),
        ("schema", "schema", WHOLE, "version of the record's layout"),
    )
)
"""Every field of a record. :func:`records` puts ``success`` behind ``outcome``."""


def records(those: Iterable[EpisodeRecord]) -> pd.DataFrame:
    """One row per record, with COLUMNS and ``success``, which is missing for an ERROR, so that its mean is a rate."""
    rows = list(those)
    frame = _frame(COLUMNS, rows)
    won = [None if record.outcome is Outcome.ERROR else record.outcome is Outcome.SUCCESS for record in rows]
    frame.insert(frame.columns.get_loc("outcome") + 1, "success", pd.Series(won, dtype=TRUTH))
    return frame


def plan(episodes: Sequence[Episode]) -> pd.DataFrame:
    """One row per episode, with those of COLUMNS that are known before anything is played."""
    columns = [column for column in COLUMNS if column.path.startswith("episode.")]
    return _frame([column._replace(path=column.path.removeprefix("episode.")) for column in columns], episodes)


def _frame(columns: Iterable[Column], rows: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame({column.name: _series(column, rows) for column in columns})


def _series(column: Column, rows: Sequence[Any]) -> pd.Series:
    values = [column.of(row) for row in rows]
    if column.kind == TIME:  # as ISO 8601 text; empty where nobody wrote it
        return pd.to_datetime(pd.Series([value or None for value in values]), utc=True, format="ISO8601").astype(TIME)
    return pd.Series(values, dtype=column.kind)


def rates(rows: Sequence[table.Row]) -> pd.DataFrame:
    """The report's table, a row per task and, with an empty ``task``, per suite; as ``table.csv``, rates in [0, 1]."""
    words = ("suite", "task")
    frame = pd.DataFrame([(row.suite, row.task, *table.numbers(row)) for row in rows], columns=[*words, *table.NUMBERS])
    counts = ("planned", "trials", "successes", "errors")
    kinds = {name: TEXT if name in words else WHOLE if name in counts else REAL for name in frame.columns}
    return frame.astype(kinds)


def shown(rows: Sequence[table.Row]) -> pd.DataFrame:
    """The report's table as people read it: all of it text, with what a terminal would obey made visible."""
    return pd.DataFrame([map(plain, table.texts(row)) for row in rows], columns=list(table.HEADINGS))


def differences(comparison: Comparison) -> pd.DataFrame:
    """What ``compare`` prints, a row per task and, with an empty ``task``, per suite: B less A, in [-1, 1]."""
    lines = [
        {
            "suite": row.suite,
            "task": row.task,
            "a": row.rates[0],
            "b": row.rates[1],
            "trials_a": row.trials[0],
            "trials_b": row.trials[1],
            "difference": row.size,
            "low": row.interval[0],
            "high": row.interval[1],
            "only_a": row.pairs.only_a if row.pairs else None,
            "only_b": row.pairs.only_b if row.pairs else None,
            "p": row.p,
            "p_holm": row.corrected,
            "h": row.effect,
        }
        for row in comparison.differences
    ]
    kinds = {"suite": TEXT, "task": TEXT, "only_a": WHOLE, "only_b": WHOLE, "p_holm": REAL}
    return pd.DataFrame(lines).astype(kinds)
