"""An agent's declaration is compared with what the environment speaks before anything starts."""

from __future__ import annotations

import dataclasses

import pytest

from lingbot_eval.agents.speaks import Speaks, refusal, require
from lingbot_eval.envs.toy.spec import env_spec
from lingbot_eval.errors import BadInput
from lingbot_eval.types import columns
from tests.conftest import toy

SPEC = dataclasses.replace(
    env_spec(toy(commands_per_action=4)),
    cameras={"head": (128, 128), "wrist": (96, 128)},
    columns=columns("x y", "m"),
    state=columns("x y", "m") + columns("yaw", "rad"),
    channels=(0, 1),
)

SAME = Speaks(
    cameras=("head", "wrist"), state=("x", "y", "yaw"), columns=("x", "y"), channels=(0, 1), commands_per_action=4
)


def test_who_declares_nothing_and_who_declares_the_same_may_play():
    assert refusal(Speaks(), SPEC) == ""
    assert refusal(SAME, SPEC) == ""
    require(SAME, SPEC, "the agent")


def test_an_agent_may_read_fewer_cameras_in_an_order_of_its_own():
    assert refusal(Speaks(cameras=("wrist",)), SPEC) == ""
    assert refusal(Speaks(cameras=("wrist", "head")), SPEC) == ""
    assert refusal(Speaks(cameras=()), dataclasses.replace(SPEC, cameras={})) == ""


def test_only_cameras_that_it_reads_need_its_size():
    assert refusal(Speaks(cameras=("head",), picture_size=(128, 128)), SPEC) == ""
    assert "here are wrist 96 x 128" in refusal(Speaks(picture_size=(128, 128)), SPEC)
    assert "here are head 128 x 128" in refusal(Speaks(cameras=("head", "wrist"), picture_size=(96, 128)), SPEC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"cameras": ("head", "front")},
            "it reads the cameras head, front, here are head, wrist",
        ),
        (
            {"cameras": ("head",), "picture_size": (128, 64)},
            "it reads pictures of 128 x 64 (height x width), here are head 128 x 128",
        ),
        ({"state": ("x", "y")}, "its state columns are (x, y), here (x, y, yaw)"),
        ({"columns": ("y", "x")}, "its command columns are (y, x), here (x, y)"),
        ({"columns": ("x", "y", "grip")}, "its command columns are (x, y, grip), here (x, y)"),
        ({"channels": (0, 28)}, "its commands are LingBot-VA's channels (0, 28), here (0, 1)"),
        (
            {"commands_per_action": 1},
            "it gives 1 commands per action, here are 4 (agent.commands_per_action=1)",
        ),
    ],
)
def test_what_differs_is_said_with_both_sides(changes, words):
    assert refusal(dataclasses.replace(SAME, **changes), SPEC) == words


def test_a_camera_that_is_read_where_none_is_shown_is_missing():
    blind = dataclasses.replace(SPEC, cameras={})
    assert refusal(SAME, blind) == "it reads the cameras head, wrist, here are none"


def test_everything_that_differs_is_on_the_one_line_of_the_refusal():
    speaks = Speaks(cameras=("front",), columns=("x",), commands_per_action=8)
    with pytest.raises(BadInput) as refused:
        require(speaks, SPEC, "policy.py:Shooting")
    line = str(refused.value)
    assert line.startswith("policy.py:Shooting cannot play this environment: it reads the cameras front, ")
    assert len(line.split("; ")) == 3
    assert "\n" not in line
