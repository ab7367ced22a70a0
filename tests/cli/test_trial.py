"""``lingbot-eval trial`` in a terminal of its own: keys in, records out."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialSession
from lingbot_eval.trials.server import EVERYWHERE
from lingbot_eval.types import EpisodeRecord, Outcome

PLAN = ["--rubric", "pick_screws", "--method", "ours,theirs", "--trials", "2", "--seed", "3", "--operator", "op"]


class Terminal:
    """A process at a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self._end, other = pty.openpty()
        command = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "trial", *arguments]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        self.process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=environment)
        os.close(other)

    def see(self, words: str, seconds: float = 20.0) -> str:
        """Read until ``words`` are there."""
        text, until = "", time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self._end], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # the other end is closed
                    text += os.read(self._end, 65536).decode(errors="replace")
                plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
                if words in plain:
                    return plain
        raise AssertionError(f"no {words!r} in {text[-1500:]!r}")

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._end)


@contextlib.contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    opened = Terminal(*arguments)
    try:
        yield opened
    finally:
        opened.close()


def recorded(session: Path, method: str) -> list[EpisodeRecord]:
    return RunDirectory(session / method).records().all


def test_a_session_by_keys_survives_a_kill_and_ends_with_the_table(tmp_path, capsys):
    session = tmp_path / "session"
    with terminal(str(session), *PLAN) as first:
        first.see("Trial 1 of 4")
        for key, answer in (
            ("\n", "the clock runs"),
            (" ", "step 1: 1"),
            ("h", "step 2: 0.5"),
            ("5", "step 5: 1"),
            ("u", "taken back"),
            ("x", "no such key: 'x'"),
            ("r", "retry"),
        ):
            first.press(key)
            first.see(answer)
        first.press("f")
        first.see("reason (number)")
        first.press("4\n")
        first.see("trial 1: failure, dropped")
        (record,) = recorded(session, "ours")
        assert (record.outcome, record.progress, record.trial.points) == (Outcome.FAILURE, 1.5, (1, 0.5, 0, 0, 0))
        assert (record.trial.reason, record.trial.retries, record.trial.operator) == ("dropped", 1, "op")
        first.press("3")
        first.see("step 3: 1")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    with terminal(str(session)) as second:
        second.see("Trial 2 of 4")
        second.press("i")
        second.see("no success any more")
        second.press("s")
        second.see("a hand helped")
        second.press("v")
        second.see("void, why")
        second.press("cable\n")
        second.see("void, and comes again")
        for number in (2, 3, 4):
            second.see(f"Trial {number} of 4")
            second.press("s")
            second.see("has not begun")
            second.press("\ns")
        second.see("All 4 trials are done")
        second.press("s")
        second.see("no such key")
        second.press("q")
        second.see("lingbot-eval report")
        assert second.process.wait(30) == 0
    void, success, _ = recorded(session, "theirs")
    assert (void.outcome, void.error, void.progress) == (Outcome.ERROR, "cable", 1)
    assert (success.attempt, success.progress) == (2, 5)
    assert main(["trial", str(session), "--table"]) == 0
    row = "pick_screws 65.0 15–95 50.0 9–91 2 100.0 34–100 100.0 34–100 2"
    assert row in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert main(["report", str(session / "theirs")]) == 0


def test_a_correction_by_keys(tmp_path):
    session = tmp_path / "session"
    with terminal(str(session), *PLAN) as screen:
        screen.see("Trial 1 of 4")
        screen.press("\ns")
        screen.see("Trial 2 of 4")
        screen.press("c")
        for question, answer in (
            ("correct which trial", "1"),
            ("outcome:", "failure"),
            ("points by step", "1 1 1 1 0"),
            ("reason (number)", "5"),
            ("why", "a screw lay beside"),
            ("who", ""),
        ):
            screen.see(question)
            screen.press(f"{answer}\n")
        screen.see("trial 1: corrected")
        screen.press("q")
        screen.see("1 of 4 trials done")
        assert screen.process.wait(30) == 0
    first, corrected = recorded(session, "ours")
    assert (first.outcome, corrected.outcome, corrected.progress) == (Outcome.SUCCESS, Outcome.FAILURE, 4)
    assert (corrected.correction.who, corrected.correction.why) == ("op", "a screw lay beside")


def test_a_blinded_session_never_shows_the_method(tmp_path):
    session = tmp_path / "session"
    with terminal(str(session), *PLAN, "--order", "blinded") as screen:
        shown = screen.see("q quit")
        screen.press("\ns")
        shown += screen.see("trial 1: success")
        assert main(["trial", str(session), "--table"]) == 0  # from outside, while the terminal is open
        screen.press("q")
        shown += screen.see("1 of 4 trials done")
    assert "method hidden" in shown
    assert "ours" not in shown
    assert "theirs" not in shown


def test_without_a_terminal_it_says_what_else_there_is(tmp_path, capsys):
    session = tmp_path / "session"
    assert main(["trial", str(session), *PLAN]) == 2
    assert "--web, --import FILE, or TrialSession" in capsys.readouterr().err
    assert main(["trial", str(session), "--next"]) == 0
    assert capsys.readouterr().out == "ours\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rubric", "fold_pant", "--method", "a"], "did you mean 'fold_pants'"),
        (["--rubric", "fold_pants"], "plan one with --rubric and --method"),
        ([], "holds no trial session"),
        (["--rubric", "fold_pants", "--method", "a", "--next"], "holds no trial session yet"),
        (["--rubric", "fold_pants", "--method", "a", "--order", "random"], "alternating, blinded"),
        (["--rubric", "fold_pants", "--method", "a", "--trials", "0"], "trials"),
        (["--rubric", "gm100_replace_paper_roll", "--method", "a"], "platform of gm100_replace_paper_roll"),
        ([*PLAN, "--web", "--bind", EVERYWHERE], "it needs --token, for example"),
        ([*PLAN, "--web", "--bind", EVERYWHERE, "--token", "short"], "16 or more"),
        ([*PLAN, "--bind", EVERYWHERE], "go with --web"),
        ([*PLAN, "--web", "--port", "99999"], "choose with --bind and --port"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, words):
    assert main(["trial", str(tmp_path / "session"), *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_import_and_another_plan(tmp_path, capsys):
    session, file = tmp_path / "session", tmp_path / "trials.csv"
    file.write_text("task,method,setup,outcome,points,seconds\npick_screws,ours,1,success,,30\n")
    assert main(["trial", str(session), *PLAN, "--import", str(file)]) == 0
    assert capsys.readouterr().out.startswith("1 trials imported")
    assert TrialSession(session).next_method() == "theirs"
    assert main(["trial", str(session), "--trials", "5", "--next"]) == 2
    assert "trials: there 2, here 5" in capsys.readouterr().err
