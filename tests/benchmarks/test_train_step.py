"""What the benchmark of a training step compares is equal."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from benchmarks.train_step import main


def test_the_plain_step_and_ours_are_equal(capsys):
    assert main(["--check"]) == 0
    said = capsys.readouterr().out
    assert "BEYOND" not in said
    assert said.count("ours, all pairs: ") == said.count("ratio: ") == 2
