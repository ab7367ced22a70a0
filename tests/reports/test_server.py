"""``lingbot-eval view``: what it serves, to whom, and what it does not."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.reports import page
from lingbot_eval.reports.server import ADDRESS, PAGE, Server
from lingbot_eval.runs import contents
from lingbot_eval.runs.decode import RecordDecoder
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Trial
from lingbot_eval.web import serving as serving_module
from tests.reports.folders import add, directory, film, many


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    plan, records = many(1, 10)
    with serving(directory(tmp_path, plan, records[:3])) as server:
        yield server


@contextlib.contextmanager
def serving(folder: RunDirectory) -> Iterator[Server]:
    with Server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def until(true: Callable[[], bool]) -> None:
    """Wait until it is; a minute is for a machine that is busy."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=20)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


def test_the_page_is_where_its_relative_paths_hold(server):
    status, _, headers = get(server, "/")
    assert (status, headers["Location"]) == (302, PAGE)
    status, content, _ = get(server, PAGE)
    assert (status, content) == (200, page.html(page.read(server.folder), grows=True).encode())


def test_data_come_only_when_they_have_changed(server):
    path = f"/report/data.json?after={contents.version(server.folder)}"
    assert get(server, path)[0] == 204
    add(server.folder, "second", many(1, 10)[1][3:])
    assert get(server, path)[0] == 200


def test_a_large_runs_parts_are_served_to_its_own_page_alone(tmp_path):
    folder = directory(tmp_path, *many(3, 1000))
    with Server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        status, content, headers = get(server, "/report/parts/1.js")
        assert (status, headers["Cross-Origin-Resource-Policy"]) == (200, "same-origin")
        assert content.startswith(f'part("{contents.version(folder)}", 1, ['.encode())
        assert [get(server, f"/report/parts/{name}")[0] for name in ("2.js", "-1.js", "x.js", "0.js/")] == [404] * 4
        server.shutdown()


def test_a_part_is_made_once_however_often_it_is_asked_for_until_the_run_goes_on(tmp_path):
    plan, records = many(3, 1000)
    folder = directory(tmp_path, plan, records[:2990])
    with Server(folder, 0) as server:
        first = server.part(1)
        assert server.part(1) is first
        assert server.part(2) is None
        add(folder, "second", records[2990:])
        server._took = 0.0
        assert contents.version(folder).encode() in server.part(1)


def test_a_page_that_takes_long_to_make_is_not_made_anew_at_every_change(server):
    first = server.book()
    server._made, server._took = time.monotonic(), 5.0
    add(server.folder, "second", many(1, 10)[1][3:])
    assert server.book() is first
    server._took = 0.1
    assert server.book().page.version == contents.version(server.folder)


def test_a_video_comes_whole_or_in_part(server):
    content = film(server.folder, "task_00/2-success.mp4").read_bytes()
    assert get(server, "/videos/task_00/2-success.mp4")[:2] == (200, content)
    status, part, headers = get(server, "/videos/task_00/2-success.mp4", Range="bytes=10-19")
    assert (status, part, headers["Content-Range"]) == (206, content[10:20], f"bytes 10-19/{len(content)}")
    assert get(server, "/videos/task_00/2-success.mp4", Range="bytes=10-")[1] == content[10:]


def test_a_player_that_leaves_is_no_error(server, capfd):
    video = film(server.folder, "task_00/2-success.mp4")
    video.write_bytes(bytes(20_000_000))  # more than fits in what the system keeps for a connection
    with socket.create_connection((ADDRESS, server.server_port)) as player:
        player.sendall(
            f"GET /videos/task_00/{video.name} HTTP/1.1\r\nHost: {ADDRESS}:{server.server_port}\r\n\r\n".encode()
        )
        player.recv(100)
    assert get(server, PAGE)[0] == 200
    until(lambda: not server._open)  # the player's thread has noticed, and ended
    assert capfd.readouterr().err == ""


def test_a_link_to_a_video_that_was_moved_is_no_video(server, tmp_path):
    link = server.folder.path / "videos" / "task_00" / "2-success.mp4"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "moved.mp4")
    assert get(server, "/videos/task_00/2-success.mp4")[0] == 404


@pytest.mark.parametrize("path", ["/run.json", "/videos/../run.json", "/videos/%2e%2e/run.json", "/../../etc/passwd"])
def test_nothing_else_is_served(server, path):
    assert get(server, path)[0] == 404


def test_another_hosts_name_is_refused(server):
    assert get(server, PAGE, Host="example.org")[0] == 403


def test_records_that_cannot_be_read_are_said(server):
    (server.folder.path / "records" / "bad.jsonl").write_text("{}\n")
    status, content, _ = get(server, "/report/data.json")
    assert status == 500
    assert b"bad.jsonl:1" in content


def test_a_port_that_is_taken_and_a_folder_that_is_no_run_are_one_line(server, tmp_path, capsys):
    assert main(["view", str(server.folder.path), "--port", str(server.server_port)]) == 2
    assert "choose another with --port" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["view", str(tmp_path / "empty")]) == 2
    assert "not a run directory" in capsys.readouterr().err


def raw(server: Server, request: bytes, seconds: float = 10.0) -> bytes:
    """The answer to bytes that no client would send."""
    with socket.create_connection((ADDRESS, server.server_port), timeout=seconds) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


@pytest.mark.parametrize(
    ("asked", "status", "place"),
    [
        ("bytes=0-", 206, "bytes 0-{last}/{size}"),
        ("bytes=5-1" + "0" * 5000, 206, "bytes 5-{last}/{size}"),
        ("bytes=-7", 206, "bytes {seventh}-{last}/{size}"),
        ("bytes=-1" + "0" * 5000, 206, "bytes 0-{last}/{size}"),
        ("bytes=1" + "0" * 5000 + "-", 416, "bytes */{size}"),
        ("bytes={size}-", 416, "bytes */{size}"),
        ("bytes=-0", 416, "bytes */{size}"),
        ("bytes=9-5", 200, None),
        ("bytes=-5-", 200, None),
        ("bytes=0-1,3-4", 200, None),
        ("bytes=-", 200, None),
        ("lines=1-2", 200, None),
        ("bytes=\u0661-", 200, None),
    ],
)
def test_any_range_that_is_asked_for_is_answered(server, asked, status, place, capfd):
    size = film(server.folder, "task_00/2-success.mp4").stat().st_size
    known = {"size": size, "last": size - 1, "seventh": size - 7}
    asked, place = asked.format(**known), place and place.format(**known)
    path = "/videos/task_00/2-success.mp4"
    with http_connection(server) as connection:
        connection.putrequest("GET", path)
        connection.putheader("Range", asked.encode())
        connection.endheaders()
        answer = connection.getresponse()
        content = answer.read()
    assert (answer.status, answer.headers["Content-Range"]) == (status, place)
    assert len(content) == int(answer.headers["Content-Length"])
    assert capfd.readouterr().err == ""


@contextlib.contextmanager
def http_connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(ADDRESS, server.server_port, timeout=20)
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize(
    "address",
    [
        b"http://[",
        b"http://127.0.0.1/videos/x/y.mp4",
        b"//[/videos/x/y.mp4",
        b"/videos/%00/%00.mp4",
        b"/videos/%/%zz.mp4",
        b"/videos/%ff/%c0%ae.mp4",
        b"/videos/x/" + b"y" * 5000 + b".mp4",
        b"/report/data.json?after=%ff&%=%%&" + b"&".join([b"a=1"] * 5000),
        b"*",
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("host", [True, False])
def test_any_address_is_answered_without_a_traceback(server, address, host, capfd):
    named = f"Host: {ADDRESS}:{server.server_port}\r\n".encode() if host else b""
    answer = raw(server, b"GET " + address + b" HTTP/1.1\r\n" + named + b"Connection: close\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 [2345]\d\d ", answer)
    assert get(server, PAGE)[0] == 200
    assert capfd.readouterr().err == ""


def test_a_video_whose_name_is_no_text_is_served(tmp_path):
    folder = directory(tmp_path, *many(1, 2))
    (folder.path / "videos" / "task").mkdir(parents=True)
    (folder.path / "videos" / "task" / os.fsdecode(b"\xff\xfe.mp4")).write_bytes(b"film")
    with serving(folder) as server:
        assert get(server, PAGE)[0] == 200
        assert get(server, "/videos/task/%ff%fe.mp4")[:2] == (200, b"film")


def test_an_address_without_end_is_refused(server, capfd):
    with contextlib.suppress(OSError):  # it is not even read to its end
        assert b" 414 " in raw(server, b"GET /" + b"x" * 1_000_000)
    assert get(server, PAGE)[0] == 200
    assert capfd.readouterr().err == ""


def test_a_film_is_not_held_in_memory(server):
    video = film(server.folder, "task_00/2-success.mp4")
    with video.open("r+b") as file:
        file.truncate(1 << 33)  # 8 GiB of holes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socket.create_connection((ADDRESS, server.server_port)) as player:
        path = f"/videos/task_00/{video.name}"
        player.sendall(f"GET {path} HTTP/1.1\r\nHost: {ADDRESS}:{server.server_port}\r\n\r\n".encode())
        for _ in range(200):
            player.recv(1 << 16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_link_is_followed_to_a_trials_film_alone(tmp_path):
    outside = tmp_path / "camera.mp4"
    outside.write_bytes(b"film of the robot")
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(b"film of somebody else")
    episode = Episode("real", "fold", 0, "Fold.")
    trial = Trial(operator="op", points=(1.0,), videos=(str(outside), "/etc/passwd"))
    scored = EpisodeRecord(episode, Outcome.SUCCESS, 0, 9.0, 1.0, 1.0, trial=trial)
    folder = directory(tmp_path / "run", [episode], [scored])
    films = folder.path / "videos"
    (films / "fold").mkdir(parents=True)
    for name, target in {"trial": outside, "secret": secret, "passwd": Path("/etc/passwd")}.items():
        (films / "fold" / f"{name}.mp4").symlink_to(target)
    (films / "elsewhere").symlink_to(tmp_path)
    os.mkfifo(films / "fold" / "pipe.mp4")
    with serving(folder) as server:
        assert get(server, "/videos/fold/trial.mp4")[:2] == (200, b"film of the robot")
        for name in ("fold/secret", "fold/passwd", "fold/pipe", "elsewhere/secret"):
            assert get(server, f"/videos/{name}.mp4")[0] == 404, name


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_who_sends_no_whole_request_in_time_is_cut_off(tmp_path, monkeypatch, sent):
    monkeypatch.setattr(serving_module, "SECONDS", 0.5)
    monkeypatch.setattr(serving_module.QuietHandler, "timeout", 60.0)  # so that the silence itself is not it
    folder = directory(tmp_path, *many(1, 2))
    with serving(folder) as server, socket.create_connection((ADDRESS, server.server_port), timeout=0.1) as silent:
        begun = time.monotonic()
        silent.sendall(sent)
        while time.monotonic() - begun < 20:
            try:
                if sent and not sent.endswith(b"\r\n\r\n"):
                    silent.sendall(b"x")  # a byte now and then keeps no thread
                if not silent.recv(65536):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert time.monotonic() - begun < 10


def test_the_one_connection_too_many_is_closed_and_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(serving_module, "MOST", 3)
    with serving(directory(tmp_path, *many(1, 2))) as server:
        held = [socket.create_connection((ADDRESS, server.server_port), timeout=10) for _ in range(3)]
        until(lambda: len(server._open) == 3)
        with socket.create_connection((ADDRESS, server.server_port), timeout=10) as fourth:
            assert fourth.recv(1) == b""
        for one in held:
            one.close()
        until(lambda: not server._open)
        assert get(server, PAGE)[0] == 200


def test_a_player_that_seeks_in_a_linked_film_costs_no_reading_of_all_records(server, tmp_path, monkeypatch):
    outside = tmp_path / "camera.mp4"
    outside.write_bytes(bytes(range(100)))
    links = server.folder.path / "videos" / "reach"
    links.mkdir(parents=True)
    (links / "1.mp4").symlink_to(outside)
    episode = Episode("toy", "reach", 1, "Go.")
    trial = Trial(operator="op", points=(1.0,), videos=(str(outside.resolve()),))
    assert get(server, "/videos/reach/1.mp4")[0] == 404
    add(server.folder, "scored", [EpisodeRecord(episode, Outcome.SUCCESS, 0, 1.0, 1.0, 1.0, trial=trial)])
    assert get(server, "/videos/reach/1.mp4")[0] == 200  # named since
    decoded, decode = list[bytes](), RecordDecoder.decode
    monkeypatch.setattr(RecordDecoder, "decode", lambda self, line: decoded.append(line) or decode(self, line))
    for first in range(5):
        status, part, _ = get(server, "/videos/reach/1.mp4", Range=f"bytes={first}-9")
        assert (status, part) == (206, bytes(range(first, 10)))
    assert decoded == []
