"""What an environment speaks is known before its simulator starts, and is what the running one says and shows."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from lingbot_eval.envs.libero import spec as libero
from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.envs.robotwin import spec as robotwin
from lingbot_eval.envs.spaces import action_space, look_space, misfit
from lingbot_eval.envs.testing import check_env
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.envs.toy.spec import env_spec as toy_spec
from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.columns import columns as trained
from lingbot_eval.settings import EnvSettings, default_limits, to_dict
from lingbot_eval.settings.libero import LiberoSettings
from lingbot_eval.settings.tabletop import TabletopSettings
from lingbot_eval.suites import load_protocol, suite_named
from lingbot_eval.types import EnvSpec, columns
from tests.conftest import toy

BOWL = ("libero_spatial", SUITES["libero_spatial"][0])
PRESETS = ["strict", "lingbot-va", "openpi", "lerobot", "vla-eval"]


def libero_settings(protocol: str, assets: str | None = None, count: int = 1, cameras: bool = True) -> EnvSettings:
    return EnvSettings(
        simulator=LiberoSettings(assets=assets, download=False, gl="osmesa", python=None),
        protocol=load_protocol("libero", protocol),
        suite=BOWL[0],
        task=BOWL[1],
        commands_per_action=count,
        cameras=cameras,
        render=False,
    )


def tabletop_settings(commands: str, cameras: bool = False, count: int = 4) -> EnvSettings:
    return EnvSettings(
        simulator=suite_named("tabletop").simulator_settings({}),
        protocol=msgspec.structs.replace(load_protocol("tabletop", "tabletop"), commands=commands),
        suite="tabletop",
        task="lift_block",
        commands_per_action=count,
        cameras=cameras,
        render=False,
    )


def every_static_spec() -> dict[str, EnvSpec]:
    found = {f"libero {name}": libero.env_spec(libero_settings(name, count=8)) for name in PRESETS}
    found |= {commands: robotwin.env_spec(tabletop_settings(commands, True)) for commands in ("relative", "absolute")}
    return {**found, "blind": robotwin.env_spec(tabletop_settings("relative")), "toy": toy_spec(toy())}


@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_the_toy_speaks_as_it_is_known_to(count, cameras):
    settings = toy(commands_per_action=count, cameras=cameras)
    env = ReachEnv(settings)
    assert env.env_spec == toy_spec(settings)
    check_env(env)


@pytest.mark.parametrize(("protocol", "size"), [("lingbot-va", 128), ("openpi", 224)])
def test_libero_speaks_and_shows_as_it_is_known_to(assets, protocol, size):
    settings = libero_settings(protocol, assets, count=2)
    env = RemoteEnv(settings, default_limits())
    assert env.env_spec == libero.env_spec(settings)
    assert env.env_spec.cameras == {"head": (size, size), "wrist": (size, size)}
    check_env(env)
    env.close()


@pytest.mark.parametrize("commands", ["relative", "absolute"])
def test_tabletop_speaks_as_it_is_known_to(commands):
    for needed in ("sapien", "mplib"):
        pytest.importorskip(needed, reason="the tabletop extra is not installed")
    settings = tabletop_settings(commands)
    env = RemoteEnv(settings, default_limits())
    assert env.env_spec == robotwin.env_spec(settings)
    first, _ = env.reset(seed=1)
    spec = env.env_spec
    left, right = first["state"][:8], first["state"][8:]
    assert left[0] < right[0]  # x grows to the right
    assert np.linalg.norm(left[3:7]) == pytest.approx(1.0, abs=1e-5)
    assert [spec.state[k].name for k in (0, 3, 7)] == ["left_x", "left_qw", "left_gripper"]
    assert (left[7], right[7]) == (1.0, 1.0)
    env.close()


def test_what_each_environment_speaks_fits_itself_and_travels_as_json():
    for name, spec in every_static_spec().items():
        assert misfit(spec) == "", name
        there = msgspec.json.decode(msgspec.json.encode(to_dict(spec)), type=EnvSpec)
        assert there == spec
        assert list(there.cameras) == list(spec.cameras)


def test_pictures_have_the_size_that_the_protocol_shows():
    sizes = {name: libero.env_spec(libero_settings(name)).cameras["wrist"] for name in PRESETS}
    assert sizes == {
        "strict": (128, 128),
        "lingbot-va": (128, 128),
        "openpi": (224, 224),
        "lerobot": (360, 360),
        "vla-eval": (256, 256),
    }
    assert libero.env_spec(libero_settings("strict", cameras=False)).cameras == {}


def test_columns_are_called_as_in_the_data_that_lingbot_va_is_trained_on():
    for benchmark, spec in (
        ("libero", libero.env_spec(libero_settings("lingbot-va"))),
        ("robotwin", robotwin.env_spec(tabletop_settings("relative"))),
    ):
        known = [(column.name, column.unit) for column in trained(benchmark, spec.channels)]
        assert [(column.name, column.unit) for column in spec.columns] == known


def test_absolute_commands_are_laid_out_as_the_state_with_the_scalar_of_a_quaternion_first():
    absolute = robotwin.env_spec(tabletop_settings("absolute"))
    assert absolute.columns == absolute.state
    assert [column.name for column in absolute.columns][:8] == [
        *("left_x", "left_y", "left_z", "left_qw", "left_qx", "left_qy", "left_qz", "left_gripper")
    ]
    assert (absolute.low[2], absolute.high[10]) == (0.0, 2.0)  # no hand goes below the floor
    relative = robotwin.env_spec(tabletop_settings("relative"))
    assert relative.state == absolute.state
    assert (relative.low[2], relative.high[10]) == (-1.5, 1.5)


def test_looks_come_once_per_action():
    assert libero.env_spec(libero_settings("lingbot-va", count=4)).looks_per_second == 5.0


def test_no_simulator_is_needed_to_know():
    names = ["libero", "robotwin", "toy"]
    code = "; ".join(["import sys", *(f"import lingbot_eval.envs.{name}.spec" for name in names)])
    heavy = {"mujoco", "robosuite", "libero", "sapien", "mplib", "torch", "PIL", "scipy"}
    shown = subprocess.check_output([sys.executable, "-c", f"{code}; print(*sys.modules)"], text=True)
    loaded = {name.split(".")[0] for name in shown.split()}
    assert "numpy" in loaded
    assert loaded & heavy == set()


@pytest.mark.parametrize("known", [libero.env_spec, robotwin.env_spec])
def test_another_benchmarks_protocol_is_refused(known):
    with pytest.raises(BadInput, match="protocol"):
        known(toy())
    with pytest.raises(BadInput, match="protocol"):
        known(msgspec.structs.replace(toy(), simulator=TabletopSettings(python=None)))


# An environment that does not keep its word.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"columns": columns("x y", "m")}, "an action space of 2 columns"),
        ({"low": (-0.2,)}, "action_space is "),
        ({"high": (0.2,)}, "action_space is "),
        ({"commands_per_action": 2}, "action_space is "),
        ({"cameras": {"head": (64, 32)}}, "observation_space is "),
        ({"cameras": {"face": (64, 64)}}, "observation_space is "),
        ({"cameras": {}}, "observation_space is "),
        ({"state": columns("x y", "m")}, "observation_space is "),
        ({"idle": (0.5,)}, "an idle command"),
        ({"commands_per_second": 0.0}, "per second"),
    ],
)
def test_an_environment_whose_spaces_are_not_what_it_speaks_breaks_the_contract(changes, words):
    env = ReachEnv(toy())
    env.env_spec = dataclasses.replace(env.env_spec, **changes)
    with pytest.raises(AssertionError, match=words):
        check_env(env)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cameras": {"head": (64, 32)}}, r"a picture of head is \(64, 64, 3\), and env_spec says \(64, 32\)"),
        ({"cameras": {}}, r"pictures \['head'\], and env_spec says \[\]"),
        ({"state": columns("x y", "m")}, r"the state is \(1,\), and env_spec names 2 numbers"),
    ],
)
def test_an_environment_that_shows_what_it_does_not_speak_breaks_the_contract(changes, words):
    class Lying(ReachEnv):
        def _look(self) -> Any:
            honest = toy_spec(toy())
            return {"images": {name: self.render() for name in honest.cameras}, "state": np.zeros(1, np.float32)}

    env = Lying(toy())
    env.env_spec = dataclasses.replace(env.env_spec, **changes)
    env.action_space, env.observation_space = action_space(env.env_spec), look_space(env.env_spec)
    with pytest.raises(AssertionError, match=words):
        check_env(env)
