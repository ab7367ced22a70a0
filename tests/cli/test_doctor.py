from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mujoco", reason="the libero extra is not installed")

from lingbot_eval.cli import lingbot_eval, run_suite
from lingbot_eval.envs import first_picture, vulkan
from lingbot_eval.errors import NotReady

AT_ONCE = (
    "from lingbot_eval.envs import first_picture; from lingbot_eval.suites import machine; "
    "first_picture.SLOW_SECONDS = 0.0; machine.main()"
)


@pytest.fixture
def impatient(tmp_path: Path) -> str:
    """A Python that calls any first picture slow when it is asked for the machine."""
    try:
        vulkan.probe()
    except NotReady as reason:
        pytest.skip(str(reason))
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = lingbot_eval.suites.machine ] && exec {sys.executable} -c "{AT_ONCE}"\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return str(python)


def test_doctor_says_slow_and_refuses_nothing(
    impatient: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(first_picture, "SLOW_SECONDS", 0.0)
    lingbot_eval.main(["doctor", "--python", impatient])
    said = capsys.readouterr().out
    assert "ok    Tabletop:" in said
    assert "note  Tabletop: slow: " in said
    assert " drew its first picture after " in said
    assert "note  GL backend osmesa: slow: " in said or "note  GL backend egl: slow: " in said


def test_a_run_says_slow_and_plays(
    impatient: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = "tabletop --tasks lift_block --episodes 1 --agent expert --video on --out run"
    assert run_suite.main([*words.split(), f"env.python={impatient}"]) == 0
    assert re.search(r"run-suite: slow: .* drew its first picture after \d+ s", capsys.readouterr().err)
    assert "slow" not in (tmp_path / "run" / "run.json").read_text()  # how it was on one day is no fact of the run
