"""A file's hash is its content's, however often it is asked for and whatever the cache says."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from lingbot_eval import hashes
from lingbot_eval.errors import NotReady
from lingbot_eval.hashes import cache_file, sha256, together_sha256


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(hashes, "SETTLED_NS", -(10**18))  # files of this moment are remembered
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


@pytest.mark.parametrize("how", ["rename", "rewrite", "link"])
def test_another_file_of_the_same_size_and_time_is_read(file, tmp_path, how):
    """As two that came out of an archive have it: mtime 0."""
    os.utime(file, (0, 0))
    link = tmp_path / "link"
    link.symlink_to(file)
    assert sha256(link) == of(b"one")
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, (0, 0))
    if how == "rename":
        os.replace(other, file)
    elif how == "rewrite":
        file.write_bytes(b"two")
        os.utime(file, (0, 0))
    else:
        link.unlink()
        link.symlink_to(other)
    assert sha256(link) == of(b"two")


def test_a_file_that_was_changed_just_now_is_not_remembered(file, monkeypatch):
    """Changed again within the same tick of the clock, it would look the same."""
    monkeypatch.setattr(hashes, "SETTLED_NS", 60 * 10**9)
    assert sha256(file) == of(b"one")
    assert not cache_file().exists()


def test_a_file_that_changes_while_it_is_read_has_no_hash(file, monkeypatch):
    read = hashes._digest

    def slowly(stream):
        digest = read(stream)
        file.write_bytes(b"two and more")
        return digest

    monkeypatch.setattr(hashes, "_digest", slowly)
    with pytest.raises(NotReady, match="changed while it was read"):
        sha256(file)
    assert not cache_file().exists()


def test_a_fresh_hash_believes_nothing(file):
    sha256(file)
    entries = json.loads(cache_file().read_text())
    entries[str(file)]["sha256"] = "ab" * 32
    cache_file().write_text(json.dumps(entries))
    assert sha256(file, fresh=True) == of(b"one")
    assert sha256(file) == of(b"one")  # and is what is remembered from now on


def test_what_an_older_version_remembered_is_hashed_anew(file):
    state = file.stat()
    entry = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "sha256": "ab" * 32}
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text(json.dumps({str(file): entry}))
    assert sha256(file) == of(b"one")


@pytest.mark.parametrize("kind", ["pipe", "folder", "endless", "device"])
def test_a_cache_that_is_no_file_is_not_read(file, kind):
    cache_file().parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(cache_file())
    elif kind == "folder":
        cache_file().mkdir()
    elif kind == "endless":
        with cache_file().open("wb") as stream:
            stream.truncate(1 << 40)
    else:
        cache_file().symlink_to("/dev/zero")
    assert sha256(file) == of(b"one")
    assert list(cache_file().parent.glob(".*")) == []


def test_nothing_is_written_through_a_planted_link(file, tmp_path):
    cache_file().parent.mkdir(parents=True)
    (tmp_path / "precious").write_text("mine")
    cache_file().symlink_to(tmp_path / "precious")
    assert sha256(file) == of(b"one")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_file_whose_name_is_no_text_is_hashed(file, tmp_path):
    other = tmp_path / os.fsdecode(b"\xff")
    other.write_bytes(b"two")
    assert sha256(other) == of(b"two")


@pytest.mark.parametrize(
    "wrong",
    [
        {"mtime_ns": 1, "sha256": "ab" * 32},
        {"inode": 1, "sha256": "ab" * 32},
        {"device": 10**30},
        {"size": "3"},
        {"sha256": "x" * 64},
        {"sha256": "ab"},
    ],
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


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b"{}", b'{"x": "\xff"}', b'{"x": {"y": ' + b"[" * 100_000]
)
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


def test_many_files_have_one_hash_which_is_remembered_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("lingbot_eval.hashes.SETTLED_NS", 0)
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_text(file.name)
    first = together_sha256(files)
    assert first == together_sha256(files)
    assert [file.name.startswith("together-") for file in (tmp_path / "cache" / "lingbot_eval").iterdir()] == [True]
    assert together_sha256(files[::-1]) != first
    files[1].write_text("other")
    assert together_sha256(files) != first
