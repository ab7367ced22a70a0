"""A column of one's own: ``python examples/column.py RUN`` prints a run's table with the commands that successes took."""

from __future__ import annotations

import sys

import pandas as pd

import lingbot_eval


def with_commands(run: lingbot_eval.Run) -> pd.DataFrame:
    """Return the report's table with the median number of commands of a task's successful episodes."""
    records = run.records()
    won = records[records.outcome == "success"]
    mine = won.groupby(["suite", "task"], as_index=False).commands.median()
    return run.table().merge(mine, how="left", on=["suite", "task"])


if __name__ == "__main__":
    table = with_commands(lingbot_eval.Run(sys.argv[1]))
    print(table[["suite", "task", "trials", "sr", "commands"]].to_markdown(index=False) if "--md" in sys.argv else table)
