"""What a run kept of how it was played is read by versions that came after."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.errors import BadInput
from lingbot_eval.files import with_checksum
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import settings_of
from lingbot_eval.settings import to_dict
from tests.planning import settings


def test_settings_that_fetched_whatever_was_newest_are_read_and_fetch_nothing(tmp_path):
    assert run_suite(["toy", "--episodes", "1", "--out", str(tmp_path / "run")]) == 0
    file = next(file for file in (tmp_path / "run" / "sessions").glob("*.json") if ".live" not in file.name)
    libero = settings(["suite=libero", "env=libero", "agent=idle", "protocol=libero/strict"], [])
    for download in (True, False):
        kept = to_dict(libero)
        kept["env"]["download"] = download
        file.write_bytes(with_checksum({**json.loads(file.read_text()), "settings": kept}))
        assert settings_of(RunDirectory(tmp_path / "run")) == libero


def keep(folder: Path, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Have the run's coordinator say that it had other settings."""
    (file,) = (file for file in (folder / "sessions").glob("*.json") if ".live" not in file.name)
    kept = json.loads(file.read_text())
    file.write_bytes(with_checksum({**kept, "settings": {**kept["settings"], **change(kept["settings"])}}))


@pytest.fixture
def run(tmp_path) -> Path:
    assert run_suite(["toy", "--agent", "random", "--episodes", "1", "--out", str(tmp_path / "run")]) == 0
    return tmp_path / "run"


@pytest.mark.parametrize(("group", "what"), [("suite", "benchmark"), ("agent", "agent")])
def test_what_played_a_run_and_is_not_installed_is_named(group, what, run):
    keep(run, lambda settings: {group: {**settings[group], "name": "mountain-car"}})
    with pytest.raises(BadInput) as refused:
        settings_of(RunDirectory(run))
    assert f"was played with the {what} mountain-car, which cannot be loaded here: unknown {what}" in str(refused.value)
    assert "another version" not in str(refused.value)


def test_what_played_a_run_and_is_broken_here_is_named(run, tmp_path):
    keep(run, lambda settings: {"suite": {**settings["suite"], "name": "broken"}})
    broken = tmp_path / "broken-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (broken / "entry_points.txt").write_text("[lingbot_eval.suites]\nbroken = no_such_module:SUITE\n")
    code = (
        "import sys; sys.path.append(sys.argv[2]);"
        "from pathlib import Path; from lingbot_eval.runs.directory import RunDirectory;"
        "from lingbot_eval.runs.recorded import settings_of; settings_of(RunDirectory(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, run, tmp_path], capture_output=True, text=True, timeout=100)
    assert "was played with the benchmark broken, which cannot be loaded here: " in done.stderr
    assert "No module named 'no_such_module'" in done.stderr


def test_settings_that_this_version_has_not_are_anothers(run):
    keep(run, lambda settings: {"agent": {**settings["agent"], "brand_new": 1}})
    with pytest.raises(BadInput, match=r"another version of lingbot_eval \(git .*brand_new"):
        settings_of(RunDirectory(run))
