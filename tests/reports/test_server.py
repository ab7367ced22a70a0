"""``lingbot-eval view``: what it serves, to whom, and what it does not."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.reports import page
from lingbot_eval.reports.server import ADDRESS, PAGE, Server
from tests.reports.folders import add, directory, film, many


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    plan, records = many(1, 10)
    folder = directory(tmp_path, plan, records[:3])
    with Server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


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
    assert (status, content) == (200, page.html(page.read(server.folder)).encode())


def test_data_come_only_when_they_have_changed(server):
    path = f"/report/data.json?after={page.version(server.folder)}"
    assert get(server, path)[0] == 204
    add(server.folder, "second", many(1, 10)[1][3:])
    assert get(server, path)[0] == 200


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
    time.sleep(0.3)
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
