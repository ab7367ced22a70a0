"""Files that only grow: what was changed in them is named, with file and line; what was torn counts nowhere."""

from __future__ import annotations

import errno
import os
import resource
import signal
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingbot_eval import lines
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.files import locked
from lingbot_eval.lines import LineReader, LineWriter


class Said(msgspec.Struct):
    number: int
    word: str = ""


def reader(file: Path) -> LineReader[Said]:
    return LineReader(file, msgspec.json.Decoder(Said).decode)


def words(file: Path) -> list[Said]:
    return list(reader(file).added())


def written(file: Path, *said: Said) -> Path:
    writer = LineWriter(file)
    for one in said:
        writer.append(msgspec.json.encode(one))
    writer.close()
    return file


THREE = [Said(1, "a"), Said(2, "bé"), Said(3, '","chain":"0123456789abcdef"}')]


@pytest.fixture
def file(tmp_path) -> Path:
    return written(tmp_path / "a.jsonl", *THREE)


def test_lines_are_read_as_they_were_written_and_by_what_knows_of_no_checksums(file):
    assert words(file) == THREE
    assert [msgspec.json.decode(line, type=Said) for line in file.read_bytes().splitlines()] == THREE


@settings(max_examples=200)
@given(st.data())
def test_no_bit_can_be_changed_unnoticed(tmp_path_factory, data):
    file = written(tmp_path_factory.mktemp("lines") / "a.jsonl", *THREE)
    content = bytearray(file.read_bytes())
    place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
    content[place] ^= 1 << bit
    file.write_bytes(content)
    known, found, said = reader(file), [], ""
    try:
        found += known.added()
    except CorruptRecords as error:
        said = str(error)
    assert f"{file}:{known.lines + 1}" in said if said else known.torn or known.bare
    assert found == THREE[: len(found)]


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: lines[1:],
        lambda lines: [lines[0], *lines],
        lambda lines: [lines[0], b'{"number":7}', *lines[1:]],
        lambda lines: [lines[0], lines[1].replace(b'"number":2', b'"number":7'), lines[2]],
        lambda lines: [*lines, b'{"number":4}'],
        lambda lines: [lines[0], lines[1].rpartition(b',"chain"')[0] + b"}", lines[2]],
        lambda lines: [lines[0].rpartition(b',"chain"')[0] + b"}".replace(b"a", b"b"), *lines[1:]][::-1],
    ],
)
def test_lines_that_were_moved_taken_out_put_in_or_changed_are_named(file, change):
    file.write_bytes(b"".join(line + b"\n" for line in change(file.read_bytes().splitlines())))
    with pytest.raises(CorruptRecords, match=rf"{file}:\d"):
        words(file)


def test_a_file_without_checksums_is_read_and_said_to_have_none(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(said) + b"\n" for said in THREE))
    known = reader(file)
    assert (list(known.added()), known.bare) == (THREE, 3)


def test_a_file_without_checksums_that_is_gone_on_with_has_them_from_there_on_and_for_what_was_there(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(said) + b"\n" for said in THREE[:2]) + b'{"num')
    known = reader(file)
    assert (list(known.added()), known.bare, known.torn) == (THREE[:2], 2, 5)
    writer = LineWriter(file, after=known)
    writer.append(msgspec.json.encode(THREE[2]))
    again = reader(file)
    assert (list(again.added()), again.bare, again.torn) == (THREE, 2, 0)
    file.write_bytes(file.read_bytes().replace(b'"number":1', b'"number":9'))
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:3"):
        words(file)


@given(st.lists(st.integers(1, 200), max_size=12))
def test_a_reader_gives_each_line_once_wherever_it_was_cut_when_it_looked(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("lines")
    content = written(folder / "whole", *THREE).read_bytes()
    file, known, found, there = folder / "a.jsonl", reader(folder / "a.jsonl"), [], 0
    for size in pieces:
        with file.open("ab") as stream:
            stream.write(content[there : there + size])
        there += size
        found += known.added()
        assert found == THREE[: content[:there].count(b"\n")]


def test_a_file_that_became_shorter_or_is_gone_is_said(file):
    known = reader(file)
    list(known.added())
    os.truncate(file, 20)
    with pytest.raises(CorruptRecords, match="it was cut, or replaced"):
        list(known.added())
    file.unlink()
    with pytest.raises(FileNotFoundError):
        list(known.added())


def test_what_is_appended_to_a_file_that_was_removed_is_not_taken_to_be_kept(tmp_path):
    writer = LineWriter(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="removed or moved while it was written"):
        writer.append(b'{"number":1}')


def test_a_line_that_could_not_be_flushed_is_not_taken_from_who_has_read_it_and_none_comes_after_it(
    tmp_path, monkeypatch
):
    file, flush = tmp_path / "a.jsonl", os.fsync
    writer, known = LineWriter(file), reader(tmp_path / "a.jsonl")
    writer.append(b'{"number":1}')
    found: list[Said] = []

    def fails(descriptor: int) -> None:
        found.extend(known.added())  # somebody looks between the writing and the flushing
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error"):
        writer.append(b'{"number":2}')
    monkeypatch.setattr(os, "fsync", flush)
    with pytest.raises(OSError, match="the line before it may not be on disk"):
        writer.append(b'{"number":3}')
    found += known.added()
    assert found == [Said(1), Said(2)]
    LineWriter(file, after=known).append(b'{"number":3}')
    assert [*found, *known.added()] == words(file) == [Said(1), Said(2), Said(3)]


def test_a_file_that_was_moved_while_a_line_was_written_and_comes_back_can_be_read_and_gone_on_with(
    tmp_path, monkeypatch
):
    file, away = tmp_path / "a.jsonl", tmp_path / "away"
    writer = LineWriter(file)
    writer.append(b'{"number":1}')
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(os, "fsync", lambda descriptor: file.rename(away))
        with pytest.raises(FileNotFoundError, match="removed or moved while it was written"):
            writer.append(b'{"number":2}')
    away.rename(file)
    with pytest.raises(OSError, match="the line before it may not be on disk"):
        writer.append(b'{"number":3}')
    assert words(file) == [Said(1), Said(2)]


def test_after_a_disk_that_was_full_for_a_while_the_same_writer_goes_on(tmp_path):
    file, limit = tmp_path / "a.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = LineWriter(file)
    writer.append(b'{"number":1}')
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, limit[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            writer.append(b'{"number":2}')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handled)
    writer.append(b'{"number":3}')
    assert words(file) == [Said(1), Said(3)]


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_who_else_may_read_and_write_what_is_made_the_umask_says(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        LineWriter(tmp_path / "a.jsonl").close()
        with locked(tmp_path / ".lock"):
            pass
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a.jsonl", ".lock")] == [mode, mode]


def test_a_line_that_version_0_1_0_appended_to_a_newer_file_is_said_to_be_perhaps_just_that(file):
    with file.open("ab") as stream:
        stream.write(b'{"number":4}\n')
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:4 has no checksum.*version 0\.1\.0"):
        words(file)


def test_a_line_without_end_and_nesting_without_end_are_named_at_once(tmp_path):
    file, start = tmp_path / "a.jsonl", time.process_time()
    for content, size in ((b"[", 200_000_000), (b'{"number":1,"deep":' + b"[" * 1_000_000 + b"\n", None)):
        file.write_bytes(content)
        if size:
            os.truncate(file, size)  # with zeros that take no room
        with pytest.raises(CorruptRecords, match=r"a\.jsonl:1"):
            words(file)
    assert time.process_time() - start < 5


def test_what_could_not_be_read_back_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 100)
    writer = LineWriter(tmp_path / "a.jsonl")
    with pytest.raises(OSError, match="a line of"):
        writer.append(msgspec.json.encode(Said(1, "x" * 100)))
    assert (tmp_path / "a.jsonl").read_bytes() == b""


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda file: file.symlink_to("nowhere")])
def test_what_is_no_file_is_named_and_neither_waited_for_nor_written(tmp_path, make):
    file = tmp_path / "a.jsonl"
    make(file)
    with pytest.raises(CorruptRecords, match=rf"{file} is a (folder|FIFO|link to nothing)"):
        words(file)
    with pytest.raises(OSError, match=r".*"):
        LineWriter(file, after=reader(file))


def test_nothing_is_written_through_a_link(file):
    before, link = file.read_bytes(), file.with_name("link.jsonl")
    link.symlink_to(file)
    known = reader(link)
    list(known.added())
    with pytest.raises(OSError, match="symbolic links"):
        LineWriter(link, after=known)
    with pytest.raises(FileExistsError):
        LineWriter(link)
    assert file.read_bytes() == before


def test_reading_costs_the_same_for_each_line(tmp_path):
    def seconds(count: int) -> float:
        file = tmp_path / f"{count}.jsonl"
        chain, content = b"", bytearray()
        for number in range(count):
            line = msgspec.json.encode(Said(number, "x" * 400))
            chain = lines.checksum(chain, line)
            content += line[:-1] + b',"chain":"' + chain + b'"}\n'
        file.write_bytes(content)
        start = time.process_time()
        assert len(words(file)) == count
        return time.process_time() - start

    few, many = seconds(2_000), seconds(20_000)
    assert many < 40 * few
    assert many < 2
