"""A run directory in Python: its records and its tables as pandas DataFrames.

run = lingbot_eval.Run("runs/mine")
run                                             # shows itself as its table
run.records().groupby("task").success.mean()
run.compare("runs/other")                       # says which differences are real
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingbot_eval.names import video_name
from lingbot_eval.plain import plain
from lingbot_eval.reports import table as tables
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory

if TYPE_CHECKING:
    import pandas as pd

    from lingbot_eval.reports.compare import Compared


class Run:
    """A run directory, which others may be playing in: every call reads what was added since the one before.

    Raises BadInput where there is no run, and CorruptRecords where something in it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._reader = contents.Reader(RunDirectory(self.path))
        self._reader.read()

    @property
    def experiment(self) -> Mapping[str, Any]:
        """Return what was run: suite, protocol with its hash, agent, checkpoint, regime, simulator; as ``run.json`` has
        it."""
        return self._reader.read().run.experiment.as_dict()

    @property
    def warnings(self) -> list[str]:
        """Return a sentence each for what a reader of the numbers should know, as ``lingbot-eval report`` prints
        them."""
        return self._reader.read().warnings()

    def records(self) -> pd.DataFrame:
        """Return one row per planned episode that has a final record, in planned order.

        The columns are always the same: ``suite``, ``task``, ``setting``, ``seed``, ``initial_state``, ``index`` and
        ``instruction`` say which episode, ``outcome`` is "success", "failure" or "error", ``success`` is missing for
        an error, ``commands``, ``seconds``, ``progress`` and ``max_progress`` say how it went, ``model_seconds``,
        ``simulator_seconds`` and ``waiting_seconds`` where the time went. ``docs/python.md`` lists all of them. What a
        record lacks is missing (NaN, NaT or ``pd.NA``).
        """
        from lingbot_eval.reports import frames

        return frames.records(self._reader.read().final.values())

    def plan(self) -> pd.DataFrame:
        """Return one row per planned episode, played or not: the first columns of :meth:`records`."""
        from lingbot_eval.reports import frames

        return frames.plan(self._reader.read().plan)

    def table(self) -> pd.DataFrame:
        """Return the report's table: one row per task and, with an empty ``task``, one per suite, over its tasks.

        ``planned``, ``trials``, ``successes`` and ``errors`` are counts. ``sr`` is successes / trials, ``ps`` the mean
        of progress / maximum, both in [0, 1]; ``sr_low`` and ``sr_high`` bound the 95 % interval for other episodes of
        these tasks, ``sr_low_on_new_tasks`` and ``sr_high_on_new_tasks`` the one for other tasks of the kind. The rest
        are means over the trials that have the number. A suite's SR and PS count every task the same.
        """
        from lingbot_eval.reports import frames

        return frames.rates(self._rows())

    def compare(self, other: Run | str | os.PathLike[str], *, anyway: bool = False) -> Compared:
        """Say which differences between this run (A) and ``other`` (B) are real, as ``lingbot-eval compare`` does: on
        the episodes that both played or, where there are none, on the tasks. It prints as its sentences;
        :meth:`~lingbot_eval.reports.compare.Compared.table` has the numbers.

        Raises BadInput for runs without a common task, and for runs under different protocols unless ``anyway``, which
        marks the result.
        """
        from lingbot_eval.reports.compare import Side, between

        theirs = other if isinstance(other, Run) else Run(other)
        return between(Side(self._reader.read()), Side(theirs._reader.read()), anyway=anyway)

    def videos(self) -> dict[str, Path]:
        """Return the video of each planned episode that has one, by episode id, in planned order."""
        films = {
            id: self.path / "videos" / video_name(record.episode, record.outcome)
            for id, record in self._reader.read().final.items()
        }
        return {id: film for id, film in films.items() if film.is_file()}

    def __repr__(self) -> str:
        from lingbot_eval.reports import frames

        return "\n".join([frames.shown(self._rows()).to_string(index=False), *self._words()])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from lingbot_eval.reports import frames

        words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self._words())
        return f"{frames.shown(self._rows()).to_html(index=False, border=0)}{words}"

    def _words(self) -> list[str]:
        """Return the lines that stand below the table."""
        said = self._reader.read()
        caption = tables.caption(said.run.experiment, self._rows())
        return [plain(text) for text in (f"{self.path}: {caption}", *said.warnings())]

    def _rows(self) -> list[tables.Row]:
        said = self._reader.read()
        return tables.rows(said.plan, said.final, said.run.experiment.trained)
