"""What the documents say that can be checked."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_test_that_reliability_names_is_there():
    text = (ROOT / "docs" / "reliability.md").read_text()
    promised = text.partition("## Promised")[2].partition("## All of it")[0]
    everything = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    files, names = re.findall(r"`([\w/]+\.py)`", promised), re.findall(r"`(\w+)\.\.\.`", promised)
    assert len(files) > 10
    assert len(names) > 20
    assert [file for file in files if not (ROOT / "tests" / file).is_file()] == []
    assert [name for name in names if f"def test_{name}" not in everything] == []
