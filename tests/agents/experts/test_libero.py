"""Real successes on real LIBERO, made, recorded and played again through ordinary commands."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from lingbot_eval.cli.run_suite import main
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.types import EpisodeRecord, Outcome

SOUP = ["libero", "--suite", "object", "--tasks", "0", "--episodes", "1"]


@pytest.fixture(scope="module")
def played(assets: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EpisodeRecord]:
    """A run of the expert with its actions and a video, and the record of its only episode."""
    folder = tmp_path_factory.mktemp("expert")
    settings = [f"env.assets={assets}", "actions=true"]
    assert main([*SOUP, "--agent", "expert", "--video", "on", "--out", str(folder), *settings]) == 0
    return folder, only_record(folder)


def only_record(folder: Path) -> EpisodeRecord:
    (record,) = RunDirectory(folder).records().all
    return record


def replayed(assets: str, actions: Path, folder: Path, *settings: str) -> EpisodeRecord:
    more = [f"env.assets={assets}", f"agent.path={actions}", *settings]
    assert main([*SOUP, "--agent", "replay", "--out", str(folder), *more]) == 0
    return only_record(folder)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader leaves its pipe open
def test_the_expert_succeeds_and_its_video_shows_the_episode(played: tuple[Path, EpisodeRecord]) -> None:
    folder, record = played
    assert (record.outcome, record.progress, record.max_progress) == (Outcome.SUCCESS, 1, 1)
    assert record.out_of_bounds == 0
    (video,) = folder.glob("videos/*/0-state00-success.mp4")
    frames = iio.imread(video)
    assert frames.shape[1:] == (256, 512, 3)
    assert len(frames) == pytest.approx(1 + record.commands / 4, abs=1)
    assert frames[0].std() > 20, "the scene is lit"


def test_recorded_actions_succeed_again_and_fail_with_the_grippers_sign_flipped(
    assets: str, played: tuple[Path, EpisodeRecord], tmp_path: Path
) -> None:
    folder, record = played
    again = replayed(assets, folder / "actions", tmp_path / "again")
    assert (again.outcome, again.commands) == (Outcome.SUCCESS, record.commands)

    (file,) = folder.glob("actions/*/*.npz")
    with np.load(file) as recorded:
        actions, episode = recorded["actions"], recorded["episode"]
    actions[..., 6] *= -1
    target = tmp_path / "flipped" / file.parent.name / file.name
    target.parent.mkdir(parents=True)
    np.savez(target, actions=actions, episode=episode)
    limit = f"protocol.command_limit.libero_object={record.commands + 20}"
    flipped = replayed(assets, tmp_path / "flipped", tmp_path / "wrong", limit)
    assert (flipped.outcome, flipped.commands) == (Outcome.FAILURE, record.commands + 20)


@pytest.mark.parametrize(
    ("suite", "task", "commands"),
    [("goal", 0, 150), ("goal", 5, 200), ("goal", 7, 200), ("spatial", 0, 150), ("long", 0, 400)],
    ids=["drawer", "push", "knob", "bowl", "two-objects"],
)
def test_the_expert_knows_drawers_plates_knobs_bowls_and_several_objects(
    assets: str, tmp_path: Path, suite: str, task: int, commands: int
) -> None:
    wanted = ["libero", "--suite", suite, "--tasks", str(task), "--episodes", "1", "--agent", "expert"]
    assert main([*wanted, "--out", str(tmp_path / "run"), f"env.assets={assets}"]) == 0
    record = only_record(tmp_path / "run")
    assert record.outcome is Outcome.SUCCESS
    assert record.commands < commands
