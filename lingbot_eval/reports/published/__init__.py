"""Other people's numbers, each with its source, as the CSV files beside this one have them.

    robotwin.csv        averages over RoboTwin 2.0's fifty tasks, easy and hard
    robotwin_tasks.csv  the same, task by task
    libero.csv          LIBERO's four suites and their average
    real.csv            LingBot-VA's six tasks on a real robot

In real.csv ``category`` is the README's (Robbyant/lingbot-va @ 6f092cb, README.md:214-215): Pick Screws is
long-horizon, Unpack Delivery precision. A copy of the table of arXiv:2601.21998 that we were given has these two the
other way round; we have not seen the paper's own. No number depends on it.

Where sources disagree, each has its row; the first of a method is the one that tables show. ``kind`` says whose number
it is: ``reported`` by the authors, ``quoted`` in somebody else's text, or a ``re-run`` by somebody else.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources

from lingbot_eval.errors import BadInput, UnknownName

REGIMES = {"A": "50 clean demonstrations per task", "B": "50 clean and 500 randomized demonstrations per task"}
"""What RoboTwin checkpoints are trained on; numbers from different ones are not compared."""

COLUMNS = {
    "robotwin": ("easy", "hard"),
    "robotwin_tasks": ("easy", "hard"),
    "libero": ("spatial", "object", "goal", "long", "average"),
    "real": ("progress", "success"),
}
"""The columns of each file that hold numbers, in percent."""

AVERAGED = {"robotwin": 50, "libero": 10}
"""Of how many tasks the averages of each file are."""

METHODS_IN = ("robotwin", "libero", "real")
"""Benchmarks, and files, whose methods one can ask for."""


@dataclass(frozen=True)
class Claim:
    """One row of a file."""

    method: str
    task: str
    """Empty for an average."""
    regime: str
    """A key of REGIMES; empty where the source does not say."""
    protocol: str
    """The preset that the number was made under, so far as is known; else empty."""
    percents: dict[str, Decimal]
    """The numbers by column, with the digits that were printed."""
    spreads: dict[str, Decimal]
    """± over seeds, by column."""
    trials: int | None
    """Behind each number; None where the source does not say."""
    kind: str
    source: str
    note: str
    per_task: str
    """Source of the per-task numbers that the average is of; empty where there is none."""


@functools.cache
def claims(name: str) -> tuple[Claim, ...]:
    """All rows of a file of COLUMNS, in its order."""
    text = (resources.files("lingbot_eval.reports.published") / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(_claim(row, COLUMNS[name]) for row in csv.DictReader(text.splitlines()))


def _claim(row: dict[str, str], columns: Sequence[str]) -> Claim:
    return Claim(
        **{name: row.get(name, "") for name in ("method", "task", "regime", "protocol")},
        percents={name: Decimal(row[name]) for name in columns if row[name]},
        spreads={name: Decimal(row[f"{name}_spread"]) for name in columns if row.get(f"{name}_spread")},
        trials=int(row["trials"]) if row["trials"] else None,
        **{name: row.get(name, "") for name in ("kind", "source", "note", "per_task")},
    )


def slug(method: str) -> str:
    """A method's name as it is typed: lower case, words joined by hyphens.

    >>> slug("LingBot-VLA (no depth)")
    'lingbot-vla-no-depth'
    """
    kept = "".join(letter if letter.isalnum() or letter in ".-" else " " for letter in method)
    return "-".join(kept.lower().split())


def slugs(benchmark: str) -> list[str]:
    """Name the methods that are published for it, best first as the file has them.

    Raises BadInput where nothing is.
    """
    if benchmark not in METHODS_IN:
        raise BadInput(f"nothing is published for {benchmark} (valid for: {', '.join(METHODS_IN)})")
    return list(dict.fromkeys(slug(claim.method) for claim in claims(benchmark)))


def require(benchmark: str, methods: Sequence[str]) -> None:
    """Raises BadInput unless all are slugs of what is published for the benchmark."""
    for method in methods:
        if method not in (known := slugs(benchmark)):
            raise UnknownName("published method", method, known)


def averages_that_do_not_follow() -> list[tuple[Claim, str]]:
    """Every stated average that its own per-task, or per-suite, numbers do not give to the digits that were printed,
    with a sentence about it. Whole percents count as exact: they are of 100 trials."""
    found: list[tuple[Claim, str]] = []
    for claim in claims("robotwin"):
        tasks = [
            part
            for part in claims("robotwin_tasks")
            if (part.method, part.regime, part.source) == (claim.method, claim.regime, claim.per_task)
        ]
        for column, stated in claim.percents.items():
            found += _compared(claim, column, stated, [part.percents[column] for part in tasks])
    for claim in claims("libero"):
        parts = [value for column, value in claim.percents.items() if column != "average"]
        if "average" in claim.percents and len(parts) == len(COLUMNS["libero"]) - 1:
            found += _compared(claim, "average", claim.percents["average"], parts)
    return found


def _compared(claim: Claim, column: str, stated: Decimal, parts: Sequence[Decimal]) -> list[tuple[Claim, str]]:
    if not parts:
        return []
    mean = sum(parts, Decimal(0)) / len(parts)
    rounding = max(_half_digit(part) if part % 1 else Decimal(0) for part in parts)
    if abs(mean - stated) <= _half_digit(stated) + rounding:
        return []
    return [
        (claim, f"stated {column} {stated} ({claim.source}), but the mean of its {len(parts)} numbers is {mean:.2f}")
    ]


def _half_digit(number: Decimal) -> Decimal:
    """Half of the last digit that was printed: what rounding can have moved."""
    return Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
