"""An agent in an interpreter of its own plays what it plays in ours, and its crashes stay there."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingbot_eval.agents import own, remote
from lingbot_eval.agents.remote import RemoteAgent, described
from lingbot_eval.agents.shared_frames import SharedFrames
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import (
    AgentDied,
    AgentError,
    AgentGarbled,
    AgentHung,
    AgentRaised,
    BadAction,
    BadInput,
    NotReady,
)
from lingbot_eval.settings import Limits
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.shared_memory import anonymous_memory
from lingbot_eval.types import EnvSpec, Observation, Outcome, columns
from tests.agents.test_own import FORWARD, policy
from tests.conftest import IMPATIENT, toy
from tests.processes import children, running, wait_for
from tests.test_episode import EPISODE

SPEC = ReachEnv(toy()).env_spec

ROOT = Path(remote.__file__).parents[2]

QUICK = msgspec.structs.replace(IMPATIENT, agent_seconds=2.0)

Open = Callable[..., RemoteAgent]


def settings(entry: str, python: str = sys.executable, **options: object) -> OwnAgentSettings:
    return OwnAgentSettings(True, 1, 1, entry, options, (), python)


@pytest.fixture
def opened(tmp_path, monkeypatch) -> Iterator[Open]:
    """Opens agents whose temporary files lie in ``tmp_path/tmp``; closes them in the end."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    agents: list[RemoteAgent] = []

    def start(
        entry: str,
        limits: Limits = IMPATIENT,
        python: str = sys.executable,
        log: Path | None = None,
        spec: EnvSpec = SPEC,
        content: str = "",
        **options: object,
    ) -> RemoteAgent:
        chosen = msgspec.structs.replace(settings(entry, python, **options), content=content)
        agents.append(RemoteAgent(chosen, spec, limits, log))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()


def looks(count: int = 1, spec: EnvSpec = SPEC) -> list[Observation]:
    """Random ones."""
    dice = np.random.default_rng(count)
    return [
        {
            "images": {name: dice.integers(0, 256, (*size, 3), np.uint8) for name, size in spec.cameras.items()},
            "state": dice.normal(size=len(spec.state)).astype(np.float32),
        }
        for _ in range(count)
    ]


def test_an_episode_is_the_same_here_and_there(tmp_path, opened):
    acts = "np.full((3, 1, 1), 0.02 + 1e-4 * frames[-1]['images']['head'].mean(), np.float32)"
    entry = policy(tmp_path, acts=acts, takes="spec, speed=1.0")
    here = run_episode(ReachEnv(toy()), own.load(settings(entry))(SPEC), EPISODE)
    there = run_episode(ReachEnv(toy()), opened(entry, speed=2.0), EPISODE)
    assert here.outcome is Outcome.SUCCESS
    assert (there.outcome, there.commands) == (here.outcome, here.commands)


ECHO = """np.asarray([
    [[frame["state"][1] + frame["images"]["head"].std() * number + frame["images"]["wrist"][6, 2, 1]]]
    for number, frame in enumerate(frames)
], np.float32)"""


@pytest.mark.parametrize("size", [(3, 5), (2000, 3000)], ids=["small", "larger than the memory together"])
def test_every_observation_since_the_last_action_arrives_as_it_is(tmp_path, opened, size):
    spec = dataclasses.replace(SPEC, cameras={"head": size, "wrist": (7, 3)}, state=columns("x y", "m"))
    entry = policy(tmp_path, acts=ECHO)
    there, here = opened(entry, spec=spec), own.load(settings(entry))(spec)
    for given in (looks(5, spec), looks(1, spec), looks(3, spec)):
        for each in (there, here):
            each.reset("Go.", seed=1)
        np.testing.assert_array_equal(there.act(given), here.act(given))


def test_what_was_seen_before_a_reset_is_forgotten(tmp_path, opened):
    agent = opened(policy(tmp_path, acts="np.full((1, 1, 1), len(frames), np.float32)"))
    agent.reset("Go.", seed=1)
    assert agent.act(looks(3))[0, 0, 0] == 3.0
    agent.reset("Go.", seed=2)
    assert agent.act(looks(2))[0, 0, 0] == 2.0


def test_observations_are_copies_that_the_agent_may_keep(tmp_path, opened):
    kept = "self.__dict__.setdefault('kept', frames)[0]['state'][0]"
    agent = opened(policy(tmp_path, acts=f"np.full((1, 1, 1), {kept}, np.float32)"))
    agent.reset("Go.", seed=1)
    first = looks(1)
    assert agent.act(first)[0, 0, 0] == first[0]["state"][0]
    assert agent.act(looks(2))[0, 0, 0] == first[0]["state"][0]


def test_an_agent_that_looks_at_nothing_gets_states(tmp_path, opened):
    spec = ReachEnv(toy(cameras=False)).env_spec
    agent = opened(policy(tmp_path, acts="np.full((1, 1, 1), len(frames[0]['images']), np.float32)"), spec=spec)
    agent.reset("Go.", seed=1)
    assert agent.act(looks(1, spec))[0, 0, 0] == 0.0


def test_memory_has_room_for_so_many_observations_and_for_none_that_looks_otherwise():
    spec = dataclasses.replace(SPEC, cameras={"head": (5, 7)}, state=columns("x y z", "m"))
    descriptor = anonymous_memory()
    shared, frame = SharedFrames(descriptor, spec), looks(1, spec)[0]
    assert shared.count == (64 << 20) // 120  # 4 * 3 + 3 * 5 * 7 = 117
    shared.write([frame, frame])
    with pytest.raises(ValueError, match="the shared memory holds"):
        shared.read(shared.count + 1)
    for other in ({"images": frame["images"], "state": np.zeros(1, np.float32)}, {**frame, "images": {}}):
        with pytest.raises(ValueError, match=r", not (of|float32) "):
            shared.write([other])
    with pytest.raises(ValueError, match=r"an observation needs \d+ bytes, and the shared memory has"):
        SharedFrames(descriptor, dataclasses.replace(SPEC, cameras={"head": (5000, 5000)}))
    os.close(descriptor)


# What goes wrong.


def trouble(folder: Path, what: str) -> str:
    """A policy that has it in episodes of seed 0."""
    return policy(folder, imports="import os, time", acts=f"{FORWARD} if self.seed else ({what})")


def fails(agent: RemoteAgent, error: type[AgentError], words: str) -> None:
    """It does so, no process stays, and another plays the next episode."""
    (child,) = children(os.getpid())
    agent.reset("Go.", seed=0)
    with pytest.raises(error, match=words):
        agent.act(looks())
    assert not running(child)
    with pytest.raises(AgentDied, match=r"has ended; reset\(\) starts another"):
        agent.act(looks())
    agent.reset("Go.", seed=1)
    assert agent.act(looks()).shape == (1, 1, 1)


def test_an_agent_that_raises_is_reported_with_its_traceback_and_started_afresh(tmp_path, opened):
    fails(opened(trouble(tmp_path, "1 / 0")), AgentRaised, r"(?s)'act' raised in the agent's.*ZeroDivisionError")


def test_an_agent_that_dies_is_reported_with_its_signal_and_started_afresh(tmp_path, opened):
    fails(opened(trouble(tmp_path, "os.kill(os.getpid(), 9)")), AgentDied, "was ended by SIGKILL during 'act'")


def test_an_agent_that_leaves_is_reported_with_its_status_and_last_words(tmp_path, opened):
    what = "print('no more'), os._exit(3)"
    fails(opened(trouble(tmp_path, what)), AgentDied, r"exited with status 3 \(its last words: no more\) during 'act'")


def test_an_agent_whose_files_were_changed_is_not_played(tmp_path, opened):
    agent = opened(policy(tmp_path), content=own.described(policy(tmp_path), {}).content)
    agent.reset("Go.", seed=1)
    agent.close()
    policy(tmp_path, acts="1 / 0")
    for _ in range(2):
        with pytest.raises(NotReady, match="Drift is not what was checked before the run"):
            agent.reset("Go.", seed=1)
        assert children(os.getpid()) == []


def test_an_agent_that_hangs_is_killed_at_its_time_limit_and_started_afresh(tmp_path, opened):
    agent = opened(trouble(tmp_path, "time.sleep(600)"), QUICK)
    start = time.monotonic()
    fails(agent, AgentHung, "the agent gave no answer to 'act' within 2 s and was killed")
    assert time.monotonic() - start < 20.0


def test_what_an_agent_cannot_say_is_an_error(tmp_path, opened):
    says = "os.write(self.socket, b'garbage' + bytes([10])), time.sleep(600)"
    entry = policy(
        tmp_path,
        imports="import os, sys, time",
        acts=f"{FORWARD} if self.seed else ({says})",
        declares="socket = int(sys.argv[sys.argv.index('--socket') + 1]) if '--socket' in sys.argv else 0",
    )
    fails(opened(entry), AgentGarbled, "the agent's answer to 'act' cannot be, and it was killed: JSON is malformed")


@pytest.mark.parametrize("said", ["[[[0.1, 0.2]]]", "[[[0.1]], [[]]]", "[]", "[[[1e300]]]"])
def test_actions_that_cannot_be_are_an_error(tmp_path, opened, said):
    """As a host says them that does not look at what it passes on."""
    says = f'os.write(self.socket, b\'{{"answer": "acted", "actions": {said}}}\' + bytes([10])), time.sleep(600)'
    entry = policy(
        tmp_path,
        imports="import os, sys, time",
        acts=f"{FORWARD} if self.seed else ({says})",
        declares="socket = int(sys.argv[sys.argv.index('--socket') + 1]) if '--socket' in sys.argv else 0",
    )
    fails(opened(entry), AgentGarbled, "the agent's answer to 'act' cannot be")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("np.zeros((1, 1))", r"Drift\.act returned float64 \(1, 1\)"),
        ("np.full((1, 1, 1), np.nan, np.float32)", "NaN or infinity"),
        ("None", "returned a NoneType"),
    ],
)
def test_what_is_no_array_of_actions_is_refused_as_in_our_process_and_the_agent_goes_on(tmp_path, opened, what, words):
    agent = opened(trouble(tmp_path, what))
    before = children(os.getpid())
    agent.reset("Go.", seed=0)
    with pytest.raises(BadAction, match=words):
        agent.act(looks())
    agent.reset("Go.", seed=1)
    assert agent.act(looks()).shape == (1, 1, 1)
    assert children(os.getpid()) == before


def test_a_class_whose_object_cannot_be_made_is_an_error_with_its_traceback(tmp_path, opened):
    entry = policy(tmp_path, takes="*, weights={}['weights']")
    with pytest.raises(BadInput, match=r"cannot be imported: KeyError: 'weights'"):
        opened(entry)
    entry = policy(tmp_path, takes="size: int", declares="def __new__(cls, size): return [0][size]")
    with pytest.raises(AgentRaised, match=r"(?s)'load' raised.*IndexError"):
        opened(entry, size=3)
    assert children(os.getpid()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_closed_or_forgotten_agent_leaves_neither_process_nor_file(tmp_path, opened):
    agent = opened(policy(tmp_path))
    (child,) = children(os.getpid())
    assert list((tmp_path / "tmp").iterdir()) != []
    agent.close()
    agent.close()
    assert not running(child)
    other = RemoteAgent(settings(policy(tmp_path)), SPEC, IMPATIENT)
    (child,) = children(os.getpid())
    del other
    wait_for(lambda: not running(child))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_an_agent_prints_is_appended_to_the_log(tmp_path, opened):
    log = tmp_path / "log"
    log.write_text("before\n")
    agent = opened(policy(tmp_path, acts=f"(print('thinking'), {FORWARD})[1]"), log=log)
    agent.reset("Go.", seed=1)
    agent.act(looks())
    assert log.read_text() == "before\nthinking\n"


# Its interpreter.


def test_a_class_is_described_in_its_interpreter_as_in_ours(tmp_path):
    (tmp_path / "weights").write_bytes(b"1")
    entry = policy(tmp_path, takes="weights: Path", declares="cameras = ('head',); commands_per_action = 4")
    chosen = settings(entry, weights=str(tmp_path / "weights"))
    here = own.described(entry, chosen.options)
    assert described(chosen, IMPATIENT) == msgspec.structs.replace(here, versions=described(chosen, IMPATIENT).versions)
    with pytest.raises(BadInput, match="Drift needs"):
        described(settings(entry), IMPATIENT)
    assert children(os.getpid()) == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import no_such_package", r"No module named 'no_such_package'"),
        ("import sys; sys.exit('too old')", "too old"),
        ("import lingbot_eval; lingbot_eval.__version__ = '0.0.1'", r"has lingbot_eval 0\.0\.1 \(\w{12}\), this is "),
    ],
)
def test_an_interpreter_that_cannot_host_an_agent_is_refused_with_the_line_to_type(tmp_path, opened, script, words):
    python = tmp_path / "python"
    start = "import sys; sys.argv = sys.argv[2:]; from lingbot_eval.agents import host; host.main()"
    python.write_text(f"#!{sys.executable}\n{script}\n{start}\n")
    python.chmod(0o755)
    with pytest.raises(NotReady, match=words) as refused:
        opened(policy(tmp_path), python=str(python))
    assert f"{python} -m pip install {ROOT}" in str(refused.value)
    assert children(os.getpid()) == []
    with pytest.raises(NotReady, match=r"agent\.python=/no/such cannot be started: No such file"):
        opened(policy(tmp_path), python="/no/such")


NEEDS = ("numpy>=2", "gymnasium", "msgspec", "pyyaml", "hatchling")
"""What an agent's interpreter needs, and what builds our package there."""


@pytest.fixture(scope="session")
def other_python(tmp_path_factory) -> str:
    """Another Python, in a virtual environment with numpy 2 and what the core needs."""
    known = [Path(found) for name in ("3.12", "3.13", "3.10") if (found := shutil.which(f"python{name}"))]
    known += sorted(Path.home().glob(".pyenv/versions/3.1[0-3].*/bin/python"), reverse=True)
    version = "import sys; print(*sys.version_info[:2])"
    for python in known:
        asked = subprocess.run([python, "-c", version], capture_output=True, text=True)
        if asked.returncode or asked.stdout.split() == [*map(str, sys.version_info[:2])]:
            continue
        folder = tmp_path_factory.mktemp("other") / "venv"
        made = subprocess.run([python, "-m", "venv", folder], capture_output=True, text=True)
        pip = [folder / "bin" / "pip", "install", "-q"]
        installed = subprocess.run([*pip, *NEEDS], capture_output=True, text=True)
        if made.returncode or installed.returncode:
            pytest.skip(f"{python}: numpy 2 and msgspec cannot be installed: {installed.stderr.strip()[-300:]}")
        subprocess.run([*pip, "--no-deps", "--no-build-isolation", ROOT], check=True)
        return str(folder / "bin" / "python")
    pytest.skip("there is no other Python from 3.10 to 3.13 here")


def test_an_agent_of_another_python_and_numpy_plays_an_episode(tmp_path, opened, monkeypatch, other_python):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)  # from where our checkout is not seen
    acts = "np.full((1, 1, 1), 0.05, np.float32) if np.__version__ >= '2' else None"
    entry = policy(tmp_path, acts=acts)
    found = described(settings(entry, other_python), IMPATIENT).versions
    assert found["agent_numpy"].startswith("2.")
    assert found["agent_python"].split(".")[:2] != [*map(str, sys.version_info[:2])]
    assert described(settings(entry, other_python), IMPATIENT).content == own.described(entry, {}).content
    record = run_episode(ReachEnv(toy()), opened(entry, python=other_python), EPISODE)
    assert record.outcome is Outcome.SUCCESS
