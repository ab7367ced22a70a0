"""An environment in a process of its own does what it does in ours, and its crashes stay there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium
import msgspec
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_gymnasium

from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.envs.testing import check_env
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.errors import BadAction, BadInput, NotReady, SimulatorDied, SimulatorHung, SimulatorRaised
from lingbot_eval.processes import resident_bytes
from lingbot_eval.settings import EnvSettings, Limits
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.suites import load_protocol, suite_of
from tests.conftest import IMPATIENT, toy
from tests.processes import children, running, wait_for

PUSH = np.full((1, 1), 0.05, np.float32)

Open = Callable[..., RemoteEnv]


@pytest.fixture
def remote(tmp_path, monkeypatch) -> Iterator[Open]:
    """Opens environments whose temporary files lie in ``tmp_path/tmp``; closes them in the end."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    opened: list[RemoteEnv] = []

    def start(settings: EnvSettings | None = None, limits: Limits = IMPATIENT, log: Path | None = None) -> RemoteEnv:
        opened.append(RemoteEnv(settings or toy(), limits, log))
        return opened[-1]

    yield start
    for env in opened:
        env.close()


def dawdle(env: RemoteEnv) -> None:
    for _ in range(500):
        env.step(np.zeros((1, 1), np.float32))
        time.sleep(0.01)


def until_it_fails(env: RemoteEnv) -> None:
    for _ in range(4):
        env.step(PUSH)


@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("commands_per_action", [1, 2])
def test_the_toy_keeps_the_contract_in_this_process(commands_per_action, cameras):
    check_env(ReachEnv(toy(commands_per_action=commands_per_action, cameras=cameras)))


@pytest.mark.parametrize("commands_per_action", [1, 2])
def test_the_toy_keeps_the_contract_in_another_process(remote, commands_per_action):
    check_env(remote(toy(commands_per_action=commands_per_action)))


@pytest.mark.filterwarnings("ignore:.*Box observation space (min|max)imum value is -?infinity:UserWarning")
def test_gymnasium_finds_nothing_wrong_with_a_remote_environment(remote):
    check_gymnasium(remote(), skip_render_check=True)


def test_a_remote_environment_shows_what_the_one_in_this_process_shows(remote):
    settings = msgspec.structs.replace(toy("return", commands_per_action=2), render=True)
    here, there = suite_of(settings).make_env(settings), remote(settings)
    assert there.env_spec == here.env_spec
    assert there.action_space == here.action_space
    assert there.observation_space == here.observation_space
    assert there.metadata == here.metadata
    generator = np.random.default_rng(0)
    for seed in (0, 1):
        seen = [env.reset(seed=seed) for env in (here, there)]
        for _ in range(5):
            np.testing.assert_array_equal(seen[0][0]["state"], seen[1][0]["state"])
            np.testing.assert_array_equal(seen[0][0]["images"]["head"], seen[1][0]["images"]["head"])
            assert seen[0][1:] == seen[1][1:]
            np.testing.assert_array_equal(here.render(), there.render())
            action = generator.uniform(-0.1, 0.1, (2, 1)).astype(np.float32)
            seen = [env.step(action) for env in (here, there)]


def test_observations_are_copies_that_later_commands_leave_alone(remote):
    env = remote()
    first, _ = env.reset(seed=0)
    state, picture = first["state"].copy(), first["images"]["head"].copy()
    second, *_ = env.step(PUSH)
    assert not np.array_equal(state, second["state"])
    np.testing.assert_array_equal(first["state"], state)
    np.testing.assert_array_equal(first["images"]["head"], picture)
    second["state"][:] = 99.0  # nor does what the agent does to its copy reach the simulator
    third, *_ = env.step(PUSH)
    assert third["state"][0] == pytest.approx(state[0] + 0.1)


def test_an_environment_without_cameras_sends_no_pictures(remote):
    env = remote(toy(cameras=False))
    observation, _ = env.reset(seed=0)
    assert observation["images"] == {}
    assert env.env_spec.cameras == {}


def test_a_wrong_action_is_refused_and_the_simulator_goes_on(remote):
    env = remote()
    env.reset(seed=0)
    with pytest.raises(BadAction, match=r"float32 of shape \(1, 1\)"):
        env.step(np.zeros((2, 1), np.float32))
    assert env.step(PUSH)[-1]["commands"] == 1


def test_a_simulator_that_raises_is_reported_with_its_traceback_and_started_afresh(remote):
    env = remote(toy(faults={0: "raise"}))
    env.reset(seed=0)
    with pytest.raises(SimulatorRaised, match=r"(?s)'step' raised.*RuntimeError: the toy was told to raise"):
        until_it_fails(env)
    with pytest.raises(SimulatorDied, match=r"has ended; reset\(\) starts another"):
        env.step(PUSH)
    assert env.reset(seed=1)[1]["commands"] == 0


def test_a_simulator_that_dies_is_reported_with_its_signal_and_started_afresh(remote):
    env = remote(toy(faults={0: "die"}))
    env.reset(seed=0)
    with pytest.raises(SimulatorDied, match="was ended by SIGKILL during 'step'"):
        until_it_fails(env)
    assert env.reset(seed=1)[1]["commands"] == 0


@pytest.mark.parametrize("fault", ["hang", "stop", "spin"])
def test_a_simulator_that_hangs_is_killed_at_the_commands_time_limit_and_started_afresh(remote, fault):
    env = remote(toy(faults={0: fault}))
    (hanging,) = children(os.getpid())
    env.reset(seed=0)
    start = time.monotonic()
    with pytest.raises(SimulatorHung, match="no answer to 'step' within 1 s and was killed"):
        until_it_fails(env)
    assert time.monotonic() - start < 5.0
    assert not running(hanging)
    assert env.reset(seed=1)[1]["commands"] == 0


def test_an_episode_that_outlasts_its_time_limit_is_ended_though_every_command_is_in_time(remote):
    limits = msgspec.structs.replace(IMPATIENT, reset_seconds=0.3, command_seconds=60.0, episode_seconds=0.1)
    env = remote(limits=limits)
    env.reset(seed=0)
    with pytest.raises(SimulatorHung, match=r"exceeded limits\.episode_seconds=0\.1"):
        dawdle(env)


def test_a_simulator_that_eats_memory_is_killed_with_the_figure_and_what_to_set(remote):
    env = remote(toy(faults={0: "eat"}), msgspec.structs.replace(IMPATIENT, command_seconds=60.0, env_gigabytes=0.5))
    (eating,) = children(os.getpid())
    env.reset(seed=0)
    with pytest.raises(SimulatorDied, match=r"during 'step': it had \S+ GB of memory, and limits\.env_gigabytes=0\.5"):
        until_it_fails(env)
    assert not running(eating)
    assert env.reset(seed=1)[1]["commands"] == 0


def test_memory_is_that_of_a_process_and_all_that_it_started():
    hold = "import time; held = bytearray(b'x') * 100_000_000; print('held', flush=True); time.sleep(60)"
    start = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {hold!r}]).wait())"
    with subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (child,) = children(process.pid)
        assert resident_bytes(process.pid) > resident_bytes(child) > 100_000_000
        os.kill(child, signal.SIGKILL)
    assert resident_bytes(process.pid) == 0


def test_what_a_dying_simulator_printed_last_is_in_the_error(remote):
    with pytest.raises(SimulatorDied, match=r"exited with status 1 .*last words:.*NoSuchModule.* during 'make'"):
        with_python(remote, script="import NoSuchModule")


def test_an_interpreter_that_does_not_exist_is_named(remote, tmp_path):
    with pytest.raises(NotReady, match=r"env\.python=/no/such/python"):
        remote(msgspec.structs.replace(toy(), simulator=ToySettings(python="/no/such/python", faults={})))
    assert list((tmp_path / "tmp").iterdir()) == []


def test_settings_that_make_no_environment_are_refused_and_no_process_stays(remote, tmp_path):
    with pytest.raises(BadInput, match="Invalid value 'toy'"):
        remote(msgspec.structs.replace(toy(), protocol=load_protocol("libero", "strict")))
    wait_for(lambda: children(os.getpid()) == [])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_environment_may_be_closed_twice_and_leaves_neither_process_nor_file(remote, tmp_path):
    env = remote(toy(faults={1: "die"}))
    env.reset(seed=1)
    with pytest.raises(SimulatorDied):
        until_it_fails(env)
    env.reset(seed=0)
    (child,) = children(os.getpid())
    assert list((tmp_path / "tmp").iterdir()) != []
    env.close()
    env.close()
    assert not running(child)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_forgotten_environment_ends_its_process(remote, tmp_path):
    env = RemoteEnv(toy(), IMPATIENT)
    (child,) = children(os.getpid())
    del env
    assert not running(child)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_the_simulators_prints_are_appended_to_the_log(remote, tmp_path):
    log = tmp_path / "simulator.log"
    log.write_text("what was there\n")
    env = remote(toy(faults={0: "raise"}), log=log)
    env.reset(seed=0)
    with pytest.raises(SimulatorRaised):
        until_it_fails(env)
    assert log.read_text().startswith("what was there\n")
    assert "the toy was told to raise" in log.read_text()


@pytest.mark.parametrize("fault", ["", "hang", "stop", "spin"], ids=["between commands", "asleep", "stopped", "busy"])
def test_the_simulator_ends_when_its_parent_is_killed(tmp_path, fault):
    code = f"""
import numpy as np
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.settings import default_limits
from tests.conftest import toy
env = RemoteEnv(toy(faults={{0: {fault!r}}} if {fault!r} else {{}}), default_limits())
env.reset(seed=0)
env.step(np.zeros((1, 1), np.float32))
print("playing", flush=True)
while True:
    env.step(np.zeros((1, 1), np.float32))
    env.reset(seed=0) if {not fault} else None
"""
    here = Path(__file__).resolve().parents[2]
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=here, env=own, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "playing\n"
        time.sleep(0.2 if fault else 0.0)  # until it hangs
        (simulator,) = children(parent.pid)
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not running(simulator))


def test_the_expert_is_asked_beside_the_environment_and_survives_a_restart(remote):
    env = remote(toy(faults={1: "die"}))
    env.use_expert()
    env.reset(seed=1)
    with pytest.raises(SimulatorDied):
        until_it_fails(env)
    observation, info = env.reset(seed=0)
    env.expert_reset()
    command = env.expert_command()
    assert (command.dtype, command.shape) == (np.float32, (1,))
    assert command[0] == pytest.approx(0.05)
    assert set(observation) == {"images", "state"}
    assert not any("expert" in key for key in info)


def test_every_libero_task_has_a_gymnasium_id_and_none_a_limit_of_gymnasiums():
    ids = [name for name in gymnasium.registry if name.startswith("lingbot_eval/LIBERO-")]
    assert len(ids) == 40
    assert all(gymnasium.registry[name].max_episode_steps is None for name in ids)


def with_python(remote: Open, script: str) -> RemoteEnv:
    """An environment whose interpreter runs ``script`` instead of ours."""
    interpreter = Path(tempfile.gettempdir()) / "python"
    interpreter.write_text(f"#!{sys.executable}\n{script}\n")
    interpreter.chmod(0o755)
    return remote(msgspec.structs.replace(toy(), simulator=ToySettings(python=str(interpreter), faults={})))
