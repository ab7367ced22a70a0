"""A column of one's own: ``column.py RUN`` prints a run's table with the commands that successes took."""

import sys

import pandas as pd

import lingbot_eval


def with_commands(run: lingbot_eval.Run) -> pd.DataFrame:
    """Return the report's table with the median number of commands of each task's successful episodes."""
    records = run.records()
    won = records[records.outcome == "success"]
    suite = (won.suite + " " + won.setting).str.strip()  # a table's suite has the setting behind it
    mine = won.commands.groupby([suite.rename("suite"), won.task]).median()
    return run.table().join(mine, on=["suite", "task"])


if __name__ == "__main__":
    table = with_commands(lingbot_eval.Run(sys.argv[1]))
    print(table[["suite", "task", "trials", "sr", "commands"]].to_string(index=False))
