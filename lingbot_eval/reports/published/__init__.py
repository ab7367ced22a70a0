"""Other people's numbers, each with its source, as CSV files have them. ``README.md`` says what a file holds.

``<benchmark>.csv`` has averages over a benchmark's tasks, or its only table; ``<benchmark>_tasks.csv`` has its numbers
task by task.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.suites import installed, suite_names

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # Python 3.11

REGIMES = {"A": "50 clean demonstrations per task", "B": "50 clean and 500 randomized demonstrations per task"}
"""What checkpoints are trained on, by letter; numbers from different ones are not compared."""

_TASKS, _SPREAD = "_tasks", "_spread"

AVERAGE = "average"
"""The column of the mean of the others."""

WORDS = {"method", "task", "category", "regime", "protocol", "trials", "seeds", "max_progress"}
WORDS |= {"kind", "source", "note", "per_task"}
"""Columns that are no rates. Any other is one, in percent, but for the ``<rate>_spread`` that stand beside them."""


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
def _files() -> Mapping[str, Traversable]:
    """Every file by its name without ending: this package's, and those of installed benchmarks with their own."""
    ours = sorted(resources.files("lingbot_eval.reports.published").iterdir(), key=lambda file: file.name)
    found: dict[str, Traversable] = {file.name[: -len(".csv")]: file for file in ours if file.name.endswith(".csv")}
    for name in suite_names():
        if (suite := installed(name)) and suite.paper and suite.paper.published:
            theirs = [suite.paper.published / f"{file}.csv" for file in (name, f"{name}{_TASKS}")]
            found |= {file.stem: file for file in theirs if file.is_file()}
    return found


def names() -> list[str]:
    """Every file's name, without its ending."""
    return list(_files())


def files_of(benchmark: str) -> list[str]:
    """The files about a benchmark, averages before tasks; none where nothing is published."""
    return [name for name in (benchmark, f"{benchmark}{_TASKS}") if name in _files()]


def benchmark_of(name: str) -> str:
    """The benchmark that a file is about."""
    return name.removesuffix(_TASKS)


@functools.cache
def benchmarks() -> list[str]:
    """Every benchmark that something is published for; the one with the most methods first."""
    known = dict.fromkeys(map(benchmark_of, _files()))
    return sorted(known, key=lambda benchmark: -len(_slugs(benchmark)))


@functools.cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    return tuple(csv.DictReader(_files()[name].read_text(encoding="utf-8").splitlines()))


def columns(name: str) -> list[str]:
    """The rates that a file has, as its header says."""
    return [column for column in _rows(name)[0] if column not in WORDS and not column.endswith(_SPREAD)]


def by_task(name: str) -> bool:
    """Whether a file has tasks, not averages over them."""
    return any(claim.task for claim in claims(name))


@functools.cache
def claims(name: str) -> tuple[Claim, ...]:
    """All rows of a file, in its order; none where there is no such file.

    Raises BadInput for a rate that is no number.
    """
    if name not in _files():
        return ()
    try:
        return tuple(_claim(row, columns(name)) for row in _rows(name))
    except (ArithmeticError, ValueError, KeyError, IndexError) as error:
        raise BadInput(f"{_files()[name]}: not a file of published numbers: {error!r}") from None


def _claim(row: dict[str, str], rates: Sequence[str]) -> Claim:
    return Claim(
        **{name: row.get(name, "") for name in ("method", "task", "regime", "protocol")},
        percents={name: Decimal(row[name]) for name in rates if row[name]},
        spreads={name: Decimal(row[f"{name}{_SPREAD}"]) for name in rates if row.get(f"{name}{_SPREAD}")},
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
    """Name the methods that are published for a benchmark, in its file's order.

    Raises BadInput where nothing is.
    """
    if benchmark not in benchmarks():
        raise BadInput(f"nothing is published for {benchmark} (valid for: {', '.join(benchmarks())})")
    return _slugs(benchmark)


def _slugs(benchmark: str) -> list[str]:
    return list(dict.fromkeys(slug(claim.method) for claim in claims(files_of(benchmark)[0])))


def require(benchmark: str, methods: Sequence[str]) -> None:
    """Raises BadInput unless all are slugs of what is published for the benchmark."""
    for method in methods:
        if method not in (known := slugs(benchmark)):
            raise UnknownName("published method", method, known)


def averages_that_do_not_follow() -> list[tuple[Claim, str]]:
    """Every stated average that its own per-task, or per-suite, numbers do not give to the digits that were printed,
    with a sentence about it. Whole percents count as exact: they are of 100 trials."""
    found: list[tuple[Claim, str]] = []
    for name in names():
        rates = columns(name)
        for claim in claims(name):
            tasks = [
                part
                for part in claims(f"{name}{_TASKS}")
                if (part.method, part.regime, part.source) == (claim.method, claim.regime, claim.per_task)
            ]
            for column, stated in claim.percents.items() if tasks else ():
                found += _compared(claim, column, stated, [part.percents[column] for part in tasks])
            parts = [value for column, value in claim.percents.items() if column != AVERAGE]
            if AVERAGE in claim.percents and len(parts) == len(rates) - 1:
                found += _compared(claim, AVERAGE, claim.percents[AVERAGE], parts)
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
