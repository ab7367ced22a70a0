"""``run-suite``, as a user meets it: what it prints, what it refuses, and what a crash costs."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lingbot_eval.cli import lingbot_eval
from lingbot_eval.cli.run_suite import main
from lingbot_eval.hardware import hardware
from lingbot_eval.runs.directory import LIVE, RunDirectory
from lingbot_eval.runs.presence import Watch
from lingbot_eval.types import Outcome
from tests.processes import children, running, wait_for

SLOW = ["env.faults.0=slow", "env.faults.1=slow", "env.faults.2=slow"]
IMPATIENT = ["limits.start_seconds=60", "limits.command_seconds=1"]


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch) -> None:
    """What a killed process leaves behind lies where pytest tidies up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))


def toy(folder: Path, *more: str) -> list[str]:
    return ["toy", "--episodes", "3", "--out", str(folder / "run"), *more]


def process(arguments: list[str], **streams: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "lingbot_eval.cli.run_suite", *arguments], text=True, **streams)


def records(folder: Path):
    return RunDirectory(folder / "run").records()


def record_files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "run" / "records").iterdir()}


def refused(arguments: list[str], capsys) -> str:
    """The one line that ``arguments`` are answered with."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("run-suite: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert out == ""
    return err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "libero.*toy"),
        ("moon", r"unknown benchmark 'moon' \(valid: libero, robotwin, tabletop, toy\)"),
        ("libero --suite spatal", "unknown LIBERO suite 'spatal'; did you mean 'spatial'.*libero_goal"),
        ("libero --suite goal,nope", "unknown LIBERO suite 'nope'.*libero_goal"),
        ("toy --suite spatial", r"unknown Toy suite 'spatial' \(valid: toy\)"),
        ("toy suite.suites=[spatial]", "unknown.*'spatial'.*toy"),
        ("toy suite.name=moon", "moon.*toy"),
        ("libero suite.suites=[]", "suites"),
        ("libero suite.suites=[] --tasks 0", "suites"),
        ("toy --tasks fly", r"unknown task .*'fly'.*\(valid: reach, return\)"),
        ("toy --tasks 2", r"unknown task .*0\.\.1.*'2'.*\(valid: reach, return\)"),
        ("toy --tasks 0,-1", "unknown task.*'-1'"),
        ("toy --tasks ²", "unknown task.*'²'"),
        ("toy --agent robot", r"unknown agent 'robot'.*\(valid: .*random.*\)"),
        ("toy agent.name=robot", r"unknown agent 'robot'.*\(valid: .*random.*\)"),
        ("toy agent=robot", "robot.*random"),
        ("libero --protocol strickt", "did you mean 'strict'.*lerobot, lingbot-va, openpi, strict, vla-eval"),
        ("toy --protocol openpi", r"unknown protocol 'openpi' \(valid: toy\)"),
        ("toy --episodes 0", "episodes.*>= 1|>= 1.*episodes"),
        ("toy --episodes -3", "episodes.*>= 1|>= 1.*episodes"),
        ("toy --episodes many", "--episodes.*'many'"),
        ("toy --shard 3/3", "--shard 3/3 is not i/n with i in 0..n-1"),
        ("toy --shard one", "--shard one is not i/n"),
        ("toy --workers 0", "workers.*>= 1|>= 1.*workers"),
        ("toy --gpus 77", r"unknown GPU '77'|--gpus 77: no NVIDIA GPU is visible here"),
        ("toy cluster=slurm", r"unknown cluster 'slurm' \(valid: local, ray\)"),
        ("toy cluster.address=auto", r"unknown setting 'cluster\.address'.*cluster\.gpus"),
        ("toy cluster=ray --gpus 0", r"unknown setting 'cluster\.gpus'.*cluster\.gpus_per_worker"),
        ("toy limits.env_gigabytes=0", "env_gigabytes.*> 0|> 0.*env_gigabytes"),
        ("toy --seed -1", r"seed -1 .*0\.\.4294967295"),
        ("libero --protocol lingbot-va --seed -1", r"seed -1.*0\.\.4294967295"),
        ("libero --protocol openpi --episodes 51", "51 episodes per task.*50"),
        ("toy --video maybe", "maybe.*auto.*on.*off"),
        ("toy --video imagined", "expert imagines nothing.*auto, on, off.*lingbot-va"),
        ("toy video_every=0", "video_every.*>= 1|>= 1.*video_every"),
        ("toy env.pyhton=x", "unknown setting 'env.pyhton'; did you mean 'env.python'"),
        ("toy speed=9", "unknown setting 'speed'.*valid: .*workers"),
        ("toy limits.command_seconds=0", "command_seconds.*> 0|> 0.*command_seconds"),
        ("toy env.faults.0=explode", "explode.*raise.*die.*hang.*slow"),
        ("toy nonsense", "'nonsense' is neither a flag nor a setting"),
        ("toy --nonsense", "--nonsense.*--help"),
        ("toy --agent replay", "agent.path=RUN/actions"),
        ("toy --agent replay agent.path=/nowhere", "no recorded actions in /nowhere"),
        ("toy --agent expert agent.commands_per_action=4", "agent.commands_per_action=1"),
        ("toy env.python=/no/such/python", "/no/such/python"),
        ("toy env.python=/bin/false", "/bin/false"),
        ("toy env.python=/bin/true", "/bin/true"),
    ],
)
def test_bad_input_gets_one_line_that_names_the_valid_choices_and_leaves_no_trace(
    arguments, complaint, tmp_path, capsys
):
    message = refused([*arguments.split(), "--out", str(tmp_path / "run")], capsys)
    assert re.search(complaint, message), message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_with_what_to_do(tmp_path, capsys):
    (tmp_path / "run").write_text("a file")
    assert "choose another with --out DIR" in refused(toy(tmp_path), capsys)


def test_a_run_ends_with_a_table_and_says_nothing_else_where_there_is_no_terminal(tmp_path, capsys):
    assert main(toy(tmp_path, "--workers", "2")) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert "\r" not in out
    assert [line.split()[:2] for line in out.splitlines() if "│" in line and "Task" not in line] == [
        ["reach", "│"],
        ["return", "│"],
        ["toy,", "all"],
    ]
    assert out.count("3/3") == 2
    assert "6/6" in out
    assert "NOT FINAL" not in out
    assert "6/6" in (tmp_path / "run" / "report" / "table.md").read_text()


def test_what_a_terminal_shows_while_episodes_are_played(tmp_path):
    ours, theirs = pty.openpty()
    with process(toy(tmp_path), stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as run:
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
    os.close(ours)
    assert run.returncode == 0
    assert b"6/6" in shown
    assert b"6 of 6 episodes" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # what Linux answers when the other end of a terminal is closed
        return b""


def test_progress_goes_to_the_tracker_that_is_asked_for(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[tensorboard]'")
    assert main(toy(tmp_path, "tracker=tensorboard")) == 0
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
    assert not (tmp_path / "run" / "wandb").exists()


def test_the_same_command_again_plays_nothing_and_shows_the_same_table(tmp_path, capsys):
    assert main(toy(tmp_path)) == 0
    first, before = capsys.readouterr().out, record_files(tmp_path)
    assert main(toy(tmp_path)) == 0
    again = capsys.readouterr().out
    assert "6 to play" in first
    assert "0 to play" in again
    assert again.partition("Task")[2] == first.partition("Task")[2]
    assert record_files(tmp_path) == before
    assert len(RunDirectory(tmp_path / "run").coordinators()) == 1


def test_a_permanent_fault_ends_with_status_1_and_names_the_episode_and_reason(tmp_path, capsys):
    assert main(toy(tmp_path, "--tasks", "reach", "env.faults.1=raise", *IMPATIENT)) == 1
    out, err = capsys.readouterr()
    assert err.count("ERROR toy/reach/-/1/-") == 2
    assert "trying once more" in err
    assert "given up for this run" in err
    assert "the toy was told to raise" in " ".join(err.split())
    assert "2/2 of 3" in out
    assert "NOT FINAL: 1 episodes ended in ERROR" in " ".join(out.split())
    assert main(toy(tmp_path, "--tasks", "reach")) == 0
    assert "3/3" in capsys.readouterr().out


def test_a_run_that_is_killed_goes_on_and_counts_each_episode_once(tmp_path, capsys):
    with process(toy(tmp_path, "--workers", "2", *SLOW), stdout=subprocess.DEVNULL) as run:
        wait_for(lambda: run.poll() is not None or records(tmp_path).all)
        assert run.returncode is None
        everybody = [*children(run.pid), *_simulators(run.pid)]
        run.send_signal(signal.SIGKILL)
    wait_for(lambda: not any(running(pid) for pid in everybody))
    before, kept = records(tmp_path), record_files(tmp_path)
    assert 1 <= len(before.done()) < 6
    assert main(toy(tmp_path, *SLOW)) == 0
    assert f"{6 - len(before.done())} to play" in capsys.readouterr().out
    after = records(tmp_path)
    assert len(after.done()) == 6
    assert Counter(r.episode.id for r in after.all) == Counter(list(after.done()))
    assert all(record_files(tmp_path)[name] == content for name, content in kept.items())


def _simulators(run: int) -> list[int]:
    return [simulator for worker in children(run) for simulator in children(worker)]


FINISHING = "run-suite: finishing the episodes that are being played; Ctrl-C again stops them\n"
INTERRUPTED = "run-suite: interrupted; the same command goes on where this one stopped\n"


@pytest.mark.parametrize(("fault", "times"), [("slow", 1), ("hang", 2)])
def test_ctrl_c_once_finishes_what_is_being_played_and_twice_stops_it(fault, times, tmp_path):
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script does to what it starts with &
    try:
        run = process(toy(tmp_path, f"env.faults.0={fault}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, ignored)
    with run:
        wait_for(lambda: run.poll() is not None or _simulators(run.pid))
        assert run.returncode is None
        everybody = [*children(run.pid), *_simulators(run.pid)]
        run.send_signal(signal.SIGINT)
        assert run.stderr.readline() == FINISHING
        if times == 2:
            run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=20)
    assert run.returncode == 130
    assert err == INTERRUPTED
    wait_for(lambda: not any(running(pid) for pid in everybody))
    assert [record.outcome for record in records(tmp_path).all] == [Outcome.SUCCESS] * (times == 1)
    assert [*(tmp_path / "run" / "claims").iterdir(), *(tmp_path / "run" / "tmp").iterdir()] == []


def test_two_runs_in_one_directory_at_once_play_each_episode_once_and_both_end_with_the_whole_table(tmp_path):
    both = [process(toy(tmp_path, *SLOW), stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    said = [run.communicate(timeout=90) for run in both]
    assert [run.returncode for run in both] == [0, 0], said
    assert all("6/6" in out for out, _ in said)
    known = records(tmp_path)
    assert Counter(r.episode.id for r in known.all) == Counter(list(known.done()))
    assert len(known.done()) == 6
    assert len({file.partition("-0.")[0] for file in record_files(tmp_path)}) == 2  # both played
    assert list((tmp_path / "run" / "claims").iterdir()) == []


def test_when_one_of_two_runs_is_killed_the_other_plays_its_episodes(tmp_path):
    long = toy(tmp_path, "--episodes", "8", *(f"env.faults.{seed}=slow" for seed in range(8)))
    with (
        process(long, stdout=subprocess.DEVNULL) as doomed,
        process(long, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as other,
    ):
        wait_for(lambda: other.poll() is not None or (_simulators(doomed.pid) and _simulators(other.pid)))
        assert other.returncode is None
        doomed.send_signal(signal.SIGKILL)
        out, err = other.communicate(timeout=90)
    assert other.returncode == 0, err
    assert "16/16" in out
    known = records(tmp_path)
    assert Counter(r.episode.id for r in known.all) == Counter(list(known.done()))
    assert max(record.attempt for record in known.all) == 2  # the first is the dead one's
    left = [json.loads(file.read_text()) for file in (tmp_path / "run" / "claims").iterdir()]
    assert {claim["session"].split("-")[-2] for claim in left} == {str(doomed.pid)}
    assert list((tmp_path / "run" / "tmp").iterdir()) == []


def test_whoever_looks_at_a_run_that_is_played_writes_nothing_but_its_report(tmp_path, capsys):
    hang = [*(f"env.faults.{seed}=hang" for seed in range(3)), "limits.command_seconds=600"]
    with process(toy(tmp_path, *hang), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        wait_for(lambda: run.poll() is not None or list((tmp_path / "run").glob("claims/[!.]*")))
        before = _standing(tmp_path / "run")
        assert main([*toy(tmp_path, *hang), "--dry-run"]) == 0
        assert "6 to play" in capsys.readouterr().out
        assert lingbot_eval.main(["report", str(tmp_path / "run")]) == 0
        assert lingbot_eval.main(["diff", str(tmp_path / "run"), str(tmp_path / "run")]) == 0
        assert _standing(tmp_path / "run") == before
        assert run.poll() is None
        run.kill()


def _standing(run: Path) -> dict[Path, bytes]:
    """The files of a run directory that are not its report, its logs, or what its player says every few seconds."""
    names = ("run.json", "plan/*", "records/*", "claims/*", "sessions/*")
    return {
        file: file.read_bytes()
        for name in names
        for file in run.glob(name)
        if not file.name.startswith(".") and not file.name.endswith(LIVE)
    }


def test_the_slices_of_a_plan_and_its_tasks_add_up_in_one_directory(tmp_path, capsys):
    commands = [["--shard", "1/2"], ["--tasks", "return"], ["--shard", "0/2", "--tasks", "reach"], []]
    left = []
    for command in commands:
        assert main(toy(tmp_path, *command)) == 0
        left.append(re.findall(r"(\d+) episodes planned, (\d+) to play", capsys.readouterr().out))
    assert left == [[("6", "3")], [("6", "1")], [("6", "2")], [("6", "0")]]
    assert len(records(tmp_path).all) == 6


def test_tasks_are_added_to_a_run_that_was_begun_with_others(tmp_path, capsys):
    assert main(toy(tmp_path, "--tasks", "reach")) == 0
    assert "3 episodes planned, 3 to play" in capsys.readouterr().out
    assert main(toy(tmp_path, "--tasks", "return")) == 0
    out = capsys.readouterr().out
    assert "6 episodes planned, 3 to play" in out
    assert "6/6" in out


def test_a_strange_file_in_the_run_directory_is_named_and_does_no_harm(tmp_path, capsys):
    main(toy(tmp_path))
    strange = tmp_path / "run" / "records" / "notes.txt"
    strange.write_text("?")
    capsys.readouterr()
    assert main(toy(tmp_path)) == 0
    assert capsys.readouterr().err.count(f"{strange} is no file of a run directory; it counts nowhere") == 1


def test_a_full_disk_stops_the_run_in_one_line_and_nothing_is_lost_or_torn(tmp_path, capsys):
    with process(toy(tmp_path, *SLOW), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        wait_for(lambda: run.poll() is not None or records(tmp_path).all)
        assert run.returncode is None
        for pid in (run.pid, *children(run.pid)):
            limit = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limit))  # every write fails
        _, err = run.communicate(timeout=60)
    assert run.returncode == 2
    assert err.splitlines()[-1].startswith("run-suite: cannot go on in ")
    assert "File too large" in err
    assert "Traceback" not in err
    before = records(tmp_path)
    assert before.torn == []
    assert main(toy(tmp_path)) == 0
    assert f"{6 - len(before.done())} to play" in capsys.readouterr().out


def test_a_torn_record_is_reported_and_its_episode_played_again(tmp_path, capsys):
    main(toy(tmp_path))
    (file,) = (tmp_path / "run" / "records").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    capsys.readouterr()
    assert main(toy(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert "1 to play" in out
    assert f"{file}: the last line" in err
    assert "6/6" in out


def test_a_damaged_record_is_refused_with_file_and_line(tmp_path, capsys):
    main(toy(tmp_path))
    (file,) = (tmp_path / "run" / "records").iterdir()
    file.write_bytes(b"{\n" + file.read_bytes())
    capsys.readouterr()
    assert f"{file}:1: " in refused(toy(tmp_path), capsys)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (["--episodes", "2"], "suite.episodes: there 3, here 2"),
        (["--seed", "4"], "suite.seed: there 0, here 4"),
        (["protocol.command_limit=50"], "command_limit: there 60, here 50"),
        (["--agent", "idle"], "agent.name: there 'expert', here 'idle'"),
        (["--regime", "two tasks"], "regime: there 'unstated', here 'two tasks'"),
    ],
)
def test_another_experiment_in_the_same_folder_is_refused_with_what_differs(change, difference, finished, capsys):
    before = record_files(finished)
    message = refused(toy(finished, *change), capsys)
    assert difference in message
    assert "Use another --out DIR" in message
    assert record_files(finished) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(toy(folder)) == 0
    return folder


def test_workers_and_videos_do_not_make_another_experiment(finished, capsys):
    assert main(toy(finished, "--workers", "2", "--video", "on", "limits.episode_seconds=9", "env.faults.1=die")) == 0
    assert "0 to play" in capsys.readouterr().out


def test_a_dry_run_shows_the_plan_and_plays_nothing(tmp_path, capsys):
    assert main(toy(tmp_path, "--dry-run")) == 0
    out, err = capsys.readouterr()
    assert "6 episodes of 2 tasks" in out
    assert "toy/reach/-/0/-: 'go to the mark'" in out
    lines = out.splitlines()
    assert {"protocol.name: toy", "agent.name: expert"} <= {*lines}
    assert "workers: as many as fit; sessions of each: 1" in lines
    assert "{" not in out
    assert err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_run_that_was_begun_shows_what_is_missing(tmp_path, capsys):
    main(toy(tmp_path))
    (file,) = (tmp_path / "run" / "records").iterdir()
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:4]))
    before = record_files(tmp_path)
    capsys.readouterr()
    assert main(toy(tmp_path, "--dry-run")) == 0
    assert "2 to play" in capsys.readouterr().out
    assert record_files(tmp_path) == before


def test_a_dry_run_of_another_experiment_in_the_same_directory_is_refused_like_the_real_one(tmp_path, capsys):
    main(toy(tmp_path))
    assert main(toy(tmp_path, "--dry-run", "--agent", "idle")) == 2
    assert "agent.name: there 'expert', here 'idle'" in capsys.readouterr().err


def test_a_video_that_cannot_be_written_costs_no_result(tmp_path):
    (tmp_path / "run" / "videos").mkdir(parents=True)
    (tmp_path / "run" / "videos" / "reach").write_text("a file where a folder should be")
    assert main(toy(tmp_path, "--video", "on")) == 0
    assert [r.outcome for r in records(tmp_path).all] == [Outcome.SUCCESS] * 6


def test_without_out_the_same_command_finds_its_own_folder_and_another_one_another(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    one, other = ["toy", "--tasks", "0", "--episodes", "1"], ["toy", "--tasks", "0", "--episodes", "1", "--seed", "5"]
    assert [main(one), main(one), main(other)] == [0, 0, 0]
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("toy-expert-toy-") for folder in folders)
    assert capsys.readouterr().out.count("0 to play") == 1


def test_a_run_remembers_its_command_its_settings_and_how_long_it_took(finished):
    run = RunDirectory(finished / "run")
    session = Watch(run).coordinator(*run.coordinators())
    assert session.command == f"run-suite toy --episodes 3 --out {finished / 'run'}"
    assert session.settings["workers"] == 1
    assert session.versions.keys() >= {"lingbot_eval", "python", "numpy"}
    assert 0 < session.seconds < 60
    provenance = {json.dumps(r.provenance.versions, sort_keys=True) for r in records(finished).all if r.provenance}
    here = session.versions | hardware()  # which the worker adds
    assert provenance == {json.dumps(here, sort_keys=True)}


def test_an_idle_agent_fails_everything_and_that_is_no_error(tmp_path, capsys):
    assert main(toy(tmp_path, "--agent", "idle", "--video", "off")) == 0
    assert {record.outcome for record in records(tmp_path).all} == {Outcome.FAILURE}
    assert "0/6" in capsys.readouterr().out


def test_help_names_every_flag_and_benchmark(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    for flag in ("libero", "toy", "--suite", "--tasks", "--episodes", "--agent", "--protocol", "--workers", "--out"):
        assert flag in out
