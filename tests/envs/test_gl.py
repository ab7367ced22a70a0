from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lingbot_eval.envs.gl import choose, probe
from lingbot_eval.errors import NotReady

pytest.importorskip("mujoco", reason="the libero extra is not installed")


def test_a_backend_proves_itself_by_drawing_and_leaves_nothing_in_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    backend, device = choose("auto")
    assert backend in ("egl", "osmesa")
    assert device
    assert list(tmp_path.rglob("*")) == []


def test_an_interpreter_that_cannot_draw_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'raise RuntimeError(\"no driver\")'\n")
    broken.chmod(0o755)
    with pytest.raises(NotReady, match="egl backend draws nothing here: RuntimeError: no driver"):
        probe("egl", str(broken))
    with pytest.raises(NotReady, match="/no/such/python cannot be started"):
        probe("osmesa", "/no/such/python")
