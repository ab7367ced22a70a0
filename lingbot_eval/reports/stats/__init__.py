"""How sure we are of rates and of differences between them; docs/statistics.md says when to use which.

    intervals.py    of a rate, of a mean over tasks, of a difference
    spread.py       what varies beyond the coin: from task to task, from run to run
    paired.py       two runs on the same episodes
    unpaired.py     two runs, or a run and a published number
    holm.py         many tests at once
    power.py        before a run: what it will be able to see
    sequential.py   trials one by one, stopping when it is clear

Rates are fractions of 1.
"""

from lingbot_eval.reports.stats.intervals import Z95, Count, Interval, wilson

__all__ = ["Z95", "Count", "Interval", "wilson"]
