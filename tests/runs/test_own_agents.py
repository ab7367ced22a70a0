"""Runs of agents of the user's own: what goes wrong with one is an ERROR of its episode alone."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.agents import kind_named
from lingbot_eval.agents.own_kind import OwnKind
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.errors import BadInput
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


# The kind.


def test_what_a_class_declares_is_the_default(tmp_path):
    kind = kind_named("own")
    preset = kind.preset(policy(tmp_path, declares="looks = False; commands_per_action = 3"))
    assert (preset["looks"], preset["commands_per_action"]) == (False, 3)
    preset = kind.preset(policy(tmp_path, imports="import only_elsewhere"))
    assert (preset["looks"], preset["commands_per_action"]) == (True, 1)


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
