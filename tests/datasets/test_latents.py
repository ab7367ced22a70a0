"""``lingbot-eval latents``, on a dataset that is not ours: 3.0, many episodes in a file, other cameras, joints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.datasets.items import open_items
from lingbot_eval.datasets.latent_files import read_latents
from lingbot_eval.datasets.robots import load_robot, settings_of
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.loading import load_text_encoder, load_vae
from lingbot_eval.models.lingbot_va.text import TextEncoder
from lingbot_eval.models.lingbot_va.vision import Vision
from tests.datasets.made import Made, picture, walk, write_21, write_30

CAMERAS = {"observation.images.top": (48, 64), "observation.images.side": (40, 40)}

ROBOT = """
name: joints
preset: demo
settings:
  cameras: {top: observation.images.top, side: observation.images.side}
  height: 32
  width: 32
columns:  # the gripper is the dataset's second column, and one column is left out
  - {column: joint_0, channel: 14, q01: -1.0, q99: 1.0}
  - {column: joint_2, channel: 15, q01: -1.0, q99: 1.0}
  - {column: joint_1, channel: 28, q01: -1.0, q99: 1.0}
fps: 10
"""


@pytest.fixture
def robot(tmp_path) -> Path:
    (tmp_path / "joints.yaml").write_text(ROBOT)
    return tmp_path / "joints.yaml"


EPISODES = [
    Made(walk(21, 4, 1), tasks=("pick up the bowl",)),
    Made(walk(13, 4, 2), tasks=("open the drawer",)),
    Made(walk(24, 4, 3), tasks=("pick up the bowl",)),
]


@pytest.fixture
def strangers(tmp_path) -> Path:
    return write_30(tmp_path / "strangers", EPISODES, CAMERAS)


def latents(folder: Path, robot: Path, tiny: Path, *more: str) -> int:
    return main(["latents", str(folder), "--checkpoint", str(tiny), "--robot", str(robot), *more])


def test_a_new_robot_needs_no_code_from_videos_to_items(strangers, robot, tiny, capsys):
    assert latents(strangers, robot, tiny) == 0
    assert "3 segments encoded for the robot joints, 0 were there" in capsys.readouterr().out
    assert main(["dataset", "check", str(strangers)]) == 0
    assert "3 segments, as the robot joints has them: nothing is wrong" in capsys.readouterr().out
    items = open_items(strangers, load_robot(str(robot)))
    assert len(items) == 3
    assert [items.frames(n) for n in range(3)] == [3, 2, 3]  # a picture every second row
    item = items[2]
    assert item.latents.shape == (48, 3, 2, 4)
    assert item.actions.shape == item.mask.shape == (30, 3, 8, 1)
    assert np.flatnonzero(item.mask[:, 0, 0, 0]).tolist() == [14, 15, 28]
    played = item.actions[[14, 15, 28], 1:, :, 0].reshape(3, 16).T
    np.testing.assert_allclose(played, EPISODES[2].actions[:16, [0, 2, 1]].clip(-1.5, 1.5), atol=1e-5)
    assert items.task(1) == "open the drawer"


def test_latents_are_those_of_play_at_the_same_pictures(strangers, robot, tiny):
    """Of the episode in the middle of a shared video."""
    latents(strangers, robot, tiny)
    settings, checkpoint, cpu = settings_of(load_robot(str(robot))), locate(str(tiny)), torch.device("cpu")
    vision = Vision(load_vae(checkpoint, torch.float32, cpu), settings, torch.float32, cpu)
    seen = {
        name: np.stack([picture(1, camera, row, size) for row in range(0, 9, 2)])
        for camera, (name, size) in enumerate(zip(settings.cameras, CAMERAS.values(), strict=True))
    }
    memory: dict[str, list[object]] = {}
    parts = [vision.encode({name: images[piece] for name, images in seen.items()}, memory)
             for piece in (slice(0, 1), slice(1, 5))]  # fmt: skip
    played = torch.cat(parts, dim=2)[0]
    found = open_items(strangers, load_robot(str(robot)))[1].latents.float()
    assert found.shape == played.shape
    assert (found - played).abs().mean() < 0.15 * played.std()  # the video is not lossless
    other = open_items(strangers, load_robot(str(robot)))[0].latents.float()[:, :2]
    assert (other - played).abs().mean() > 3 * (found - played).abs().mean()


def test_videos_encoded_together_are_as_each_alone_in_play(tiny, robot):
    settings, cpu = settings_of(load_robot("tabletop")), torch.device("cpu")
    vision = Vision(load_vae(locate(str(tiny)), torch.float32, cpu), settings, torch.float32, cpu)
    random = np.random.default_rng(0)
    videos = [{name: random.integers(0, 256, (21, 40, 56, 3), np.uint8) for name in settings.cameras} for _ in range(2)]
    for video, together in zip(videos, vision.of_videos(videos), strict=True):
        memory: dict[str, list[object]] = {}
        pieces = [slice(0, 1), slice(1, 5), slice(5, 13), slice(13, 21)]
        whole = [vision.encode({name: images[piece] for name, images in video.items()}, memory) for piece in pieces]
        head, left, right = together.values()
        laid_out = torch.cat([torch.cat([left, right], dim=-1), head], dim=-2)
        torch.testing.assert_close(laid_out, torch.cat(whole, dim=2)[0], atol=2e-5, rtol=1e-4)


def test_a_file_has_what_the_original_reads(strangers, robot, tiny):
    latents(strangers, robot, tiny)
    file = strangers / "latents" / "chunk-000" / "observation.images.side" / "episode_000002_0_24.pth"
    said = torch.load(file, weights_only=True)
    wanted = {"latent_num_frames": 3, "latent_height": 2, "latent_width": 2, "video_num_frames": 9, "fps": 5}
    wanted |= {"video_height": 40, "video_width": 40, "ori_fps": 10, "start_frame": 0, "end_frame": 24}
    wanted |= {"frame_ids": list(range(0, 17, 2)), "text": "pick up the bowl"}
    assert {key: value for key, value in said.items() if not isinstance(value, torch.Tensor)} == wanted
    assert (said["latent"].shape, said["latent"].dtype) == ((12, 48), torch.bfloat16)
    assert (said["text_emb"].shape, said["text_emb"].dtype) == ((512, 32), torch.bfloat16)
    assert file.stat().st_size < 12 * 48 * 2 + 512 * 32 * 2 + 4096  # no storage of a whole batch
    cpu = torch.device("cpu")
    encoder = load_text_encoder(locate(str(tiny)), torch.float32, cpu)
    text = TextEncoder(tiny / "tokenizer" / "tokenizer.json", encoder, device=cpu, padded=True)
    own = text.embed("pick up the bowl").bfloat16()
    assert torch.equal(said["text_emb"][: len(own)], own)
    assert not said["text_emb"][len(own) :].any()
    empty = torch.load(strangers / "empty_emb.pt", weights_only=True)
    assert empty.shape == (512, 32)
    assert torch.equal(empty[:1], text.embed("").bfloat16())


def test_other_wordings_are_encoded_and_become_texts(strangers, robot, tiny):
    line = {"text": "open the drawer", "others": ["the drawer open", "open it"]}
    (strangers / "meta" / "wordings.jsonl").write_text(json.dumps(line) + "\n")
    latents(strangers, robot, tiny)
    items = open_items(strangers, load_robot(str(robot)))
    assert [len(items[n].texts) for n in range(3)] == [1, 3, 1]
    assert all(not torch.equal(items[1].texts[0], other) for other in items[1].texts[1:])
    assert items[1].texts[1].shape[1] == 32


def test_a_folder_of_several_datasets_is_encoded_as_one(tmp_path, robot, tiny):
    for name, episode in zip("ab", EPISODES, strict=False):
        write_21(tmp_path / "all" / name, [episode], CAMERAS)
    assert latents(tmp_path / "all", robot, tiny) == 0
    items = open_items(tmp_path / "all", load_robot(str(robot)))
    assert [(items.episode(n), items.task(n)) for n in range(2)] == [
        ("a/0", "pick up the bowl"),
        ("b/0", "open the drawer"),
    ]
    assert (tmp_path / "all" / "empty_emb.pt").is_file()
    assert main(["dataset", "check", str(tmp_path / "all")]) == 0


def contents(folder: Path) -> dict[str, bytes]:
    files = [file for file in (folder / "latents").rglob("*") if file.suffix in (".pth", ".safetensors")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_what_was_killed_goes_on_and_ends_the_same(tmp_path, robot, tiny):
    """Two segments per episode, several workers."""
    segments = [(0, 9, "pick up the bowl"), (9, 20, "put it on the plate")]
    episodes = [Made(walk(20, 4, n), segments) for n in range(6)]
    whole, killed = (write_21(tmp_path / name, episodes, CAMERAS) for name in ("whole", "killed"))
    assert latents(whole, robot, tiny) == 0
    command = [sys.executable, "-m", "lingbot_eval.cli.lingbot_eval", "latents", str(killed)]
    command += ["--checkpoint", str(tiny), "--robot", str(robot)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not any(killed.glob("latents/chunk-000/*/*.pth")) and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = len(contents(killed))
    assert before
    assert latents(killed, robot, tiny, "--workers", "2") == 0
    assert len(contents(whole)) == 2 * 12 + 1
    assert contents(killed).keys() == contents(whole).keys()
    one, other = open_items(whole, load_robot(str(robot))), open_items(killed, load_robot(str(robot)))
    for n in range(12):
        torch.testing.assert_close(one[n].latents, other[n].latents, atol=0.02, rtol=0.01)
        assert torch.equal(one[n].texts[0], other[n].texts[0])
    assert not [file for file in (killed / "latents").rglob(".*") if file.name != ".lock"]


def refused(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    err: str = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("lingbot-eval: ")
    return err


def test_what_does_not_fit_is_said_in_a_line(strangers, robot, tiny, tmp_path, capsys):
    words = ["latents", str(strangers), "--checkpoint", str(tiny)]
    assert "does not say of which robot" in refused(capsys, *words)
    assert "no pictures of observation.images.cam_high" in refused(capsys, *words, "--robot", "robotwin")
    assert "unknown robot 'robotwn'; did you mean 'robotwin'?" in refused(capsys, *words, "--robot", "robotwn")
    other = tmp_path / "other.yaml"
    other.write_text(ROBOT.replace("height: 32", "height: 64"))
    assert latents(strangers, robot, tiny) == 0
    assert "height was 32, and is 64" in refused(capsys, *words, "--robot", str(other))
    (strangers / "latents" / "made.json").unlink()
    assert "has latents that another program made" in refused(capsys, *words, "--robot", str(robot))
    other.write_text(ROBOT + "tails: cut\n")
    assert "other.yaml: settings: Object contains unknown field tails" in refused(capsys, *words, "--robot", str(other))
    video = strangers / "videos" / "observation.images.top" / "chunk-000" / "file-000.mp4"
    video.write_bytes(b"no video")
    again = write_30(tmp_path / "again", EPISODES, CAMERAS)
    (again / "videos" / "observation.images.top" / "chunk-000" / "file-000.mp4").write_bytes(b"no video")
    words[1] = str(again)
    assert "file-000.mp4 cannot be read as a video" in refused(capsys, *words, "--robot", str(robot))


def test_nothing_is_written_through_a_link(strangers, robot, tiny, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (strangers / "latents").mkdir()
    (strangers / "latents" / "chunk-000").symlink_to(tmp_path / "elsewhere")
    words = ["latents", str(strangers), "--checkpoint", str(tiny), "--robot", str(robot)]
    assert "chunk-000 is a link" in refused(capsys, *words)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_segment_too_short_is_left_out_and_a_tail_is_held(tmp_path, robot, tiny, capsys):
    episodes = [Made(walk(11, 4, 1), [(0, 3, "open"), (3, 11, "pick up")])]
    folder = write_21(tmp_path / "short", episodes, CAMERAS)
    assert latents(folder, robot, tiny) == 0
    assert "2 left out: too short" in capsys.readouterr().out  # 8 rows are four pictures, every second row
    held = tmp_path / "held.yaml"
    held.write_text(ROBOT + "tail: hold\n")
    again = write_21(tmp_path / "again", episodes, CAMERAS)
    assert latents(again, held, tiny) == 0
    items = open_items(again, load_robot(str(held)))
    assert [items.frames(n) for n in range(2)] == [2, 2]
    first = items[0].actions[14, 1, :, 0]
    assert torch.equal(first[2:], first[2:3].expand(6))
    file = again / "latents" / "chunk-000" / "observation.images.top" / "episode_000000_0_3.pth"
    assert read_latents(file).frame_ids == [0, 2, 4, 6, 8]
    assert main(["dataset", "check", str(again)]) == 0
