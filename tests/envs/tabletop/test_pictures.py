from __future__ import annotations

import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sapien", reason="the tabletop extra is not installed")
pytest.importorskip("mplib", reason="the tabletop extra is not installed")

from lingbot_eval.envs.robotwin.check import SOFTWARE
from lingbot_eval.envs.robotwin.spec import SIZE
from lingbot_eval.envs.tabletop import TASKS, task_class
from lingbot_eval.envs.tabletop.appearance import COLOURS
from lingbot_eval.envs.tabletop.cameras import FIELDS
from lingbot_eval.envs.tabletop.task import SETTINGS, TabletopTask
from lingbot_eval.envs.vulkan import probe
from lingbot_eval.errors import NotReady
from tests.processes import starved


@pytest.fixture(scope="module")
def device() -> str:
    try:
        return probe().device
    except NotReady as reason:
        pytest.skip(str(reason))


def looked(name: str) -> tuple[TabletopTask, list[float]]:
    """A task in its first scene, and the CPU seconds of three looks at it."""
    task, seconds = task_class(name)(), []
    task.setup_demo(0, 0, pictures=True)
    for _ in range(3):
        start = time.process_time()
        task.get_obs()
        seconds.append(time.process_time() - start)
    return task, seconds


def first_and_later_looks() -> None:
    """Prints the CPU seconds of ``press_button``'s first look in this process, and of those beside a ``lift_block``."""
    button, (first, *_) = looked("press_button")
    button.close_env()
    block, _ = looked("lift_block")
    print(first, statistics.median(looked("press_button")[1]))
    block.close_env()


def test_the_first_look_of_a_process_costs_little_more_than_those_after_another_task(
    device: str, tmp_path: Path
) -> None:
    if not any(name in device.lower() for name in SOFTWARE):
        pytest.skip(f"{device} draws so fast that a look's time is that of setting up")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "MESA_SHADER_CACHE_DISABLE": "false"}
    code = "from tests.envs.tabletop.test_pictures import *; "
    prepare, measure = (code + f"{what}()" for what in ("looked('lift_block'); print", "first_and_later_looks"))
    subprocess.run([sys.executable, "-c", prepare], env=environment, check=True)  # Mesa has compiled its shaders
    said = subprocess.check_output([sys.executable, "-c", measure], env=environment, text=True).split()
    first, later = float(said[-2]), float(said[-1])
    assert first < 12 * later  # 2 to 3; with SAPIEN's own table of mirroring 60


def test_pictures_are_those_with_sapiens_own_table_of_mirroring(device: str) -> None:
    kept = []  # with the last scene the table goes, and takes 12 s to come again
    for name, setting in ((name, setting) for name in TASKS for setting in SETTINGS):
        task = task_class(name)()
        task.setup_demo(0, 1, setting=setting, pictures=True)
        world, cameras = task.scene.world, task.scene.cameras
        assert cameras is not None
        assert world.render_system.cubemap is None  # what is mirrored
        ours = task.get_obs()["observation"]
        for camera, field in FIELDS.items():
            theirs = world.add_camera("theirs", SIZE[1], SIZE[0], fovy=field, near=0.02, far=10.0)
            theirs.entity.set_pose(cameras._cameras[camera].entity.pose)
            world.update_render()
            theirs.take_picture()
            drawn = (theirs.get_picture("Color")[..., :3] * 255).clip(0, 255).astype(np.uint8)
            np.testing.assert_array_equal(ours[camera]["rgb"], drawn, err_msg=f"{name} {setting} {camera}")
        kept.append(task)
    for task in kept:
        task.close_env()


def test_the_cameras_show_the_block_and_every_reset_the_same(device: str) -> None:
    task, shown = task_class("lift_block")(), []
    for _ in range(2):
        task.setup_demo(0, 0, pictures=True)
        shown.append({name: view["rgb"] for name, view in task.get_obs()["observation"].items()})
    assert list(shown[0]) == ["head_camera", "left_camera", "right_camera"]
    for name, picture in shown[0].items():
        assert picture.shape == (240, 320, 3)
        assert picture.dtype == np.uint8
        assert 40 < picture.mean() < 220, f"{name} is too dark or too bright to see anything"
        np.testing.assert_array_equal(picture, shown[1][name])
    colour = np.array(COLOURS[task.colour])
    hue = shown[0]["head_camera"] / np.linalg.norm(shown[0]["head_camera"], axis=-1, keepdims=True).clip(1)
    assert 40 < (hue @ (colour / np.linalg.norm(colour)) > 0.97).sum() < 4000
    task.close_env()


def test_without_a_driver_the_reason_and_the_remedy_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VK_DRIVER_FILES", "VK_ICD_FILENAMES"):
        monkeypatch.setenv(name, "/no/such/driver.json")
    with pytest.raises(NotReady, match=r"SAPIEN draws nothing here: .*bookworm-backports mesa-vulkan-drivers"):
        probe()
    code = (
        "from lingbot_eval.envs.tabletop import task_class; task_class('lift_block')().setup_demo(0, 0, pictures=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True)
    assert "NotReady: SAPIEN draws nothing here: failed to find a rendering device" in done.stderr


def test_a_machine_that_draws_slowly_is_not_refused(device: str) -> None:
    with starved(share=0.2):
        frame = probe(idle=4.0)
    assert frame.device == device
    assert frame.seconds > 4.0


def test_a_driver_that_hangs_is_given_up_with_how_far_it_came(tmp_path: Path) -> None:
    hangs = tmp_path / "python"
    code = "import time; print('a device is found', flush=True); time.sleep(600)"
    hangs.write_text(f"#!/bin/sh\n{sys.executable} -c {shlex.quote(code)}\n")
    hangs.chmod(0o755)
    said = (
        "SAPIEN drew no picture: its process did nothing for 2 s, after it had said 'a device is found'. SAPIEN needs"
    )
    with pytest.raises(NotReady, match=re.escape(said)):
        probe(str(hangs), idle=2.0)


def test_an_interpreter_without_sapien_says_so() -> None:
    with pytest.raises(NotReady, match="/no/such/python cannot be started"):
        probe("/no/such/python")
