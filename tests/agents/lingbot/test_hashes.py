"""A file's hash is its content's, however often it is asked for and whatever the cache says."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from lingbot_eval.agents.lingbot.hashes import cache_file, sha256


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "weights").write_bytes(b"one")
    return tmp_path / "weights"


def of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_an_unchanged_file_is_not_read_again(file):
    assert sha256(file) == of(b"one")
    entries = json.loads(cache_file().read_text())
    entries[str(file)]["sha256"] = "ab" * 32
    cache_file().write_text(json.dumps(entries))
    assert sha256(file) == b"\xab" * 32


@pytest.mark.parametrize("content", [b"two", b"three"])
def test_a_file_of_another_size_or_time_is_read_again(file, content):
    sha256(file)
    before = file.stat().st_mtime_ns
    file.write_bytes(content)
    os.utime(file, ns=(before, before + (content == b"two")))
    assert sha256(file) == of(content)


@pytest.mark.parametrize(
    "wrong", [{"mtime_ns": 1, "sha256": "ab" * 32}, {"size": "3"}, {"sha256": "x" * 64}, {"sha256": "ab"}]
)
def test_a_wrong_entry_is_never_believed(file, wrong):
    sha256(file)
    entry = json.loads(cache_file().read_text())[str(file)]
    cache_file().write_text(json.dumps({str(file): {**entry, **wrong}}))
    assert sha256(file) == of(b"one")


def test_what_is_no_longer_there_is_forgotten(file, tmp_path):
    (tmp_path / "other").write_bytes(b"two")
    sha256(tmp_path / "other")
    (tmp_path / "other").unlink()
    sha256(file)
    assert list(json.loads(cache_file().read_text())) == [str(file)]


def test_what_nobody_can_look_at_any_more_is_forgotten(file):
    """As in a folder whose rights were taken away; here, a name that no file can have."""
    sha256(file)
    entries = json.loads(cache_file().read_text())
    cache_file().write_text(json.dumps({"/" + "x" * 5000: entries[str(file)]}))
    assert sha256(file) == of(b"one")
    assert list(json.loads(cache_file().read_text())) == [str(file)]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_damaged_cache_is_written_anew(file, content):
    cache_file().parent.mkdir(parents=True)
    cache_file().write_bytes(content)
    assert sha256(file) == of(b"one")
    assert list(json.loads(cache_file().read_text())) == [str(file)]


def test_a_cache_that_cannot_be_written_costs_time_alone(file, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert sha256(file) == of(b"one")


def test_a_link_is_the_file_that_it_leads_to(file, tmp_path):
    sha256(file)
    (tmp_path / "link").symlink_to(file)
    assert sha256(tmp_path / "link") == of(b"one")
    assert list(json.loads(cache_file().read_text())) == [str(file)]
