"""What a run kept of how it was played is read by versions that came after."""

from __future__ import annotations

import json

from lingbot_eval.cli.run_suite import main as run_suite
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
