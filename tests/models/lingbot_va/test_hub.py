"""The hub is asked for what the user names, with its commit, and for nothing that a file names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from tests.hub import COMMIT
from tests.hub import hub as local_hub
from tests.models.lingbot_va.test_loading import as_lerobot


@pytest.fixture
def hub() -> Iterator[tuple[str, list[str]]]:
    with local_hub() as address_and_asked:
        yield address_and_asked


def located(hub: str, tmp_path: Path, *arguments: str) -> str:
    """What another process, which knows this hub alone, says of a checkpoint."""
    code = (
        "import sys\n"
        "from lingbot_eval.models.lingbot_va.checkpoint import locate\n"
        "from lingbot_eval.errors import LingbotEvalError\n"
        "try: print(locate(*sys.argv[1:]).parts)\n"
        "except LingbotEvalError as error: print(type(error).__name__, error)\n"
    )
    variables = {**os.environ, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("named", ["owner/parts", f"owner/parts@{COMMIT}"])
def test_what_a_checkpoint_names_is_not_asked_of_the_hub(tiny, tmp_path, hub, named):
    address, asked = hub
    folder = as_lerobot(tiny, tmp_path / "lerobot", wan_pretrained_path=named)
    said = located(address, tmp_path, str(folder))
    assert said.startswith(f"NotReady {folder / 'config.json'}: wan_pretrained_path='{named}' is neither a folder nor")
    assert "agent.lingbot.parts=owner/parts@COMMIT" in said
    assert asked == []


def test_a_name_without_a_commit_is_not_asked_of_the_hub(tmp_path, hub):
    address, asked = hub
    assert "agent.checkpoint=owner/name@COMMIT" in located(address, tmp_path, "owner/name")
    assert asked == []


def test_the_commit_that_is_named_is_what_the_hub_is_asked_for(tiny, tmp_path, hub):
    address, asked = hub
    assert "the hub did not answer" in located(address, tmp_path, f"owner/name@{COMMIT}")
    folder = as_lerobot(tiny, tmp_path / "lerobot", wan_pretrained_path="owner/other")
    located(address, tmp_path, str(folder), f"owner/parts@{COMMIT}")
    assert asked
    assert all(COMMIT in path and "other" not in path for path in asked)
    assert {path.split("/")[4] for path in asked} == {"name", "parts"}


def test_a_folder_with_the_parts_takes_the_place_of_what_the_checkpoint_names(tiny, tmp_path, hub):
    address, asked = hub
    folder = as_lerobot(tiny, tmp_path / "lerobot", wan_pretrained_path="owner/parts")
    assert located(address, tmp_path, str(folder), str(tiny)).strip() == str(tiny)
    assert asked == []


def test_what_the_cache_has_needs_no_hub(tiny, tmp_path, hub):
    """As the hub's own client keeps it: a snapshot's folder, and a file that says which commit main was."""
    address, asked = hub
    cached = tmp_path / "hub" / "hub" / "models--owner--parts"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMIT)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / COMMIT).symlink_to(tiny)
    folder = as_lerobot(tiny, tmp_path / "lerobot", wan_pretrained_path="owner/parts")
    for arguments in ((), ("owner/parts",), (f"owner/parts@{COMMIT}",)):
        assert located(address, tmp_path, str(folder), *arguments).strip() == str(cached / "snapshots" / COMMIT)
    assert asked == []
    assert json.loads((folder / "config.json").read_text())["wan_pretrained_path"] == "owner/parts"
