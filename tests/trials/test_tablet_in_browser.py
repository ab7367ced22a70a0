"""The page beside the robot in a real browser: what it shows, what taps do, and what a dead server leaves."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialSession, load_rubric
from lingbot_eval.trials.rubric import Step
from lingbot_eval.types import Outcome
from tests.browser import MISSING, Browser, program
from tests.trials.test_server import PLAN, TOKEN, served

pytestmark = pytest.mark.skipif(program() is None, reason=MISSING)

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(window):
    window.resize(800, 1100)
    yield window
    window.open("about:blank")  # stops asking


def there(browser: Browser, selector: str) -> None:
    browser.wait(f"document.querySelector('{selector}') !== null")


def said(browser: Browser, words: str) -> None:
    browser.wait(f"document.getElementById('said').innerText.includes('{words}')")


def test_a_trial_by_taps_on_a_phone_ends_as_a_record(browser, tmp_path):
    browser.resize(360, 740)
    with TrialSession(tmp_path, PLAN, operator="op") as session, served(session) as other:
        browser.open(other.server.url)
        there(browser, "#start")
        browser.click("#start")
        there(browser, "#step-1")
        browser.click("#step-1")
        said(browser, "step 1: 1")
        browser.click("#half-2")
        said(browser, "step 2: 0.5")
        assert browser.texts("#points") == ["1.5 of 5 points"]
        assert browser.look("document.documentElement.scrollWidth") <= 360
        browser.click("#failure")
        browser.click("#reason-3")
        said(browser, "trial 1: failure, dropped")
        record = session.record(1)
        assert (record.outcome, record.progress) == (Outcome.FAILURE, 1.5)
        assert browser.texts("#where") == ["Trial 2 of 4 · set-up 1 · method theirs"]
        browser.open(other.server.url)
        browser.wait("document.querySelector('#before summary').innerText.startsWith('1 recorded')")
        browser.click("#before summary")
        browser.click("#record-1")
        browser.look("document.getElementById('why').value = 'the film'")
        browser.click("#yes")
        said(browser, "trial 1: corrected")
        assert session.record(1).correction.why == "the film"
        assert browser.complaints == []


def test_a_question_that_was_open_when_the_trial_ended_elsewhere_records_nothing(browser, tmp_path):
    with TrialSession(tmp_path, PLAN) as session, served(session) as other:
        other.say(kind="start")
        browser.open(other.server.url)
        there(browser, "#failure")
        browser.click("#failure")
        other.say(kind="success")
        other.say(kind="start", number=2)
        browser.wait("document.getElementById('where').innerText.startsWith('Trial 2')")
        browser.click("#reason-0")
        said(browser, "nothing was recorded")
        assert (session.done, session.started) == (1, True)


def test_what_a_rubric_says_is_shown_and_never_run(browser, tmp_path):
    rubric = msgspec.structs.replace(
        load_rubric("pick_screws"), title=HOSTILE, instruction=HOSTILE, steps=(Step(HOSTILE, 1.0),)
    )
    plan = msgspec.structs.replace(PLAN, rubrics=(rubric,), methods=(HOSTILE,))
    with TrialSession(tmp_path, plan) as session, served(session) as other:
        other.say(kind="start")
        other.say(kind="note", text=HOSTILE)
        browser.open(other.server.url)
        there(browser, "#note")
        browser.click("#note")
        assert browser.texts("h1") == [HOSTILE]
        assert browser.texts("dialog label")[0].startswith(HOSTILE)
        assert browser.look("document.title") == "Trials"
        assert browser.look("document.images.length") == 0


def test_without_the_token_it_says_what_to_open(browser, tmp_path):
    with TrialSession(tmp_path, PLAN) as session, served(session, token=TOKEN) as other:
        browser.open(other.server.url.partition("#")[0])
        browser.wait("document.getElementById('lost').innerText.includes('open the whole address')")
        assert browser.texts("#trial") == [""]
        browser.open(other.server.url)
        there(browser, "#start")


@contextlib.contextmanager
def process(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """``lingbot-eval trial --web``, killed with no warning at the end."""
    command = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "trial", str(folder), "--web"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            assert re.match(rf"http://127.0.0.1:{port}/ ", started.stdout.readline())
            yield started
        finally:
            started.kill()


def test_a_killed_server_loses_nothing_and_the_open_page_goes_on(browser, tmp_path):
    with TrialSession(tmp_path, PLAN, operator="op"):
        pass
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with process(tmp_path, port):
        browser.open(f"http://127.0.0.1:{port}/")
        there(browser, "#start")
        browser.click("#start")
        there(browser, "#step-3")
        browser.click("#step-3")
        said(browser, "step 3: 1")
    browser.wait("document.getElementById('lost').innerText.startsWith('No answer')")
    browser.click("#step-4")
    assert browser.look("document.getElementById('trial').inert")
    with process(tmp_path, port):
        browser.wait("document.getElementById('lost').hidden")
        browser.click("#step-1")
        said(browser, "step 1: 1")
        browser.click("#success")
        browser.click("#yes")
        said(browser, "trial 1: success")
    (record,) = RunDirectory(tmp_path / "ours").records().all
    assert record.outcome is Outcome.SUCCESS
    assert [line for line in (tmp_path / "journal.jsonl").read_text().splitlines() if '"step":4' in line] == []
