"""What recordings hold, and what their files are called."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.wrappers import LOOK_EVERY, RecordActions, RecordImagined, RecordVideo
from lingbot_eval.episode import run_episode
from lingbot_eval.names import safe_name, stem
from lingbot_eval.types import Episode, Imagined, Outcome
from lingbot_eval.videos import bar_height, beside
from tests.conftest import toy

BAR = bar_height(256)

EPISODE = Episode("toy", "reach", 3, "go to the mark")


class Push:
    """A fixed distance per command, three actions at a time, remembering how many looks it had."""

    def __init__(self, metres: float, commands_per_action: int = 1) -> None:
        self.actions = np.full((3, commands_per_action, 1), metres, np.float32)

    def reset(self, instruction, *, seed):
        self.looks = 0

    def act(self, frames):
        self.looks += len(frames)
        return self.actions


def filmed(folder: Path, cameras: bool, commands_per_action: int = 1) -> RecordVideo:
    settings = toy(commands_per_action=commands_per_action, cameras=cameras)
    return RecordVideo(ReachEnv(msgspec.structs.replace(settings, render=not cameras)), folder)


def files(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def read(file: Path) -> tuple[list[np.ndarray], float]:
    """The frames, decoded by ffmpeg, and how many belong to a second."""
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(file), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(ffmpeg, capture_output=True, check=True)
    found = re.search(rb" (\d+)x(\d+)[ ,].* ([\d.]+) fps", done.stderr)
    assert found is not None
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, int(found[2]), int(found[1]), 3)
    return list(frames), float(found[3])


@pytest.mark.parametrize(("commands_per_action", "rate"), [(1, 10.0), (2, 5.0)])
def test_a_video_has_a_frame_per_look_and_the_speed_of_the_world(tmp_path, commands_per_action, rate):
    env, agent = filmed(tmp_path, True, commands_per_action), Push(0.04, commands_per_action)
    record = run_episode(env, agent, EPISODE)
    env.save(EPISODE, record.outcome)
    frames, fps = read(tmp_path / "reach" / "3-success.mp4")
    assert len(frames) == 1 + -(-record.commands // commands_per_action)
    assert fps == rate
    env.close()


def test_a_video_shows_what_the_agent_saw(tmp_path):
    env = filmed(tmp_path, True)
    seen = [env.reset(seed=3)[0]] + [env.step(np.full((1, 1), 0.1, np.float32))[0] for _ in range(6)]
    env.save(EPISODE, Outcome.FAILURE)
    frames, _ = read(tmp_path / "reach" / "3-failure.mp4")
    for look, frame in zip(seen, frames, strict=True):
        assert np.abs(beside(list(look["images"].values())).astype(int) - frame).mean() < 3.0  # lossy, but no other
    assert np.abs(frames[0].astype(int) - frames[6]).mean() > 3.0
    env.close()


def test_an_agent_without_pictures_is_filmed_every_few_commands_and_at_the_end(tmp_path):
    env = filmed(tmp_path, False)
    record = run_episode(env, Push(0.03), EPISODE)
    env.save(EPISODE, record.outcome)
    frames, fps = read(tmp_path / "reach" / "3-success.mp4")
    assert len(frames) == 1 + -(-record.commands // LOOK_EVERY)
    assert fps == 10.0 / LOOK_EVERY
    env.close()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_outcome_is_in_the_files_name(tmp_path, outcome):
    env = filmed(tmp_path, True)
    env.reset(seed=3)
    env.save(EPISODE, outcome)
    assert files(tmp_path) == [f"reach/3-{outcome.value}.mp4"]
    env.close()


def test_an_episode_that_was_never_saved_leaves_no_file(tmp_path):
    env = filmed(tmp_path, True)
    env.reset(seed=3)
    env.reset(seed=4)
    env.close()
    assert files(tmp_path) == []


def test_saving_before_anything_was_seen_writes_nothing(tmp_path):
    env = filmed(tmp_path / "videos", True)
    env.save(EPISODE, Outcome.ERROR)
    assert files(tmp_path) == []
    env.close()


def imagined_by(count: int) -> list[Imagined]:
    """Look n is a picture of brightness 8 n, half as high as what is seen."""
    return [Imagined({"head": np.full((32, 64, 3), 8 * n, np.uint8)}, f"chunk {n}") for n in range(count)]


def test_what_was_imagined_lies_below_what_was_seen_at_the_same_moment(tmp_path):
    env = RecordImagined(ReachEnv(toy()), tmp_path)
    for seed in (4, 3):  # what was kept of the first episode is gone
        seen = [env.reset(seed=seed)[0]] + [env.step(np.full((1, 1), 0.1, np.float32))[0] for _ in range(6)]
    env.show(imagined_by(20))
    env.save(EPISODE, Outcome.FAILURE)
    frames, fps = read(tmp_path / "reach" / "3-failure.mp4")
    assert (len(frames), fps, frames[0].shape) == (7, 10.0, (2 * (BAR + 256), 256, 3))
    for number, (look, frame) in enumerate(zip(seen, frames, strict=True)):
        real, imagined = frame[BAR : BAR + 256], frame[2 * BAR + 256 :]
        assert np.abs(beside([look["images"]["head"]]).astype(int) - real).mean() < 3.0
        assert np.abs(imagined.astype(int) - 8 * number).mean() < 3.0
    env.close()


def test_an_episode_that_broke_off_is_shown_as_far_as_it_went(tmp_path):
    env = RecordImagined(ReachEnv(toy()), tmp_path)
    env.show(imagined_by(1))
    env.save(EPISODE, Outcome.ERROR)
    assert files(tmp_path) == []  # nothing was seen
    env.reset(seed=3)
    env.step(np.full((1, 1), 0.1, np.float32))
    env.show(imagined_by(1))
    env.save(EPISODE, Outcome.ERROR)
    assert len(read(tmp_path / "reach" / "3-error.mp4")[0]) == 1
    env.close()


@pytest.mark.parametrize("kind", [RecordVideo, RecordImagined])
def test_every_nth_episode_of_a_task_is_filmed(tmp_path, kind):
    env, decoded = kind(ReachEnv(toy()), tmp_path, every=3), []

    def looks():
        decoded.append(True)
        yield from imagined_by(9)

    for index in range(5):
        env.reset(seed=index, options={"index": index})
        env.step(np.zeros((1, 1), np.float32))
        if kind is RecordImagined:
            env.show(looks())
        env.save(dataclasses.replace(EPISODE, seed=index), Outcome.FAILURE)
    env.close()
    assert files(tmp_path) == ["reach/0-failure.mp4", "reach/3-failure.mp4"]
    assert len(decoded) == (2 if kind is RecordImagined else 0)  # the others are not even decoded


def test_actions_are_kept_as_they_were_sent(tmp_path):
    env, agent = RecordActions(ReachEnv(toy(commands_per_action=2)), tmp_path), Push(0.3, 2)
    record = run_episode(env, agent, EPISODE)
    env.save(EPISODE, record.outcome)
    with np.load(tmp_path / "reach" / "3.npz", allow_pickle=False) as kept:
        assert str(kept["episode"]) == EPISODE.id
        assert kept["actions"].dtype == np.float32
        np.testing.assert_array_equal(kept["actions"], np.full((-(-record.commands // 2), 2, 1), 0.3, np.float32))


def test_actions_of_an_error_are_not_kept(tmp_path):
    env = RecordActions(ReachEnv(toy()), tmp_path)
    env.reset(seed=3)
    env.step(np.zeros((1, 1), np.float32))
    env.save(EPISODE, Outcome.ERROR)
    assert files(tmp_path) == []


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", ".", "", "a/b", "a\0b", "é" * 300, "-rf"])
def test_a_name_from_elsewhere_stays_inside_the_folder(tmp_path, name):
    episode = dataclasses.replace(EPISODE, task=name, setting=name)
    folder = tmp_path / "run" / "videos"
    folder.mkdir(parents=True)
    video, actions = filmed(folder, True), RecordActions(ReachEnv(toy()), folder)
    for env in (video, actions):
        env.reset(seed=3)
        env.step(np.zeros((1, 1), np.float32))
        env.save(episode, Outcome.SUCCESS)
    video.close()
    assert len(files(folder)) == 2
    assert files(tmp_path) == [f"run/videos/{file}" for file in files(folder)]


@given(st.text(max_size=300))
def test_a_safe_name_is_one_visible_path_component(name):
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,149}", safe_name(name))


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.none() | st.integers(0, 200), st.sampled_from(["", "easy", "hard"])),
        unique=True,
    )
)
def test_episodes_of_a_task_have_files_of_their_own(scenes):
    episodes = [Episode("s", "t", seed, "", setting, state) for seed, state, setting in scenes]
    assert len({stem(episode) for episode in episodes}) == len(episodes)
