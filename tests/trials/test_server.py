"""The page beside the robot: who may score there, and that a tap counts once."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.server import ADDRESS, EVERYWHERE, LARGEST_TAP, Server
from lingbot_eval.types import Outcome

TOKEN = "not-a-secret-0123456789"  # noqa: S105
PLAN = TrialPlan((load_rubric("pick_screws"),), ("ours", "theirs"), 2, "alternating", 3, "", "unstated")


class Tablet:
    """Asks as a browser would."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.server, self.token = server, token

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(ADDRESS, self.server.server_port, timeout=20)
        given = {"Host": f"{ADDRESS}:{self.server.server_port}", **headers}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        connection.request(method, path, body=body or None, headers=given)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else {}

    def look(self) -> dict[str, Any]:
        status, answer = self.ask("GET", "/state")
        assert status == 200
        return answer

    def tap(self, version: str, **order: Any) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"version": version, "order": {"number": 1, **order}})
        return self.ask("POST", "/tap", body, Origin=f"http://{ADDRESS}:{self.server.server_port}")

    def say(self, **order: Any) -> tuple[int, dict[str, Any]]:
        return self.tap(self.look()["version"], **order)


@pytest.fixture
def session(tmp_path) -> Iterator[TrialSession]:
    with TrialSession(tmp_path / "session", PLAN, operator="op") as session:
        yield session


@pytest.fixture
def tablet(session) -> Iterator[Tablet]:
    with served(session) as tablet:
        yield tablet


@contextlib.contextmanager
def served(session: TrialSession, address: str = ADDRESS, token: str = "") -> Iterator[Tablet]:
    with Server(session, address, 0, token) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Tablet(server, token)
        server.shutdown()


def test_a_trial_is_scored_by_taps_into_an_ordinary_record(tablet, session):
    said = [tablet.say(kind="start"), tablet.say(kind="step", step=1), tablet.say(kind="step", step=2, points=[0.5])]
    said += [tablet.say(kind="retry"), tablet.say(kind="intervention"), tablet.say(kind="undo")]
    said += [tablet.say(kind="note", text=" slipped "), tablet.say(kind="failure", text="dropped")]
    assert [status for status, _ in said] == [200] * len(said)
    assert said[5][1]["said"] == "taken back: intervention"
    record = session.record(1)
    assert (record.outcome, record.progress, record.trial.reason) == (Outcome.FAILURE, 1.5, "dropped")
    assert (record.trial.retries, record.trial.interventions, record.trial.note) == (1, 0, "slipped")
    assert session.final()["ours"] == RunDirectory(session.run_folder("ours")).records().final()
    view = tablet.look()["view"]
    assert (view["number"], view["method"], view["records"][0]["outcome"]) == (2, "theirs", "failure")


def test_a_tap_that_comes_twice_is_recorded_once(tablet, session):
    tablet.say(kind="start")
    version = tablet.look()["version"]
    assert tablet.tap(version, kind="step", step=1)[0] == 200
    status, answer = tablet.tap(version, kind="step", step=2)
    assert (status, answer["view"]["steps"][1]["given"]) == (409, 0)
    assert "nothing was recorded" in answer["said"]
    assert session.state.points == (1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"version": "\xff"}',
        b'{"version": "\xed\xa0\x80", "order": {"kind": "start", "number": 1}}',
        b"\xff",
        b"[" * 60_000,
        b'{"order":' * 7_000,
        b'{"version": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_tap_of_any_bytes_is_answered(tablet, body, capfd):
    connection = http.client.HTTPConnection(ADDRESS, tablet.server.server_port, timeout=20)
    headers = {"Origin": f"http://{ADDRESS}:{tablet.server.server_port}"}
    connection.request("POST", "/tap", body=body, headers=headers)
    assert connection.getresponse().status == 400
    connection.close()
    assert tablet.look()["view"]["number"] == 1
    assert capfd.readouterr().err == ""


def test_of_two_tablets_at_once_one_is_heard(tablet, session):
    tablet.say(kind="start")
    version = tablet.look()["version"]
    with ThreadPoolExecutor(8) as pool:
        taps = [pool.submit(tablet.tap, version, kind="success") for _ in range(8)]
        statuses = sorted(tap.result()[0] for tap in taps)
    assert statuses == [200] + [409] * 7
    assert (session.done, session.number, session.started) == (1, 2, False)


def test_a_tap_on_the_page_of_a_server_that_is_gone_is_refused(session):
    with served(session) as before:
        version = before.look()["version"]
    with served(session) as after:
        assert after.tap(version, kind="start")[0] == 409
        assert not session.started


def test_what_the_rubric_refuses_is_said_and_the_trial_goes_on(tablet, session):
    for order, words in (
        ({"kind": "step", "step": 1}, "has not begun"),
        ({"kind": "success"}, "has not begun"),
        ({"kind": "void", "text": " "}, "say why the trial is void"),
        ({"kind": "start"}, "the clock runs"),
        ({"kind": "failure", "text": "bad luck"}, "unknown reason"),
        ({"kind": "step", "step": 9}, "no step 9"),
        ({"kind": "undo"}, "nothing to take back"),
        ({"kind": "intervention"}, "no success any more"),
        ({"kind": "success"}, "a hand helped"),
        ({"kind": "start", "number": 2}, "trial 2 is over"),
        ({"kind": "correct", "text": "why"}, "no record"),
    ):
        assert words in tablet.say(**order)[1]["said"]
    assert (session.done, session.started) == (0, True)


def test_a_record_is_corrected_with_who_and_why(tablet, session):
    tablet.say(kind="start")
    tablet.say(kind="success")
    correction = {"kind": "correct", "outcome": "failure", "reason": "misplaced", "points": [1, 1, 0.5, 0, 0]}
    assert "who made it and why" in tablet.say(**correction)[1]["said"]
    assert tablet.say(**correction, text="the film", who="")[1]["said"] == "trial 1: corrected"
    record = session.record(1)
    assert (record.outcome, record.progress, record.trial.reason) == (Outcome.FAILURE, 2.5, "misplaced")
    assert (record.correction.who, record.correction.why) == ("op", "the film")


def test_when_all_is_done_the_page_says_so_and_a_correction_to_void_brings_a_trial_back(tablet):
    for number in (1, 2, 3, 4):
        tablet.say(kind="start", number=number)
        tablet.say(kind="success", number=number)
    view = tablet.look()["view"]
    assert (view["number"], len(view["records"])) == (0, 4)
    assert "is over" in tablet.say(kind="start", number=4)[1]["said"]
    tablet.say(kind="correct", number=3, outcome="void", text="wrong policy")
    assert tablet.look()["view"]["number"] == 3


def test_a_blinded_session_tells_no_tablet_the_method(tmp_path):
    plan = msgspec.structs.replace(PLAN, order="blinded")
    with TrialSession(tmp_path, plan, operator="op") as session, served(session) as tablet:
        answers = [tablet.say(kind="start"), tablet.say(kind="success"), tablet.ask("GET", "/state")]
        assert answers[-1][1]["view"]["records"] != []
        assert not any(method in json.dumps(answers) for method in plan.methods)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Origin": "http://example.org"}, "another site's page"),
        ({"Origin": "null"}, "another site's page"),
        ({}, "another site's page"),
        ({"Origin": "http://example.org", "Host": "example.org"}, "another site's page"),
    ],
)
def test_no_other_sites_page_may_score(tablet, session, headers, words):
    body = json.dumps({"version": tablet.look()["version"], "order": {"kind": "start", "number": 1}})
    status, answer = tablet.ask("POST", "/tap", body, **headers)
    assert status == 403
    assert words in answer["said"]
    assert not session.started


def test_another_hosts_name_sees_nothing_and_least_of_all_the_token(session):
    with served(session, token=TOKEN) as tablet:
        for path in ("/", "/state", "//["):
            status, answer = tablet.ask("GET", path, Host="example.org")
            assert (status, answer["view"]) == (403, None)
            assert TOKEN not in json.dumps(answer)


def test_a_tap_is_a_post(tablet, session):
    assert tablet.ask("GET", "/tap")[0] == 404
    assert tablet.ask("GET", "/../../etc/passwd")[0] == 404
    assert tablet.ask("GET", "//[")[0] == 404
    assert not session.started


def test_who_has_not_the_token_sees_and_says_nothing(session):
    with served(session, token=TOKEN) as tablet:
        version = tablet.look()["version"]
        for token in ("", "x", TOKEN + "x", TOKEN[:-1]):
            other = Tablet(tablet.server, token)
            status, answer = other.ask("GET", "/state")
            assert (status, answer["view"], answer["version"]) == (403, None, "")
            assert other.tap(version, kind="start")[0] == 403
        assert not session.started
        assert tablet.server.url.endswith(f"/#{TOKEN}")
        assert tablet.tap(version, kind="start")[0] == 200


def test_elsewhere_than_on_this_machine_it_takes_a_token(session):
    with pytest.raises(BadInput, match="it needs --token, for example"):
        Server(session, EVERYWHERE, 0)
    with pytest.raises(BadInput, match="16 or more"):
        Server(session, EVERYWHERE, 0, "short")
    with pytest.raises(BadInput, match="no IPv4 address"):
        Server(session, "robot.local", 0, TOKEN)
    with pytest.raises(NotReady, match="cannot listen on"):
        Server(session, "192.0.2.1", 0, TOKEN)
    with served(session, EVERYWHERE, TOKEN) as tablet:
        assert tablet.look()["view"]["number"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 400),
        ('{"version": "", "order": {"kind": "start", "number": 0}}', 400),
        ('{"version": "", "order": {"kind": "explode", "number": 1}}', 400),
        ('{"version": "", "order": {"kind": "note", "number": 1, "text": "%s"}}' % ("x" * 1001), 400),
        ("x" * (LARGEST_TAP + 1), 413),
    ],
)
def test_what_is_no_tap_is_refused_in_words_and_the_server_goes_on(tablet, body, status):
    origin = f"http://{ADDRESS}:{tablet.server.server_port}"
    answered, answer = tablet.ask("POST", "/tap", body, Origin=origin)
    assert (answered, bool(answer["said"])) == (status, True)
    assert tablet.look()["view"]["number"] == 1


def test_a_page_that_knows_the_state_is_told_nothing_new(tablet):
    version = tablet.look()["version"]
    assert tablet.ask("GET", f"/state?after={version}") == (204, {})
    tablet.say(kind="start")
    assert tablet.ask("GET", f"/state?after={version}")[0] == 200


def test_a_full_disk_is_said_on_the_page_and_the_trial_goes_on(tablet, session):
    tablet.say(kind="start")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
    try:
        status, answer = tablet.say(kind="failure", text="dropped")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (status, session.done) == (500, 0)
    assert "the trial is not recorded" in answer["said"]
    assert tablet.say(kind="failure", text="dropped")[0] == 200
    assert session.done == 1
