"""A checkpoint that was trained here needs no settings to be played, and says itself what it was trained on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

import lingbot_eval
from lingbot_eval.agents import kind_of
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.models.lingbot_va.saving import write_upstream
from lingbot_eval.runs.compose import Choices, choose
from lingbot_eval.runs.evaluation import specs_of
from lingbot_eval.runs.experiment import experiment_of
from lingbot_eval.settings import RunSettings
from lingbot_eval.settings.trained import Trained
from lingbot_eval.suites.machine import Machine
from tests.models.lingbot_va.test_loading import as_lerobot
from tests.models.lingbot_va.test_saving import TRAINING

SETTINGS = msgspec.structs.replace(
    load_benchmark("robotwin"), height=64, width=64, frames=1, commands_per_frame=8, video_steps=3, action_steps=5
)


@pytest.fixture(scope="module")
def own(tiny, tmp_path_factory) -> Path:
    base, folder = locate(str(tiny)), tmp_path_factory.mktemp("own") / "checkpoint"
    state = loading.load_transformer(base, torch.float32, torch.device("cpu")).state_dict()
    write_upstream(folder, state, base, SETTINGS, TRAINING)
    return folder


def chosen(checkpoint: Path | str, *overrides: str, **choices: str) -> RunSettings:
    words = (f"agent.checkpoint={checkpoint}", *overrides)
    return choose("tabletop", Choices(agent="lingbot-va", overrides=words, **choices))  # type: ignore[arg-type]


def checked(run: RunSettings):
    return kind_of(run.agent).check(run.agent, specs_of(run)[0][1])[0]


def test_all_settings_follow_from_the_checkpoint(own, capsys):
    agent = chosen(own).agent
    assert agent.lingbot.settings == SETTINGS
    assert agent.commands_per_action == 2
    assert checked(chosen(own)) == agent
    assert capsys.readouterr().err == ""


def test_how_it_samples_is_chosen_and_what_it_was_trained_with_is_not(own, capsys):
    run = chosen(own, "agent.lingbot.settings.action_steps=2", "agent.lingbot.settings.frames=4")
    settings = checked(run).lingbot.settings
    assert (settings.action_steps, settings.frames) == (2, 1)
    assert "frames: the checkpoint says 1, the settings 4" in capsys.readouterr().err


def test_another_number_of_commands_is_refused_with_the_right_one(own):
    with pytest.raises(BadInput, match=r"it gives 2 commands per action, here are 4 \(agent\.commands_per_action=2\)"):
        checked(chosen(own, "agent.commands_per_action=4"))


def test_lerobots_layout_decides_the_number_of_commands_too(tiny, tmp_path):
    folder = as_lerobot(tiny, tmp_path / "lerobot", action_per_frame=32)
    assert chosen(folder).agent.commands_per_action == 8
    assert chosen(tiny).agent.commands_per_action == 4  # upstream's says nothing


def of(run: RunSettings):
    machine = Machine(simulator=run.env, facts={}, notes={}, said=())
    return experiment_of(run, machine, "0123456789ab", kind_of(run.agent).trained(run.agent))


def test_the_training_regime_is_read_from_the_checkpoint(own, tiny):
    assert of(chosen(own)).regime == of(chosen(own, regime=TRAINING.regime)).regime == TRAINING.regime
    assert of(chosen(own)).trained == Trained(TRAINING.regime, TRAINING.tasks)
    assert of(chosen(tiny, regime="two tasks")).regime == "two tasks"
    assert of(chosen(tiny)).trained is None
    with pytest.raises(BadInput, match="regime 'A': the checkpoint itself says '3 episodes of lift_block'"):
        of(chosen(own, regime="A"))


def test_an_experiment_that_says_nothing_of_training_is_as_it_was(tiny):
    assert "trained" not in of(chosen(tiny)).as_dict()


def test_a_name_that_is_not_shipped_is_refused_in_a_line():
    with pytest.raises(BadInput, match="unknown built-in checkpoint 'moon'"):
        chosen("builtin:moon")


def test_what_lies_in_the_package_is_shipped(own, tmp_path):
    """A copy of the package with one more folder in it."""
    source = Path(lingbot_eval.__file__).parent
    copy = Path(shutil.copytree(source, tmp_path / "lingbot_eval", ignore=shutil.ignore_patterns("__pycache__")))
    shutil.rmtree(copy / "models" / "lingbot_va" / "checkpoints", ignore_errors=True)
    shutil.copytree(own, copy / "models" / "lingbot_va" / "checkpoints" / "moon")

    def said(code: str) -> str:
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    found = "from lingbot_eval.models.lingbot_va.checkpoint import locate; "
    assert said(found + "print(locate('builtin:moon').hash())").strip() == locate(str(own)).hash()
    named = "from lingbot_eval.cli.lingbot_eval import main; main(['ls', 'checkpoints'])"
    assert said(named) == "builtin:moon\n"
    refused = found + "\ntry: locate('builtin:mon')\nexcept Exception as error: print(error)"
    assert said(refused).strip() == ("unknown built-in checkpoint 'mon'; did you mean 'moon'? (valid: moon)")
