"""``lingbot-eval verify``, as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.files import with_checksum


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("verify") / "run"
    assert run_suite(["toy", "--agent", "random", "--episodes", "2", "--out", str(folder), "actions=true"]) == 0
    return folder


@pytest.fixture
def run(played, tmp_path) -> Path:
    return Path(shutil.copytree(played, tmp_path / "run"))


def said(run: Path, *more: str, capsys) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["verify", str(run), *more])
    return status, capsys.readouterr().out.splitlines()


def refused(run: Path, *more: str, capsys) -> str:
    assert main(["verify", str(run), *more]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


def rewrite(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_bytes(with_checksum(content))


def change_records(run: Path, **values: object) -> None:
    for file in (run / "records").glob("*.jsonl"):
        lines = [{**json.loads(line), **values} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def session(run: Path) -> Path:
    return next(file for file in (run / "sessions").iterdir() if not file.name.endswith(".live.json"))


def test_recorded_episodes_come_out_the_same_bit_for_bit_and_the_run_is_left_alone(run, capsys):
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    status, lines = said(run, capsys=capsys)
    assert status == 0
    assert [line.split()[:2] for line in lines[:-1]] == [
        ["same", "toy/reach/-/0/-:"],
        ["same", "toy/reach/-/1/-:"],
        ["same", "toy/return/-/0/-:"],
    ]
    assert all("actions equal bit for bit" in line for line in lines[:-1])
    assert lines[-1] == "3 of 3 episodes came out as recorded."
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


def test_an_outcome_that_was_changed_is_found(run, capsys):
    change_records(run, outcome="success", commands=3)
    status, lines = said(run, "--episodes", "1", capsys=capsys)
    assert status == 1
    words = "success after 3 commands; outcome success, now failure; commands 3, now 60; "
    assert lines[0].startswith(f"DIFFERS toy/reach/-/0/-: {words}")


def test_a_command_that_was_changed_is_found_with_its_number(run, capsys):
    file = run / "actions" / "reach" / "0.npz"
    with np.load(file) as kept:
        content = dict(kept)
    content["actions"][4] += 0.01
    np.savez(file, **content)
    status, lines = said(run, "--episodes", "1", capsys=capsys)
    assert status == 1
    assert "actions part at number 5 of 60, by 0.01" in lines[0]


def test_commands_that_cannot_be_read_are_named_on_one_line(run, capsys):
    file = run / "actions" / "reach" / "0.npz"
    file.write_bytes(file.read_bytes()[:60])
    assert "0.npz cannot be read" in refused(run, "--episodes", "1", capsys=capsys)


def test_a_run_that_kept_no_commands_is_compared_by_its_outcomes(run, capsys):
    shutil.rmtree(run / "actions")
    status, lines = said(run, "--episodes", "1", capsys=capsys)
    assert status == 0
    assert "its commands were not kept" in lines[0]


def test_another_experiment_is_refused_with_what_differs_unless_asked_for(run, capsys):
    rewrite(run / "run.json", lambda content: content["experiment"].update(regime="all of it"))
    assert "regime: A all of it, B unstated" in refused(run, "--episodes", "1", capsys=capsys)
    status, lines = said(run, "--episodes", "1", "--anyway", capsys=capsys)
    assert status == 0
    assert lines[0].startswith("not the same here (B): regime")


def test_forwards_that_met_by_chance_are_refused(run, capsys):
    def batched(content):
        content["settings"]["agent"] |= {"sessions": 4, "lingbot": {"exact": False}}

    rewrite(session(run), batched)
    assert "agent.sessions=4" in refused(run, capsys=capsys)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--episodes", "0"], "--episodes is 1 or more"),
        (["env.python=["], "env.python: '[' is no value"),
        (["env.pyhton=x"], "'env.pyhton=x' is no setting of this run"),
        (["env.python=/no/such/python"], "/no/such/python cannot be started"),
    ],
)
def test_bad_input_gets_one_line(run, arguments, complaint, capsys):
    assert complaint in refused(run, *arguments, capsys=capsys)


@pytest.mark.parametrize("gone", ["workers", "agent.sessions", "agent.looks"])
def test_settings_of_another_version_are_refused_with_its_revision(run, gone, capsys):
    *group, name = gone.split(".")
    rewrite(session(run), lambda content: (content["settings"][group[0]] if group else content["settings"]).pop(name))
    assert "another version of lingbot_eval (git " in refused(run, capsys=capsys)


def test_an_unfinished_run_has_nothing_to_verify(run, capsys):
    shutil.rmtree(run / "records")
    (run / "records").mkdir()
    assert "no finished episode" in refused(run, capsys=capsys)


@pytest.mark.parametrize("values", [{"settings": {}}, {"settings": {"agent": 3}}, {"settings": {}, "versions": None}])
def test_settings_that_are_none_are_said_to_be(run, values, capsys):
    """Without a checksum, as version 0.1.0 wrote its sessions: nobody else can tell that it was changed."""
    content = {**json.loads(session(run).read_text()), **values}
    kept = {name: value for name, value in content.items() if name != "checksum" and value is not None}
    session(run).write_text(json.dumps(kept))
    words = "agent: Expected" if "agent" in values["settings"] else "missing required field"
    assert main(["verify", str(run), "--episodes", "1"]) == 2
    unsigned, refusal = capsys.readouterr().err.splitlines()
    assert "no checksums in 1 of sessions/" in unsigned
    assert words in refusal
