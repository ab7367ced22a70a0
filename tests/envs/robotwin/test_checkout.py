"""A checkout as files: found in either layout, named, and asked what it lacks before anything is played."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lingbot_eval.envs.robotwin import checkout as robotwin_checkout
from lingbot_eval.envs.robotwin.checkout import Checkout
from lingbot_eval.errors import NotReady, UnknownName

LAYOUTS = ("task_config", "env_cfg/task_config")


@pytest.fixture(autouse=True)
def no_checkout(monkeypatch) -> None:
    monkeypatch.delenv("ROBOTWIN_ROOT", raising=False)


def small(root: Path, layout: str = "task_config") -> Path:
    """The files of a checkout that are looked at, with little in them."""
    configs = root / layout
    configs.mkdir(parents=True)
    for name in ("envs", "description/utils"):
        (root / name).mkdir(parents=True)
    (root / "envs" / "_base_task.py").write_text("class Base_Task: pass\n")
    (root / "description" / "utils" / "generate_episode_instructions.py").write_text("")
    contents = {
        "demo_clean": {"embodiment": ["aloha-agilex"]},
        "demo_randomized": {"embodiment": ["aloha-agilex"]},
        "_camera_config": {},
        "_embodiment_config": {"aloha-agilex": {"file_path": "./assets/embodiments/aloha-agilex/"}},
        "_eval_step_limit": {"stack_blocks_two": 801},
    }
    for name, content in contents.items():
        (configs / f"{name}.yml").write_text(yaml.safe_dump(content))
    return root


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_are_understood(tmp_path, layout):
    checkout = Checkout(str(small(tmp_path, layout)))
    assert checkout.command_limit("stack_blocks_two") == 801
    assert checkout.embodiment() == ["aloha-agilex"]


def test_the_root_comes_from_the_environment_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBOTWIN_ROOT", str(small(tmp_path)))
    assert Checkout(None).root == tmp_path


def test_no_checkout_is_said_with_how_to_get_one(tmp_path):
    with pytest.raises(NotReady, match=r"no RoboTwin checkout: git clone .*env\.root=DIR.*env\.python"):
        Checkout(None)
    with pytest.raises(NotReady, match="is no RoboTwin checkout"):
        Checkout(str(tmp_path))


def test_a_task_without_a_command_limit_is_an_error_and_not_a_thousand(tmp_path):
    with pytest.raises(UnknownName, match="place_empty_cup"):
        Checkout(str(small(tmp_path))).command_limit("place_empty_cup")


def test_unknown_code_is_named_by_its_content_and_warned_about(tmp_path):
    checkout = Checkout(str(small(tmp_path)))
    name, warning = checkout.code()
    assert name == checkout.code_hash()
    assert "tried with (2eeec322" in warning
    (tmp_path / "envs" / "_base_task.py").write_text("class Base_Task: limit = 3\n")
    assert checkout.code_hash() != name


def test_known_code_is_named_by_its_commit_wherever_it_lies(tmp_path, monkeypatch):
    one, other = Checkout(str(small(tmp_path / "one"))), Checkout(str(small(tmp_path / "other")))
    monkeypatch.setitem(robotwin_checkout.KNOWN, one.code_hash(), "2eeec322")
    assert other.code() == ("2eeec322", "")


def test_every_missing_asset_is_named_before_anything_starts(tmp_path):
    checkout = Checkout(str(small(tmp_path)))
    scenes = [("stack_bowls_two", "easy"), ("stack_blocks_two", "hard")]
    missing = " / ".join(checkout.missing(scenes, own_arms=False))
    for thing in ("aloha-agilex", "002_bowl (for stack_bowls_two)", "background_texture/unseen", "objaverse"):
        assert thing in missing
    for name in ("embodiments/aloha-agilex", "objects/002_bowl", "objects/objaverse", "background_texture/unseen"):
        (tmp_path / "assets" / name).mkdir(parents=True)
    for name in (
        "embodiments/aloha-agilex/config.yml",
        "objects/objaverse/list.json",
        "background_texture/unseen/0.png",
    ):
        (tmp_path / "assets" / name).touch()
    assert checkout.missing(scenes, own_arms=False) == []


def test_blocks_need_no_assets_with_arms_of_our_own(tmp_path):
    assert Checkout(str(small(tmp_path))).missing([("stack_blocks_two", "easy")], own_arms=True) == []


def test_other_assets_have_another_hash(tmp_path):
    checkout = Checkout(str(small(tmp_path)))
    assert checkout.assets_hash() == "none"
    (tmp_path / "assets" / "objects" / "002_bowl").mkdir(parents=True)
    mesh = tmp_path / "assets" / "objects" / "002_bowl" / "base.glb"
    mesh.write_bytes(b"one")
    first = checkout.assets_hash()
    mesh.write_bytes(b"another")
    assert checkout.assets_hash() not in ("none", first)
