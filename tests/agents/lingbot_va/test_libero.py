"""Whole LIBERO episodes with LingBot-VA: random weights, real physics."""

from __future__ import annotations

import dataclasses
import json

import imageio
import msgspec
import numpy as np
import pytest

from lingbot_eval import hashes
from lingbot_eval.agents import kind_of
from lingbot_eval.cli.run_suite import main
from lingbot_eval.errors import BadInput
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.evaluation import specs_of
from lingbot_eval.runs.presence import Coordinator, this_process
from lingbot_eval.runs.recorded import settings_of
from lingbot_eval.settings import to_dict
from lingbot_eval.types import Outcome
from lingbot_eval.videos import bar_height
from tests.models.lingbot_va.test_loading import as_lerobot
from tests.planning import checked, settings

BAR = bar_height(256)

QUICK = ["agent.lingbot.dtype=float32", "agent.lingbot.settings.video_steps=2", "agent.lingbot.settings.action_steps=2"]
SHORT = ["protocol.command_limit.libero_object=32", "--suite", "object", "--tasks", "0", "--episodes", "1"]


def chosen(benchmark: str, checkpoint: object, *overrides: str):
    groups = {"libero": "protocol=libero/strict", "toy": "protocol=toy/toy"}
    composed = [f"suite={benchmark}", f"env={benchmark}", "agent=lingbot-va", groups[benchmark]]
    return settings(composed, [f"agent.checkpoint={checkpoint}", *QUICK, *overrides])


def test_two_identical_runs_give_identical_actions_and_say_which_weights(tiny, tmp_path, assets, monkeypatch):
    monkeypatch.setenv("LIBERO_ASSETS", assets)
    """The second is filmed, which changes nothing."""
    commands = []
    for video in ("off", "auto"):
        out = tmp_path / video
        arguments = ["libero", *SHORT, "--agent", "lingbot-va", "--video", video, "--out", str(out), "actions=true"]
        assert main([*arguments, f"agent.checkpoint={tiny}", *QUICK]) == 0
        (record,) = RunDirectory(out).records().final().values()
        assert (record.outcome, record.commands) == (Outcome.FAILURE, 32)  # random weights
        with np.load(next((out / "actions").glob("*/*.npz"))) as kept:
            commands.append(kept["actions"])
        assert record.spent.model > 0
        assert record.imagination.frames == 3 + 4  # the third chunk's never came
        assert (record.imagination.psnr is None) == (video == "off")
    (film,) = (out / "videos").glob("*/*.mp4")
    pictures = imageio.get_reader(film)
    assert pictures.count_frames() == 1 + 32
    assert np.asarray(pictures.get_data(0)).shape == (2 * (BAR + 256), 2 * 256, 3)
    assert commands[0].shape == (32, 1, 7)
    assert np.array_equal(*commands)
    _, checkpoint = checked(chosen("libero", tiny))
    assert len(checkpoint) == 12
    assert record.provenance is not None
    assert record.provenance.checkpoint == checkpoint
    run = json.loads((out / "run.json").read_text())
    assert run["experiment"]["agent"]["lingbot"]["settings"]["video_steps"] == 2


@pytest.mark.parametrize(
    ("benchmark", "overrides", "words"),
    [
        (
            "toy",
            [],
            r"LingBot-VA cannot play this environment: it reads the cameras head, wrist, here are head.*: choose the",
        ),
        (
            "libero",
            ["agent.commands_per_action=4"],
            r"it gives 1 commands per action, here are 4 \(agent\.commands_per_action=1\)",
        ),
        ("libero", ["agent.looks=false"], r"needs pictures: agent\.looks=true"),
        (
            "libero",
            ["agent.lingbot.settings.channels=[0,1]"],
            r"its commands are LingBot-VA's channels \(0, 1\), here \(0, 1, .*6\): choose the --agent preset of this",
        ),
    ],
)
def test_what_cannot_be_played_is_refused_before_weights_are_loaded(tiny, benchmark, overrides, words):
    with pytest.raises(BadInput, match=words):
        checked(chosen(benchmark, tiny, *overrides))


def test_what_is_checked_before_a_run_is_what_a_session_asks_for(tiny):
    """Cameras in another order, and one more: the checkpoint finds its own by their names."""
    run = chosen("libero", tiny)
    kind, ((_, spec),) = kind_of(run.agent), specs_of(run)
    others = {"extra": (64, 64), **dict(reversed(spec.cameras.items()))}
    kind.check(run.agent, dataclasses.replace(spec, cameras=others))


def test_what_a_checkpoint_says_itself_is_what_is_checked_recorded_and_told(tiny, tmp_path, capsys):
    two = as_lerobot(tiny, tmp_path / "two", action_num_inference_steps=7)
    with pytest.raises(BadInput, match=r"LingBot-VA's channels \(3, 1\), here \(0, 1, 2, 3, 4, 5, 6\)"):
        checked(chosen("libero", two))
    assert "action_steps: the checkpoint says 7, the settings 2" in capsys.readouterr().err
    seven = as_lerobot(tiny, tmp_path / "seven", channels=range(7), action_num_inference_steps=7)
    agent, _ = checked(chosen("libero", seven))
    assert agent.lingbot is not None
    assert (agent.lingbot.settings.action_steps, agent.lingbot.settings.q99[:3]) == (7, (1, 2, 3))
    capsys.readouterr()
    assert checked(msgspec.structs.replace(chosen("libero", seven), agent=agent))[0] == agent
    assert capsys.readouterr().err == ""


def test_rehash_believes_no_remembered_hash(tiny, tmp_path, assets, monkeypatch, capsys):
    monkeypatch.setenv("LIBERO_ASSETS", assets)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(hashes, "SETTLED_NS", -(10**18))  # files of this moment are remembered
    right = checked(chosen("libero", tiny))[1]
    file = hashes.cache_file()
    file.write_text(
        json.dumps({name: {**entry, "sha256": "ab" * 32} for name, entry in json.loads(file.read_text()).items()})
    )
    wrong = checked(chosen("libero", tiny))[1]
    assert wrong != right
    out = tmp_path / "out"
    arguments = [
        "libero",
        *SHORT,
        "--agent",
        "lingbot-va",
        f"agent.checkpoint={tiny}",
        *QUICK,
        "--out",
        str(out),
        "--dry-run",
    ]
    assert main([*arguments, "--rehash"]) == 0
    assert checked(chosen("libero", tiny))[1] == right  # which it has put right


def test_a_session_of_an_older_version_which_knew_no_parts_is_read(tiny, tmp_path):
    from tests.reports.folders import directory

    run = directory(tmp_path / "run", [], [])
    kept = to_dict(settings(["suite=libero", "env=libero", "agent=lingbot-va", "protocol=libero/strict"], []))
    del kept["agent"]["lingbot"]["parts"]
    session = Coordinator("run-suite libero", "there", this_process(), {}, kept, 1, "2026-01-01T00:00:00+00:00")
    (run.path / "sessions").mkdir()
    (run.path / "sessions" / "0.json").write_bytes(msgspec.json.encode(session))
    lingbot = settings_of(run).agent.lingbot
    assert lingbot is not None
    assert lingbot.parts is None


def test_an_illegal_setting_on_the_command_line_is_refused():
    with pytest.raises(BadInput, match="negative prompt"):
        chosen("libero", "x", "agent.lingbot.settings.video_guidance=1", "agent.lingbot.settings.action_guidance=2")
