"""``lingbot_eval.evaluate``: what ``run-suite`` does, from Python."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

import lingbot_eval
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.errors import BadInput, NotReady, RunMismatch, UnknownName
from lingbot_eval.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A folder of its own, where ``runs/`` begins empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def played(path: Path) -> int:
    return len(RunDirectory(path).records().all)


def test_the_same_choices_are_the_same_run_as_on_the_command_line(here):
    run = lingbot_eval.evaluate("toy", "random", episodes=3, tasks=["reach"], settings={"protocol.command_limit": 30})
    arguments = ["toy", "--agent", "random", "--episodes", "3", "--tasks", "reach", "protocol.command_limit=30"]
    assert run_suite(arguments) == 0
    assert [folder.name for folder in (here / "runs").iterdir()] == [run.path.name]
    assert played(run.path) == 3
    assert (run.path / "report" / "table.csv").is_file()
    (here / "elsewhere").mkdir()
    os.chdir(here / "elsewhere")
    assert run_suite(arguments) == 0
    theirs, ours = (folder / "runs" / run.path.name / "run.json" for folder in (here, here / "elsewhere"))
    assert theirs.read_bytes() == ours.read_bytes()


def test_what_was_played_is_not_played_again_and_other_tasks_are_added():
    first = lingbot_eval.evaluate("toy", tasks=[0], episodes=2)
    again = lingbot_eval.evaluate("toy", tasks=[0, 1], episodes=2)
    assert first.path == again.path
    assert played(again.path) == 4
    assert again.table()["sr"].tolist() == [1.0, 1.0, 1.0]


def test_the_command_that_the_run_keeps_goes_on_with_it():
    settings = {"suite.seed": None, "env.faults": {}, "actions": False, "suite.settings": []}
    run = lingbot_eval.evaluate("toy", "random", episodes=2, regime="it's a test", out=Path("x y"), settings=settings)
    (session,) = RunDirectory(run.path).run().coordinators
    name, *arguments = shlex.split(session.command)
    assert name == "run-suite"
    assert run_suite(arguments) == 0
    assert played(run.path) == 4


def test_numbers_and_lists_of_other_libraries_are_values_like_pythons_own():
    whole = {"suite.tasks": ["reach"], "protocol.command_limit": 30, "actions": False, "limits.reset_seconds": 2.5}
    ours = lingbot_eval.evaluate("toy", "random", episodes=1, gpus=[], settings=whole)
    theirs = {
        "suite.tasks": OmegaConf.create(["reach"]),
        "protocol.command_limit": np.int64(30),
        "actions": np.bool_(False),
        "limits.reset_seconds": np.float32(2.5),
    }
    again = lingbot_eval.evaluate("toy", "random", episodes=np.int64(1), gpus=OmegaConf.create([]), settings=theirs)
    assert again.path == ours.path
    chosen = lingbot_eval.evaluate("toy", "random", episodes=1, tasks=np.array([0]), settings=theirs)
    assert chosen.path == ours.path
    assert played(ours.path) == 1


HYDRA = """
import hydra, lingbot_eval
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase

store = ConfigStore.instance()
store.store(name="config", node={"episodes": 1})
store.store(group="suite", name="toy", node={"mine": True})
store.store(group="agent", name="random", node={"mine": True})

@hydra.main(version_base="1.2", config_path=None, config_name="config")
def main(config):
    def all_of_it():
        rules, job = VersionBase.instance().getbase(), HydraConfig.get().job.name
        return GlobalHydra.instance().hydra, rules, job, names(store.repo)
    before = all_of_it()
    run = lingbot_eval.evaluate("toy", "random", episodes=config.episodes, progress=False)
    try:
        lingbot_eval.evaluate("toy", settings={"protocol.comand_limit": 3})
    except lingbot_eval.errors.BadInput:
        pass
    after = all_of_it()
    assert before[0] is after[0] and before[1:] == after[1:], after
    assert ConfigStore.instance() is store
    print(len(run.records()), "played")

def names(tree):
    return {name: names(inner) if isinstance(inner, dict) else id(inner) for name, inner in tree.items()}

if __name__ == "__main__":
    main()
"""


def test_a_program_of_hydras_own_plays_and_keeps_its_hydra(here):
    (here / "program.py").write_text(HYDRA)
    done = subprocess.run([sys.executable, "program.py"], capture_output=True, text=True, timeout=300)
    assert done.stdout == "2 played\n", done.stderr


def test_hydra_can_be_used_after_a_run_and_knows_nothing_of_it(tmp_path):
    agent = tmp_path / "own.py"
    agent.write_text("class Agent:\n    def reset(self, instruction, *, seed): ...\n    def act(self, frames): ...\n")
    code = (
        "import hydra; from lingbot_eval.runs.compose import Choices, choose;"
        f"choose('toy', Choices(agent='{agent}:Agent'));"
        "hydra.initialize(config_path=None, version_base='1.2').__enter__();"
        "found = hydra.compose(overrides=['+agent=own'], return_hydra_config=True);"  # a word, for want of such a group
        "print(found.agent, found.hydra.launcher._target_)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout == "own hydra._internal.core_plugins.basic_launcher.BasicLauncher\n", done.stderr


def test_an_error_is_in_the_table_and_not_raised():
    run = lingbot_eval.evaluate("toy", episodes=2, settings={"env.faults.1": "raise"})
    assert run.table()["errors"].tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "choices", "error", "words"),
    [
        (("toi",), {}, UnknownName, "did you mean 'toy'"),
        (("toy", "exprt"), {}, UnknownName, "did you mean 'expert'"),
        (("toy",), {"episode": 3}, UnknownName, "did you mean 'episodes'"),
        (("toy",), {"dry_run": True}, UnknownName, "dry_run"),
        (("toy",), {"settings": {"protocol.comand_limit": 3}}, UnknownName, "protocol.command_limit"),
        (("toy",), {"settings": {"protocol.command_limit": "many"}}, BadInput, "command_limit"),
        (("toy", "lingbot-va"), {"settings": {"agent.checkpoint": "nowhere"}}, (BadInput, NotReady), "nowhere"),
        (("toy",), {"out": ""}, BadInput, "empty"),
        (("toy",), {"group": 0}, BadInput, "--group chooses among RoboTwin's tasks"),
        (("toy",), {"video": False}, BadInput, "auto.*on.*off"),
        (("--help",), {}, BadInput, "'--help'.*an argument"),
        (("--dry-run",), {}, BadInput, "'--dry-run'.*an argument"),
        (("toy",), {"settings": {"--out": 3}}, BadInput, "'--out'.*an argument"),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_packages_own_errors(here, arguments, choices, error, words):
    with pytest.raises(error, match=words):
        lingbot_eval.evaluate(*arguments, **choices)
    assert list(here.iterdir()) == []


def test_a_class_that_no_worker_could_import_is_refused():
    class Policy:
        pass

    with pytest.raises(BadInput, match="put it into a file"):
        lingbot_eval.evaluate("toy", Policy)


def test_another_experiment_in_the_same_place_is_refused():
    lingbot_eval.evaluate("toy", episodes=1, out="x")
    with pytest.raises(RunMismatch, match=r"suite\.seed: there 0, here 1"):
        lingbot_eval.evaluate("toy", episodes=1, seed=1, out="x")


def test_it_says_how_far_it_is_unless_it_is_told_not_to(capfd):
    lingbot_eval.evaluate("toy", episodes=1)
    assert "2 episodes planned, 2 to play" in capfd.readouterr().out
    lingbot_eval.evaluate("toy", episodes=2, progress=False)
    assert capfd.readouterr() == ("", "")


def test_it_plays_in_a_thread_and_leaves_interrupts_to_the_main_one():
    before, runs = signal.getsignal(signal.SIGINT), []
    thread = threading.Thread(target=lambda: runs.append(lingbot_eval.evaluate("toy", episodes=1)))
    thread.start()
    thread.join()
    assert played(runs[0].path) == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_one_interrupt_finishes_what_is_being_played_and_the_same_call_goes_on():
    over = threading.Event()  # a call that fails by itself must not have another test interrupted

    def interrupt(records: Path) -> None:
        while not over.wait(0.01):
            if any(file.read_bytes().endswith(b"\n") for file in records.glob("*/records/*.jsonl")):  # one is whole
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=interrupt, args=[Path("runs").absolute()])
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            lingbot_eval.evaluate("toy", episodes=300, workers=1)
    finally:
        over.set()
        thread.join()
    (folder,) = Path("runs").iterdir()
    assert 0 < played(folder) < 600
    assert not list(folder.glob("claims/*"))
