"""Items for training, as the original's own dataset class yields them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[export]'")

from lingbot_eval.datasets.items import open_items
from lingbot_eval.datasets.robots import load_robot
from lingbot_eval.errors import BadInput, NotReady
from tests.datasets.made import Made, walk, write_21

GOLDEN = Path(os.environ.get("LINGBOT_EVAL_GOLDEN", Path(__file__).parents[3] / "shared" / "golden"))


def text(seed: int, rows: int = 5) -> torch.Tensor:
    full = torch.zeros(512, 16, dtype=torch.bfloat16)
    full[:rows] = torch.randn(rows, 16, generator=torch.Generator().manual_seed(seed)).bfloat16()
    return full


def save_latents(
    folder: Path, key: str, episode: int, segment: tuple[int, int], frame_ids: list[int], latent: torch.Tensor,
    size: tuple[int, int], own: torch.Tensor | None = None,
) -> Path:  # fmt: skip
    """As the original's extraction leaves them."""
    start, end = segment
    file = folder / "latents" / "chunk-000" / key / f"episode_{episode:06d}_{start}_{end}.pth"
    file.parent.mkdir(parents=True, exist_ok=True)
    frames = (len(frame_ids) - 1) // 4 + 1
    said = {"latent": latent, "latent_num_frames": frames, "latent_height": size[0], "latent_width": size[1]}
    said |= {"frame_ids": frame_ids, "text_emb": text(1) if own is None else own, "text": "do it", "fps": 10}
    torch.save(said, file)
    return file


@pytest.mark.parametrize("name", ["libero", "robotwin"])
def test_an_item_is_the_originals_bit_for_bit(tmp_path, name):
    if not (GOLDEN / f"data_{name}.json").is_file():
        pytest.skip("no recorded items: LINGBOT_EVAL_GOLDEN names their folder")
    from safetensors.torch import load_file

    case = json.loads((GOLDEN / f"data_{name}.json").read_text())
    tensors = load_file(GOLDEN / f"data_{name}.safetensors")
    start, rows = case["local_start_frame"], tensors["in/action"].numpy()
    end = start + len(rows)
    before = walk(start, rows.shape[1])
    episode = Made(np.concatenate([before, rows, before]), [(0, start, "before"), (start, end, "do it")])
    write_21(tmp_path, [Made(walk(9, rows.shape[1])), episode], {})
    torch.save(text(2, rows=1), tmp_path / "empty_emb.pt")
    for key, latent in tensors.items():
        if key.startswith("in/latent."):
            wrist = name == "robotwin" and "wrist" in key
            camera, size = key.removeprefix("in/latent."), (2, 3) if wrist else (4, 6)
            save_latents(tmp_path, camera, 1, (start, end), case["frame_ids"], latent, size)
    items = open_items(tmp_path, load_robot(name))
    assert len(items) == 1
    item = items[0]
    assert torch.equal(item.latents, tensors["out/latents"])
    assert item.latents.dtype == torch.bfloat16
    assert torch.equal(item.actions, tensors["out/actions"])
    assert torch.equal(torch.signbit(item.actions), torch.signbit(tensors["out/actions"]))
    assert torch.equal(item.mask, tensors["out/actions_mask"])
    assert torch.equal(item.texts[0], text(1)[:5])
    assert torch.equal(items.empty, text(2)[:1])
    assert (items.frames(0), items.task(0), items.episode(0)) == (4, "do it", "1")


KEYS = ("observation.images.agentview_rgb", "observation.images.eye_in_hand_rgb")


@pytest.fixture
def small(tmp_path) -> Path:
    """Two episodes of LIBERO's robot whose numbers do not follow one another, the second with two segments."""
    second = Made(walk(26, 7, 5), [(0, 9, "first"), (9, 26, "then")], more={"task": "both"})
    folder = write_21(tmp_path / "small", [Made(walk(14, 7, 4)), second], {}, numbers=[3, 7])
    latents = torch.randn(4 * 8 * 8, 48, generator=torch.Generator().manual_seed(3)).bfloat16()
    for number, segment in [(3, (0, 14)), (7, (0, 9)), (7, (9, 26))]:
        ids = list(range(segment[0], segment[1], 1))
        ids = ids[: (len(ids) - 1) // 4 * 4 + 1]
        for key in KEYS:
            frames = (len(ids) - 1) // 4 + 1
            rows = latents.repeat(2, 1)[: frames * 64]
            save_latents(folder, key, number, segment, ids, rows, (8, 8), text(number + segment[0]))
    torch.save(text(2, rows=1), folder / "empty_emb.pt")
    return folder


def test_rows_are_the_episodes_own_where_numbers_do_not_follow_one_another(small):
    items = open_items(small, load_robot("libero"))
    assert [items.episode(n) for n in range(3)] == ["3", "7", "7"]
    assert [items.task(n) for n in range(3)] == ["do it", "both", "both"]
    assert [items.frames(n) for n in range(3)] == [4, 3, 5]
    settings, rows = items.settings, walk(26, 7, 5)[9:]
    low, high = np.array(settings.q01)[:7], np.array(settings.q99)[:7]
    expected = np.clip((rows[:16] - low) / (high - low + 1e-6) * 2 - 1, -1.5, 1.5)
    found = items[2].actions[:7, 1:, :, 0].reshape(7, 16).T
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_segment_without_the_latents_of_every_camera_is_left_out(small):
    (small / "latents" / "chunk-000" / KEYS[1] / "episode_000007_0_9.pth").unlink()
    assert len(open_items(small, load_robot("libero"))) == 2


def test_other_wordings_follow_the_own_one(small):
    from lingbot_eval.datasets.wordings import write_texts

    lines = [{"text": "first", "others": ["before", "first", "unknown"]}, {"text": "else", "others": ["then"]}]
    (small / "meta" / "wordings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_texts(small, {"before": text(9)[:3], "then": text(8)[:2]})
    items = open_items(small, load_robot("libero"))
    assert [len(items[n].texts) for n in range(3)] == [1, 2, 1]
    assert torch.equal(items[1].texts[1], text(9)[:3])


def test_the_hash_is_of_the_content_and_not_of_the_place(small, tmp_path):
    items = open_items(small, load_robot("libero"))
    first = items.hash()
    assert first == open_items(small, load_robot("libero")).hash()
    moved = small.rename(tmp_path / "moved")
    assert open_items(moved, load_robot("libero")).hash() == first
    file = moved / "latents" / "chunk-000" / KEYS[0] / "episode_000003_0_14.pth"
    save_latents(moved, KEYS[0], 3, (0, 14), list(range(13)), torch.ones(4 * 64, 48).bfloat16(), (8, 8))
    assert file.is_file()
    assert open_items(moved, load_robot("libero")).hash() != first


def test_several_datasets_in_a_folder_are_one(small, tmp_path):
    (tmp_path / "all").mkdir()
    small.rename(tmp_path / "all" / "a")
    os.rename(tmp_path / "all" / "a" / "empty_emb.pt", tmp_path / "all" / "empty_emb.pt")
    other = write_21(tmp_path / "all" / "b", [Made(walk(9, 7))], {})
    for key in KEYS:
        save_latents(other, key, 0, (0, 9), list(range(9)), torch.zeros(3 * 64, 48).bfloat16(), (8, 8))
    items = open_items(tmp_path / "all", load_robot("libero"))
    assert [items.episode(n) for n in range(4)] == ["a/3", "a/7", "a/7", "b/0"]


def test_a_held_tail_repeats_the_last_command(small):
    import msgspec

    robot = msgspec.structs.replace(load_robot("libero"), tail="hold")
    for key in KEYS:
        (small / "latents" / "chunk-000" / key / "episode_000007_0_9.pth").unlink()
        zeros = torch.zeros(4 * 64, 48).bfloat16()
        save_latents(small, key, 7, (0, 9), list(range(13)), zeros, (8, 8))
    held = open_items(small, robot)[1].actions[:7, 1:, :, 0].reshape(7, 12)
    assert torch.equal(held[:, 8:], held[:, 8:9].expand(7, 4))
    with pytest.raises(BadInput, match="4 latent frames need 12 rows, and there are 9"):
        open_items(small, load_robot("libero"))[1]


def test_what_is_missing_is_said_in_a_line(small, tmp_path):
    with pytest.raises(NotReady, match=r"no LeRobot dataset.*export RUN --to lerobot-2.1"):
        open_items(tmp_path / "nothing", load_robot("libero"))
    with pytest.raises(NotReady, match=r"none of the 3 segments .*cam_high.*lingbot-eval latents"):
        open_items(small, load_robot("robotwin"))
    (small / "empty_emb.pt").unlink()
    with pytest.raises(NotReady, match=r'empty_emb.pt, the text of "", is missing'):
        open_items(small, load_robot("libero"))


class Hostile:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_a_file_that_holds_code_is_refused_and_not_run(small, tmp_path):
    file = small / "latents" / "chunk-000" / KEYS[0] / "episode_000003_0_14.pth"
    torch.save({"latent": Hostile(tmp_path / "ran")}, file)
    items = open_items(small, load_robot("libero"))
    with pytest.raises(BadInput, match="holds more than tensors, numbers and words") as caught:
        items[0]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BadInput, match="it is damaged"):
        items[0]


def test_pictures_at_another_distance_than_the_robots_are_refused(small):
    for key in KEYS:
        save_latents(small, key, 3, (0, 14), [0, 2, 4, 6, 8], torch.zeros(2 * 64, 48).bfloat16(), (8, 8))
    with pytest.raises(BadInput, match="2 rows apart, and the robot libero has 1"):
        open_items(small, load_robot("libero"))[0]


def test_poses_may_be_relative_to_where_the_hands_were(tmp_path):
    """What an exported episode's commands become is then what is played: relative to the state that is seen."""
    import msgspec

    from lingbot_eval.envs.robotwin import poses

    robot = load_robot("tabletop")
    states, actions = (walk(10, 16, seed) for seed in (1, 2))
    folder = write_21(tmp_path, [Made(actions, [(1, 10, "do it")], states=states)], {})
    for key, size in zip(robot_cameras(), [(4, 6), (2, 3), (2, 3)], strict=True):
        latent = torch.zeros(4 * size[0] * size[1], 48).bfloat16()
        save_latents(folder, key, 0, (1, 10), list(range(1, 14)), latent, size)
    torch.save(text(2, rows=1), folder / "empty_emb.pt")
    item = open_items(folder, robot)[0]
    settings = open_items(folder, robot).settings
    low, high = (np.array(bounds)[list(settings.channels)] for bounds in (settings.q01, settings.q99))
    played = poses.relative(states[1], actions[1:])
    expected = np.clip((played - low) / (high - low + 1e-6) * 2 - 1, -1.5, 1.5)
    found = item.actions[list(settings.channels), 1:, :, 0].reshape(16, 12).T
    np.testing.assert_allclose(found[:9], expected, atol=1e-4)
    assert torch.equal(found[9:], found[8:9].expand(3, 16))
    no_states = write_21(tmp_path / "none", [Made(actions, [(1, 10, "do it")])], {})
    for file in (folder / "latents").rglob("*.pth"):
        target = no_states / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    torch.save(text(2, rows=1), no_states / "empty_emb.pt")
    with pytest.raises(BadInput, match=r"episode_000000\.parquet cannot be read: it has no column observation\.state"):
        open_items(no_states, robot)[0]
    narrow = msgspec.structs.replace(
        robot, relative=(msgspec.structs.replace(robot.relative[0], rotation=(3, 4, 5, 16)),)
    )
    with pytest.raises(BadInput, match=r"relative names column 16, and the robot has columns 0\.\.15"):
        open_items(folder, narrow)


def robot_cameras() -> list[str]:
    return [f"observation.images.cam_{name}" for name in ("high", "left_wrist", "right_wrist")]


def test_latents_of_another_robot_or_of_other_encoders_are_not_trained_on(small, tmp_path):
    import msgspec

    from lingbot_eval.datasets.made import Made as By
    from lingbot_eval.datasets.made import write_made
    from lingbot_eval.settings import to_dict

    robot = load_robot("libero")
    write_made(small, By(to_dict(robot), "0123456789ab", "float32"))
    assert len(open_items(small, robot)) == 3
    narrow = msgspec.structs.replace(robot, settings={**robot.settings, "q01": [-1.0] * 30})
    assert len(open_items(small, narrow)) == 3  # commands are normalised when they are read
    other = msgspec.structs.replace(robot, settings={**robot.settings, "height": 256})
    with pytest.raises(BadInput, match=r"made for another robot than libero: height was 128, and is 256"):
        open_items(small, other)
    (tmp_path / "all").mkdir()
    small.rename(tmp_path / "all" / "a")
    second = write_21(tmp_path / "all" / "b", [Made(walk(9, 7))], {})
    (second / "latents").mkdir()
    write_made(second, By(to_dict(robot), "ba9876543210", "float32"))
    with pytest.raises(BadInput, match="were made by different encoders"):
        open_items(tmp_path / "all", robot)


def test_a_file_of_what_is_no_matrix_of_numbers_is_refused(small):
    file = small / "latents" / "chunk-000" / KEYS[0] / "episode_000003_0_14.pth"
    said = torch.load(file)
    for wrong in (said["latent"].to_sparse(), said["latent"].int(), said["latent"][0]):
        torch.save({**said, "latent": wrong}, file)
        with pytest.raises(BadInput, match="must be matrices of floating-point numbers"):
            open_items(small, load_robot("libero"))[0]
