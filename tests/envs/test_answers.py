"""What a simulator's process says is checked before it counts, and it holds nobody up while it says it."""

from __future__ import annotations

import math
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingbot_eval.agents import requests as agents
from lingbot_eval.child import Done, Failed
from lingbot_eval.envs import requests
from lingbot_eval.envs.answers import Account, Stepped
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import (
    ImpossibleAnswer,
    NotReady,
    SimulatorDied,
    SimulatorError,
    SimulatorHung,
    SimulatorRaised,
)
from lingbot_eval.processes import Garbled, decoded, resident_bytes
from lingbot_eval.settings import Limits
from lingbot_eval.shared_memory import MEMORY_BYTES, anonymous_memory
from lingbot_eval.types import Info, Outcome
from tests.conftest import IMPATIENT, toy
from tests.hosts import INFO, simulator, stepping, telling, with_orphan
from tests.processes import children, running, wait_for
from tests.test_episode import EPISODE, Push

PUSH = np.full((1, 1), 0.05, np.float32)

Open = Callable[..., RemoteEnv]


@pytest.fixture
def playing(tmp_path) -> Iterator[Open]:
    """The toy whose host a script has changed."""
    opened: list[RemoteEnv] = []

    def start(script: str, limits: Limits = IMPATIENT) -> RemoteEnv:
        opened.append(RemoteEnv(msgspec.structs.replace(toy(), simulator=simulator(tmp_path, script)), limits))
        return opened[-1]

    yield start
    for env in opened:
        env.close()


def test_the_changed_host_is_a_toy_where_nothing_is_changed(playing):
    env = playing(stepping("pass"))
    env.reset(seed=0)
    assert env.step(PUSH)[-1] == INFO


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("said['terminated'] = 'no'", r"Expected bool, got str - at \$\.terminated"),
        ("said['info']['commands'] = float('nan')", r"Expected int, got null - at \$\.info\.commands"),
        ("self._shared._state[:] = float('nan')", r"a state that is not finite: \[nan\]"),
        ("self._shared._state[:] = float('-inf')", r"a state that is not finite: \[-inf\]"),
    ],
)
def test_an_answer_that_cannot_be_is_an_error_that_says_what_came_and_ends_the_simulator(playing, change, words):
    env = playing(stepping(change))
    env.reset(seed=0)
    with pytest.raises(ImpossibleAnswer, match=f"(?s)answer to 'step' cannot be, and it was killed: .*{words}"):
        env.step(PUSH)
    assert children(os.getpid()) == []
    assert env.reset(seed=0)[1]["commands"] == 0


STEPPED = {"answer": "stepped", "reward": 0.0, "terminated": False, "truncated": False, "info": INFO}


def test_what_may_be_said_of_a_step_is_understood():
    full = {**STEPPED, "info": {**INFO, "progress": 0.5, "plan_failures": 3}}
    assert decoded(msgspec.json.encode(STEPPED), Stepped | Failed).info.as_info() == INFO
    assert decoded(msgspec.json.encode(full), Stepped | Failed).info.as_info() == full["info"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"terminated": "no"}, r"Expected bool, got str - at \$\.terminated"),
        ({"terminated": 1}, r"Expected bool, got int - at \$\.terminated"),
        ({"terminated": math.nan}, r"Expected bool, got null - at \$\.terminated"),
        ({"truncated": None}, r"Expected bool, got null - at \$\.truncated"),
        ({"reward": math.inf}, r"Expected float, got null - at \$\.reward"),
        ({"info": None}, r"Expected object, got null - at \$\.info"),
        ({"info": {"commands": 1}}, "missing required field progress"),
        ({"info": {**INFO, "commands": math.nan}}, r"Expected int, got null - at \$\.info\.commands"),
        ({"info": {**INFO, "commands": -1}}, "Expected int >= 0"),
        ({"info": {**INFO, "commands": 1.5}}, "Expected int, got float"),
        ({"info": {**INFO, "commands": 2**62}}, "Expected int <= 1000000000"),
        ({"info": {**INFO, "progress": -0.5}}, r"Expected float >= 0\.0"),
        ({"info": {**INFO, "progress": 1e300}}, "Expected float <= "),
        ({"info": {**INFO, "max_progress": math.nan}}, "got null"),
        ({"info": {**INFO, "out_of_bounds": True}}, "Expected int, got bool"),
        ({"info": {**INFO, "plan_failures": -3}}, "Expected int >= 0"),
        ({"info": {**INFO, "privileged": 1}}, "unknown field privileged"),
        ({"answer": "looked"}, "Invalid value 'looked'"),
        ({"answer": None}, "Expected str"),
        ({"ok": 1}, "unknown field ok"),
    ],
)
def test_what_cannot_be_said_of_a_step_is_refused_with_its_place(changes, words):
    with pytest.raises(Garbled, match=words):
        decoded(msgspec.json.encode({**STEPPED, **changes}), Stepped | Failed)


@pytest.mark.parametrize(
    "data",
    [
        "b'\\n'",
        "b'garbage\\n'",
        "b'\\xff\\xfe\\n'",
        "b'[' * 1_000_000 + b'\\n'",
        'b\'{"answer": "failed", "error": "\\xff", "kind": ""}\\n\'',
        'b\'{"answer": "stepped", "reward": NaN}\\n\'',
    ],
    ids=["empty", "text", "no UTF-8", "nested", "no UTF-8 inside", "NaN"],
)
def test_what_is_no_message_is_an_error_and_no_process_stays(playing, data):
    env = playing(telling(data))
    env.reset(seed=0)
    with pytest.raises(ImpossibleAnswer, match="answer to 'step' cannot be"):
        env.step(PUSH)
    assert children(os.getpid()) == []


@pytest.mark.parametrize(
    ("op", "ask"),
    [
        ("make", lambda env: None),
        ("reset", lambda env: env.reset(seed=0)),
        ("render", lambda env: env.render()),
        ("expert", lambda env: env.use_expert()),
        ("audition", lambda env: env.audition(0, "easy")),
    ],
)
def test_so_it_is_whatever_was_asked(playing, op, ask):
    with pytest.raises(ImpossibleAnswer, match=f"answer to '{op}' cannot be"):
        ask(playing(telling(r"b'\xff{garbage\n'", op)))
    assert children(os.getpid()) == []


@pytest.mark.parametrize("data", [r"b'garbage\n'", r"b'[1]\n'", r"b'\xff\n'", "b'x' * 5_000_000"])
def test_garbage_in_answer_to_close_closes(playing, data):
    playing(telling(data, "close")).close()  # it is being ended either way
    assert children(os.getpid()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("spec['cameras'] = {'head': (8000, 8000)}", "an observation needs 192000004 bytes, and the shared memory has"),
        ("spec['cameras'] = {'head': (64, 9000)}", r"pictures of {'head': \(64, 9000\)}"),
        ("spec['cameras'] = {'head': (0, 64)}", r"pictures of {'head': \(0, 64\)}"),
        ("spec['cameras'] = {'head': (64, 64, 3)}", r"Expected `?array`? of length 2.*env_spec\.cameras"),
        ("spec['low'] = [0.5]", "an action space of 1 columns"),
        ("spec['low'] = [-1e300]", "an action space of"),
        ("spec['low'] = [float('nan')]", r"Expected float, got null - at \$\.env_spec\.low"),
        ("spec['low'] = [[-0.1], [-0.1, 0.1]]", r"Expected float, got array - at \$\.env_spec\.low"),
        ("spec['low'] = spec['high'] = [0.0, 0.0]", "an action space of"),
        (
            "spec['columns'] = []; spec['low'] = spec['high'] = spec['idle'] = spec['channels'] = []",
            "an action space of",
        ),
        ("spec['columns'] *= 2", "each needs a name of its own"),
        ("spec['state'] *= 2", "each needs a name of its own"),
        ("spec['channels'] = [0, 1]", "2 channels for 1 command columns"),
        ("spec['idle'] = [0.5]", "an idle command"),
        ("spec['idle'], spec['state'] = [], []", "no idle command, and a state of 0 numbers"),
        ("spec['commands_per_second'] = 0", "1 commands per action, 0"),
        ("spec['commands_per_action'] = 0", "0 commands per action"),
        ("spec['commands_per_action'] = 3", "3 commands per action; asked for were 1"),
    ],
)
def test_an_environment_that_does_not_fit_itself_or_what_was_asked_is_refused(playing, change, words):
    script = f"""
make = Host.make
def lying(self, settings):
    made = make(self, settings)
    spec = made['env_spec']
    {change}
    return made
Host.make = lying
"""
    with pytest.raises(ImpossibleAnswer, match=f"(?s)answer to 'make' cannot be.*{words}"):
        playing(script)
    assert children(os.getpid()) == []


def test_pictures_that_nobody_asked_for_are_refused(tmp_path):
    script = """
make = Host.make
def lying(self, settings):
    made = make(self, settings)
    made['env_spec']['cameras'] = {'head': (64, 64)}
    return made
Host.make = lying
"""
    with pytest.raises(ImpossibleAnswer, match=r"cameras \['head'\]; asked for was none"):
        RemoteEnv(msgspec.structs.replace(toy(cameras=False), simulator=simulator(tmp_path, script)), IMPATIENT)
    assert children(os.getpid()) == []


@pytest.mark.parametrize("shape", ["(0, 4, 3)", "(8000, 8000, 3)"])
def test_a_picture_of_a_shape_that_cannot_be_is_refused(playing, shape):
    env = playing(f"Host.render = lambda self: {{'answer': 'drawn', 'shape': {shape}}}")
    env.reset(seed=0)
    with pytest.raises(ImpossibleAnswer, match="answer to 'render' cannot be"):
        env.render()


@pytest.mark.parametrize("command", ["[0.0, 0.0]", "[1e300]", "[float('nan')]"])
def test_an_experts_command_that_fits_no_robot_is_refused(playing, command):
    env = playing(f"Host.expert_command = lambda self: {{'answer': 'commanded', 'command': {command}}}")
    with pytest.raises(ImpossibleAnswer, match="answer to 'expert_command' cannot be"):
        env.expert_command()


@pytest.mark.parametrize("kind", ["SimulatorHung", "difflib"])
def test_a_simulator_that_names_an_error_it_cannot_have_has_raised(playing, kind):
    env = playing(telling(f'b\'{{"answer": "failed", "error": "boo", "kind": "{kind}"}}\\n\''))
    env.reset(seed=0)
    with pytest.raises(SimulatorRaised, match=r"(?s)'step' raised in the simulator's process:.*boo"):
        env.step(PUSH)


def pushing() -> Push:
    agent = Push(0.04)
    agent.actions = np.full((3, 1, 1), 0.04, np.float32)
    return agent


def test_an_honest_account_is_a_result(playing):
    assert run_episode(playing(stepping("pass")), pushing(), EPISODE).outcome is Outcome.SUCCESS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("said['info']['progress'] = 1e9", "progress 1000000000.0 of 1"),
        ("said['info']['commands'] += 1", "commands"),
        ("said['info']['out_of_bounds'] = 5000", "out of bounds"),
        ("said['terminated'] = True", "a success with progress 0 of 1"),
    ],
)
def test_an_account_of_an_episode_that_cannot_be_is_no_result(playing, change, words):
    env = playing(stepping(change))
    with pytest.raises(ImpossibleAnswer, match=words):
        run_episode(env, pushing(), EPISODE)


# While it speaks.


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def test_a_child_that_drips_does_not_put_off_its_time_limit(playing):
    env = playing(telling("b'{'").replace("time.sleep(600)", "[(raw(b' '), time.sleep(0.01)) for _ in range(10000)]"))
    env.reset(seed=0)
    start = time.monotonic()
    with pytest.raises(SimulatorHung, match="no answer to 'step' within 1 s"):
        env.step(PUSH)
    assert time.monotonic() - start < 8.0


def test_a_child_that_drips_and_eats_is_ended_by_its_memory(playing):
    limits = msgspec.structs.replace(IMPATIENT, command_seconds=60.0, env_gigabytes=0.5)
    eats = "held = []; [(raw(b' '), time.sleep(0.01), held.append(bytearray(b'x') * 20_000_000)) for _ in range(100)]"
    env = playing(telling("b'{'").replace("time.sleep(600)", eats), limits)
    env.reset(seed=0)
    with pytest.raises(SimulatorDied, match=r"it had \S+ GB of memory"):
        env.step(PUSH)


@pytest.mark.parametrize(
    "data", ["b'x' * 50_000_000 + b'\\n'", "b'x' * 50_000_000"], ids=["a line of 50 MB", "endless"]
)
def test_a_message_that_is_too_long_is_refused_before_it_is_whole(playing, data):
    limits = msgspec.structs.replace(IMPATIENT, command_seconds=60.0)
    env = playing(telling(data), limits)
    env.reset(seed=0)
    before = cpu_seconds()
    with pytest.raises(ImpossibleAnswer, match="more than 4194304 bytes without an end: 'xxx"):
        env.step(PUSH)
    assert cpu_seconds() - before < 1.0


def test_a_traceback_as_long_as_a_book_arrives_shortened(playing):
    env = playing(stepping("raise RuntimeError('begin ' + 'ü\\0' * 10_000_000 + ' end')"))
    env.reset(seed=0)
    with pytest.raises(SimulatorRaised, match=r"(?s)begin ü.*characters left out.* end") as raised:
        env.step(PUSH)
    assert len(str(raised.value)) < 110_000


def test_a_child_that_reads_nothing_is_killed_at_the_time_limit(playing):
    script = """
send = Connection.send
def once(self, message, *seconds):
    send(self, message, *seconds)
    time.sleep(600)
Connection.send = once
"""
    env = playing(script, msgspec.structs.replace(IMPATIENT, reset_seconds=1.0))
    start = time.monotonic()
    with pytest.raises(SimulatorHung, match="no answer to 'reset' within 1 s"):
        env.reset(seed=0, options={"index": "x" * 3_000_000})
    assert time.monotonic() - start < 8.0


def test_a_child_cannot_cut_the_memory_that_we_read(playing):
    env = playing(stepping("os.ftruncate(self._memory, 0)"))
    env.reset(seed=0)
    with pytest.raises(SimulatorRaised, match="PermissionError"):
        env.step(PUSH)
    memory = anonymous_memory()
    with pytest.raises(PermissionError):
        os.ftruncate(memory, MEMORY_BYTES + 1)
    os.close(memory)


def test_a_child_that_prints_without_end_is_ended(playing, monkeypatch):
    monkeypatch.setattr("lingbot_eval.processes.PRINTED_BYTES", 10_000_000)
    limits = msgspec.structs.replace(IMPATIENT, command_seconds=60.0)
    env = playing(stepping("[os.write(1, b'x' * 1_000_000) and time.sleep(0.02) for _ in range(200)]"), limits)
    env.reset(seed=0)
    with pytest.raises(SimulatorDied, match=r"has printed more than 0\.01 GB to "):
        env.step(PUSH)


# What it leaves behind.


def orphan_of(env: RemoteEnv, file: Path) -> int:
    env.reset(seed=0)
    env.step(PUSH)
    return int(file.read_text())


def test_limits_without_end_are_limits(playing):
    endless = msgspec.structs.replace(
        IMPATIENT, start_seconds=math.inf, reset_seconds=1e12, command_seconds=math.inf, episode_seconds=math.inf
    )
    env = playing(stepping("pass"), endless)
    env.reset(seed=0)
    assert env.step(PUSH)[-1] == INFO


@pytest.mark.parametrize("planted", ["link", "folder", "pipe"])
def test_no_log_is_written_through_what_was_planted_in_its_place(tmp_path, planted):
    log, theirs = tmp_path / "log", tmp_path / "theirs"
    theirs.write_text("precious")
    {"link": lambda: log.symlink_to(theirs), "folder": log.mkdir, "pipe": lambda: os.mkfifo(log)}[planted]()
    with pytest.raises(NotReady, match=f"cannot write to {log}"):
        RemoteEnv(toy(), IMPATIENT, log)
    assert theirs.read_text() == "precious"


def test_what_a_simulator_leaves_in_a_session_of_its_own_counts_and_ends_with_it(playing, tmp_path):
    env = playing(with_orphan(tmp_path / "pid"))
    (child,) = children(os.getpid())
    orphan = orphan_of(env, tmp_path / "pid")
    assert running(orphan)
    assert resident_bytes(child) > resident_bytes(orphan) > 100_000_000
    env.close()
    wait_for(lambda: not running(orphan), 5.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_simulator_leaves_behind_ends_also_where_that_was_killed_or_hangs(playing, tmp_path, number):
    env = playing(with_orphan(tmp_path / "pid"))
    (child,) = children(os.getpid())
    orphan = orphan_of(env, tmp_path / "pid")
    os.kill(child, number)
    with pytest.raises(SimulatorError):
        env.step(PUSH)
    wait_for(lambda: not running(orphan), 5.0)
    assert not running(child)


# What it is asked.


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"op": "dance"}, "Invalid value 'dance'"),
        ({"op": "__init__", "memory": 0}, "Invalid value '__init__'"),
        ({"op": "step", "action": [["0.1"]]}, r"Expected float, got str - at \$\.action"),
        ({"op": "step", "action": [[0.1]], "faster": True}, "unknown field faster"),
        ({"op": "reset", "seed": "0", "options": {}}, r"Expected int \| null, got str - at \$\.seed"),
        ({"action": [[0.1]]}, "missing required field op"),
    ],
)
def test_what_no_parent_of_ours_asks_is_refused_with_its_place(message, words):
    with pytest.raises(Garbled, match=words):
        decoded(msgspec.json.encode(message), requests.AnyRequest)


def test_a_simulator_that_is_asked_what_only_an_agent_is_asked_says_so_and_ends(playing):
    env = playing("")
    with pytest.raises(SimulatorRaised, match=r"(?s)'act' raised .*Garbled: Invalid value 'act'"):
        env._ask(Done, agents.Act(1), 5.0)
    assert children(os.getpid()) == []


def test_an_account_has_what_an_info_has():
    assert set(Account.__struct_fields__) == Info.__required_keys__ | Info.__optional_keys__
    always = {field.name for field in msgspec.structs.fields(Account) if field.required}
    assert always == Info.__required_keys__
