from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lingbot_eval.envs.first_picture import FirstPicture
from lingbot_eval.envs.gl import choose, probe
from lingbot_eval.errors import NotReady
from tests.processes import starved

pytest.importorskip("mujoco", reason="the libero extra is not installed")


def test_a_backend_proves_itself_by_drawing_and_leaves_nothing_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    backend, frame = choose("auto")
    assert backend in ("egl", "osmesa")
    assert frame.device
    assert list(tmp_path.rglob("*")) == []


def test_an_interpreter_that_cannot_draw_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'raise RuntimeError(\"no driver\")'\n")
    broken.chmod(0o755)
    with pytest.raises(NotReady, match="egl backend draws nothing here: RuntimeError: no driver"):
        probe("egl", str(broken))
    with pytest.raises(NotReady, match="/no/such/python cannot be started"):
        probe("osmesa", "/no/such/python")


def test_a_machine_that_draws_slowly_is_not_refused() -> None:
    backend, usual = choose("auto")
    with starved(share=0.2):
        frame = probe(backend, idle=3.0)
    assert frame.device == usual.device
    assert frame.seconds > 3.0


def test_that_it_was_slow_is_said_with_what_it_means_for_a_run() -> None:
    assert FirstPicture("llvmpipe", 3.0).slow == ""
    said = FirstPicture("llvmpipe", 131.0).slow
    assert "llvmpipe drew its first picture after 131 s" in said
    assert "limits.reset_seconds" in said
