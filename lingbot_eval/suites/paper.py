"""How papers print a benchmark's rates. This is data; ``reports/paper_tables.py`` makes the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Paper:
    """The shape of a benchmark's table in papers.

    A benchmark that is played in settings has a column for each of them and a table task by task, by classes of
    horizons; any other one has a column for each of its parts, and one for their average.
    """

    title: str
    """The benchmark's name above its tables."""
    parts: Mapping[str, str]
    """The heading of each column, in the papers' order, by setting where the benchmark has settings, else by part. A
    file of published numbers has them in small letters, and ``average`` for the mean of parts."""
    horizons: Mapping[str, int] = field(default_factory=dict)
    """The class of each task, where papers print them task by task."""
    horizons_of: str = ""
    """Whose classes these are."""
    published: Path | None = None
    """The folder with other people's numbers, ``<suite>.csv`` and ``<suite>_tasks.csv``, which are laid out as those in
    ``reports/published`` (its README says how); None: they lie there."""
