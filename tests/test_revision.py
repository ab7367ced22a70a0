"""Two codes of this package are not taken for one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lingbot_eval import revision


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """An environment, not tracked, within somebody else's checkout."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "theirs"], check=True)
    package = tmp_path / "site-packages" / "lingbot_eval"
    package.mkdir(parents=True)
    shutil.copy(revision.__file__, package)
    monkeypatch.setattr(revision, "HERE", package)
    return package


def test_the_checkout_around_an_installed_package_is_not_its_own(elsewhere):
    assert revision.git_revision() == ""


def test_a_changed_file_and_a_new_one_change_the_hash_and_what_tools_leave_does_not(elsewhere):
    first = revision.code_hash()
    (elsewhere / "__pycache__").mkdir()
    (elsewhere / "__pycache__" / "revision.pyc").write_bytes(b"x")
    (elsewhere / ".revision.py.swp").write_bytes(b"x")
    assert revision.code_hash() == first
    (elsewhere / "new.yaml").write_text("a: 1")
    second = revision.code_hash()
    (elsewhere / "new.yaml").write_text("a: 2")
    assert len({first, second, revision.code_hash()}) == 3
