"""Runs of agents of the user's own: what goes wrong with one is an ERROR of its episode alone."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingbot_eval.agents import kind_named
from lingbot_eval.agents.own_kind import OwnKind
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.errors import BadInput
from lingbot_eval.reports.differences import moves_a_score
from lingbot_eval.runs.compose import Choices, choose
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import settings_of
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.types import seed_of
from tests.agents.test_own import FORWARD, policy
from tests.conftest import IMPATIENT, toy, toy_run
from tests.processes import children
from tests.runs.test_coordinator import FEW, carry_on, outcomes

SECOND = seed_of("toy/reach/-/1/-")


def own(entry: str, python: str | None, sessions: int = 1) -> OwnAgentSettings:
    return OwnAgentSettings(False, 1, sessions, entry, {}, (), python)


def trouble(folder: Path, what: str) -> str:
    """A policy that has it in the second episode."""
    return policy(folder, imports="import os, time", acts=f"{FORWARD} if self.seed != {SECOND} else ({what})")


@pytest.mark.parametrize(
    ("what", "python", "words"),
    [
        ("1 / 0", None, r"Traceback"),
        ("1 / 0", sys.executable, "'act' raised in the agent's process:"),
        ("os.kill(os.getpid(), 9)", sys.executable, "the agent's process was ended by SIGKILL during 'act'"),
        ("time.sleep(60)", sys.executable, "the agent gave no answer to 'act' within 1 s and was killed"),
        ("[1.0]", sys.executable, r"Traceback"),
    ],
    ids=["raises here", "raises", "dies", "hangs", "nonsense"],
)
def test_what_goes_wrong_with_an_agent_is_an_error_of_its_episode_alone(tmp_path, what, python, words):
    limits = msgspec.structs.replace(IMPATIENT, agent_seconds=1.0)
    suite = msgspec.structs.replace(FEW, episodes=3)
    settings = toy_run(agent=own(trouble(tmp_path, what), python), limits=limits, suite=suite)
    final, _ = carry_on(tmp_path / "run", settings)
    assert outcomes(final) == {"reach/0": "success", "reach/1": "error", "reach/2": "success"}
    error = final["toy/reach/-/1/-"].error
    assert error.startswith(words)
    assert ("\n" in error) == ("'act' raised" in error or "Traceback" in error)
    assert children(os.getpid()) == []
    assert list((tmp_path / "run" / "tmp").rglob("lingbot_eval-*")) == []


def test_each_lane_of_a_worker_has_an_agent_of_its_own(tmp_path):
    entry = policy(tmp_path, acts=f"(os.write(1, b'agent %d, ' % os.getpid()), {FORWARD})[1]", imports="import os")
    final, _ = carry_on(tmp_path / "run", toy_run(agent=own(entry, sys.executable, sessions=2), limits=IMPATIENT))
    assert {record.outcome.value for record in final.values()} <= {"success", "failure"}
    assert len(final) == 6
    logs = "".join(file.read_text() for file in (tmp_path / "run" / "logs").iterdir())
    assert len(set(re.findall(r"agent \d+, ", logs))) == 2


@pytest.mark.parametrize("python", [None, sys.executable])
def test_an_object_that_is_made_again_takes_none_of_the_time_to_play(tmp_path, python):
    made = "def __new__(cls, **given): time.sleep(4); return object.__new__(cls)"
    acts = f"{FORWARD} if self.seed != {SECOND} else 1 / 0"
    entry = policy(tmp_path, imports="import time", acts=acts, declares=made)
    limits = msgspec.structs.replace(IMPATIENT, episode_seconds=3.0, reset_seconds=3.0)
    suite = msgspec.structs.replace(FEW, episodes=3)
    final, _ = carry_on(tmp_path / "run", toy_run(agent=own(entry, python), limits=limits, suite=suite))
    assert outcomes(final) == {"reach/0": "success", "reach/1": "error", "reach/2": "success"}
    assert final["toy/reach/-/2/-"].seconds < 4.0


def test_an_object_that_is_made_has_its_own_time_before_its_worker_counts_as_hung(tmp_path, monkeypatch):
    monkeypatch.setattr("lingbot_eval.runs.pool.GRACE_SECONDS", 0.0)
    made = "def __new__(cls, **given): time.sleep(9); return object.__new__(cls)"
    entry = policy(tmp_path, imports="import time", declares=made)
    limits = msgspec.structs.replace(IMPATIENT, start_seconds=4.0, reset_seconds=2.0, episode_seconds=2.0)
    suite = msgspec.structs.replace(FEW, episodes=1)
    final, _ = carry_on(tmp_path / "run", toy_run(agent=own(entry, None), limits=limits, suite=suite))
    assert outcomes(final) == {"reach/0": "success"}
    assert [record.attempt for record in final.values()] == [1]


# The kind.


def test_what_a_class_declares_is_the_default(tmp_path):
    kind = kind_named("own")
    preset = kind.preset(policy(tmp_path, declares="looks = False; commands_per_action = 3"))
    assert (preset["looks"], preset["commands_per_action"]) == (False, 3)
    assert kind.preset(policy(tmp_path), {"python": sys.executable})["python"] is None


def test_the_interpreter_that_will_play_a_class_is_asked_what_it_declares(tmp_path):
    elsewhere = tmp_path / "python"
    elsewhere.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}/only" exec {sys.executable} "$@"\n')
    elsewhere.chmod(0o755)
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "only_elsewhere.py").touch()
    entry = policy(tmp_path, imports="import only_elsewhere", declares="looks = False; commands_per_action = 3")
    with pytest.raises(BadInput, match="No module named 'only_elsewhere'"):
        kind_named("own").preset(entry)
    run = ["toy", "--agent", entry, "--tasks", "reach", "--episodes", "1", "--video", "off", "--dry-run"]
    assert run_suite([*run, "--out", str(tmp_path / "run"), f"agent.python={elsewhere}"]) == 0
    chosen = choose("toy", Choices(agent=entry, overrides=[f"agent.python='{elsewhere}'"])).agent
    assert (chosen.looks, chosen.commands_per_action) == (False, 3)


@pytest.mark.parametrize(
    ("declares", "words"),
    [
        ("cameras = ('head', 'wrist')", "Drift cannot play this environment: it reads the cameras head, wrist"),
        ("picture_size = (64, 128)", r"it reads pictures of 64 x 128 .*head 64 x 64"),
        ("columns = ('x', 'y')", r"its command columns are \(x, y\), here \("),
        ("commands_per_action = 4", "it gives 4 commands per action, here are 1"),
        ("looks = False", r"Drift looks at no pictures: agent\.looks=false"),
    ],
)
def test_what_does_not_speak_as_the_environment_does_is_refused_with_both(tmp_path, declares, words):
    entry = policy(tmp_path, declares=declares)
    for python in (None, sys.executable):
        with pytest.raises(BadInput, match=words):
            OwnKind().check(OwnAgentSettings(True, 1, 1, entry, {}, (), python), ReachEnv(toy()).env_spec)


def test_what_is_checked_is_what_the_files_hold_now_and_nothing_of_it_is_imported_here(tmp_path):
    """As in a notebook, which goes on for days."""
    kind, env_spec = OwnKind(), ReachEnv(toy()).env_spec
    found = []
    for folder, speed in (("a", 1), ("b", 2)):
        entry = policy(tmp_path / folder, imports="from helper_of_mine import looks", declares="looks = looks")
        (tmp_path / folder / "helper_of_mine.py").write_text(f"looks = {folder == 'b'}  # {speed}\n")
        assert kind.preset(entry)["looks"] == (folder == "b")
        found.append(kind.check(OwnAgentSettings(folder == "b", 1, 1, entry, {}, (), None), env_spec)[1])
    assert found[0] != found[1]
    assert "helper_of_mine" not in sys.modules
    assert not [folder for folder in sys.path if folder.startswith(str(tmp_path))]


def test_a_class_has_the_time_of_the_run_to_be_imported(tmp_path):
    entry = policy(tmp_path, imports="import time; time.sleep(60)")
    limits = msgspec.structs.replace(IMPATIENT, load_seconds=5.0)
    with pytest.raises(BadInput, match="gave no answer to 'describe' within 5 s"):
        OwnKind().check(own(entry, None), ReachEnv(toy()).env_spec, limits=limits)
    with pytest.raises(BadInput, match="gave no answer to 'describe' within 5 s"):
        OwnKind().versions(own(entry, None), limits)


def test_records_say_what_an_agent_computes_with_and_a_check_has_found_it(tmp_path):
    imports = "import os, msgspec\ndef later():\n    import torch\nos.write(1, b'x')"
    entry = policy(tmp_path, imports=f"{imports}\nopen({str(tmp_path / 'imported')!r}, 'a').write('x')")
    chosen, _ = (kind := OwnKind()).check(own(entry, None), ReachEnv(toy(cameras=False)).env_spec)
    found = kind.versions(chosen)
    assert found["agent_python"] == platform.python_version()
    assert found["agent_numpy"] == np.__version__
    if importlib.util.find_spec("torch"):
        assert found["agent_torch"] == metadata.version("torch")
    assert "agent_jax" not in found
    assert (tmp_path / "imported").read_text() == "x"  # once
    assert OwnKind().versions(chosen) == found  # as a node of a cluster asks
    assert {f"versions.{name}" for name in found} <= moves_a_score().keys()


def test_a_check_gives_what_a_worker_elsewhere_finds(tmp_path, monkeypatch):
    entry = policy(tmp_path, takes="weights: Path")
    (tmp_path / "weights").write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    given = OwnAgentSettings(True, 1, 1, "policy.py:Drift", {"weights": "weights"}, (), None)
    chosen, content = OwnKind().check(given, ReachEnv(toy()).env_spec)
    assert (chosen.entry, chosen.options, chosen.paths) == (entry, {"weights": str(tmp_path / "weights")}, ("weights",))
    assert len(content) == 12


def test_a_run_knows_what_played_it(tmp_path):
    """Its settings are read again; another content is another experiment."""
    entry, run = policy(tmp_path), str(tmp_path / "run")
    command = ["toy", "--tasks", "reach", "--episodes", "1", "--video", "off", "--out", run, "--agent", entry]
    assert run_suite([*command, f"agent.python={sys.executable}", "agent.options.speed=2"]) == 0
    (record,) = RunDirectory(tmp_path / "run").records().all
    assert record.provenance.agent == "Drift"
    assert {"agent_python", "agent_numpy"} <= set(record.provenance.versions)
    assert settings_of(RunDirectory(tmp_path / "run")).agent.options == {"speed": 2}
    assert run_suite([*command, "agent.options.speed=2"]) == 0  # the interpreter is no part of the experiment
    policy(tmp_path, acts=f"{FORWARD} * 1")
    assert run_suite([*command, "agent.options.speed=2"]) == 2
