"""Real LIBERO: physics, pictures and success as the benchmark has them, the same in every process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import msgspec
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.envs.testing import check_env
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.settings import EnvSettings, to_dict
from lingbot_eval.settings.libero import LiberoSettings
from lingbot_eval.suites import load_protocol
from lingbot_eval.suites.gym import make

TRACE = Path(__file__).with_name("trace.py")
BOWL = ("libero_spatial", SUITES["libero_spatial"][0])  # cabinet and stove, whose poses a reset draws
DRAWER = ("libero_spatial", SUITES["libero_spatial"][4])  # its initial conditions open a drawer
MICROWAVE = ("libero_10", SUITES["libero_10"][9])  # opens the microwave
MOVES = np.random.default_rng(0).uniform(-1, 1, (8, 7)).astype(np.float32).tolist()


def trace(
    assets: str,
    task: tuple[str, str],
    episodes: list[tuple[int, int, int]],
    protocol: str = "strict",
    commands_per_action: int = 1,
    upstream: bool = False,
    gl: str = "osmesa",
    cameras: bool = True,
    actions: list[Any] | None = None,
    **changes: Any,
) -> list[dict[str, Any]]:
    """What each of ``episodes`` (seed, stored state, k) gave, played in one fresh process."""
    settings = EnvSettings(
        simulator=LiberoSettings(assets=assets, download=False, gl=gl, python=None),  # type: ignore[arg-type]
        protocol=msgspec.structs.replace(load_protocol("libero", protocol), **changes),
        suite=task[0],
        task=task[1],
        commands_per_action=commands_per_action,
        cameras=cameras,
        render=False,
    )
    wanted = [
        {"seed": seed, "state": state, "k": k, "actions": MOVES if actions is None else actions}
        for seed, state, k in episodes
    ]
    request = json.dumps({"env": to_dict(settings), "episodes": wanted, "upstream": upstream})
    done = subprocess.run([sys.executable, str(TRACE), request], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert not answer["torch"], "LIBERO must not need torch"
    assert cameras or not answer["gl"], "without pictures no GL library is loaded"
    played: list[dict[str, Any]] = answer["played"]
    return played


@pytest.mark.filterwarnings("ignore:.*Box observation space.*infinity")  # positions have no bound to promise
def test_gymnasiums_own_checks_pass(assets: str) -> None:
    name = f"lingbot_eval/LIBERO-{BOWL[0]}-{BOWL[1]}-v0"
    env = gym.make(name, assets=assets, disable_env_checker=True)
    assert env.spec is not None
    assert env.spec.max_episode_steps is None
    gymnasium_check_env(env.unwrapped)
    env.close()


def test_our_contract_holds_with_four_commands_per_look(assets: str) -> None:
    env = make("libero", *BOWL, commands_per_action=4, assets=assets)
    check_env(env)
    with pytest.raises(BadInput, match="stores 50"):
        env.reset(seed=0, options={"initial_state": 50})
    with pytest.raises(BadInput, match="task="):
        env.reset(seed=0, options={"task": "another"})
    env.close()


def test_an_episode_is_the_same_bit_for_bit_in_another_process_and_after_other_episodes(assets: str) -> None:
    alone = trace(assets, BOWL, [(5, 2, 0)])
    later = trace(assets, BOWL, [(7, 3, 0), (5, 2, 1)])
    assert later[1] == alone[0]
    assert later[0]["fixtures"] != alone[0]["fixtures"], "another seed moves the fixtures"
    assert not alone[0]["commands_drew"], "commands draw nothing from numpy's generator"


def test_pictures_drawn_on_demand_are_those_of_drawing_at_every_command(assets: str) -> None:
    theirs = trace(assets, BOWL, [(5, 2, 0)], upstream=True)[0]
    every = trace(assets, BOWL, [(5, 2, 0)])[0]
    fourth = trace(assets, BOWL, [(5, 2, 0)], commands_per_action=4)[0]
    none = trace(assets, BOWL, [(5, 2, 0)], cameras=False)[0]
    assert every["pictures"] == theirs["pictures"]
    assert fourth["pictures"] == theirs["pictures"][::4]
    assert theirs["qpos"] == every["qpos"] == fourth["qpos"] == none["qpos"]
    assert none["states"] == every["states"]


def test_both_gl_backends_draw_the_same(assets: str) -> None:
    assert trace(assets, BOWL, [(5, 2, 0)], gl="egl")[0] == trace(assets, BOWL, [(5, 2, 0)], gl="osmesa")[0]


@pytest.mark.parametrize(("protocol", "flip"), [("openpi", "rotate180"), ("strict", "vertical"), ("strict", "none")])
def test_the_picture_is_turned_as_the_protocol_says(assets: str, protocol: str, flip: str) -> None:
    wanted = {"protocol": protocol, "actions": MOVES[:2], "resize": None, "flip": flip}
    theirs = trace(assets, BOWL, [(7, 0, 0)], upstream=True, **wanted)[0]
    assert trace(assets, BOWL, [(7, 0, 0)], **wanted)[0]["pictures"] == theirs["pictures"]


@pytest.mark.parametrize(
    ("protocol", "task"),
    [("strict", MICROWAVE), ("openpi", BOWL), ("openpi", MICROWAVE), ("lerobot", DRAWER)],
    ids=["strict-microwave", "openpi-bowl", "openpi-microwave", "lerobot-drawer"],
)
def test_episode_k_has_upstreams_scene_though_played_first_in_a_fresh_process(
    assets: str, protocol: str, task: tuple[str, str]
) -> None:
    seed = {"strict": 0, "openpi": 7, "lerobot": 1000}[protocol]
    stride = 0 if protocol == "openpi" else 1
    episodes = [(seed + k * stride, k, k) for k in range(3)]
    theirs = trace(assets, task, episodes, protocol, upstream=True, cameras=False, actions=MOVES[:2])
    ours = trace(assets, task, [episodes[2], episodes[0], episodes[1]], protocol, cameras=False, actions=MOVES[:2])
    for mine, upstreams in zip(ours, [theirs[2], theirs[0], theirs[1]], strict=True):
        assert (mine["fixtures"], mine["qpos"]) == (upstreams["fixtures"], upstreams["qpos"])


SOFT_EQUALS_HARD = [
    BOWL,
    ("libero_object", SUITES["libero_object"][0]),
    ("libero_goal", SUITES["libero_goal"][0]),
    ("libero_10", SUITES["libero_10"][0]),
]


@pytest.mark.parametrize("task", SOFT_EQUALS_HARD, ids=[suite for suite, _ in SOFT_EQUALS_HARD])
def test_a_soft_reset_is_a_hard_one_bit_for_bit(assets: str, task: tuple[str, str]) -> None:
    episodes = [(5, 2, 0), (6, 3, 1)]
    moves = [*MOVES, *MOVES, *MOVES]  # long enough for the gripper to be elsewhere when the second episode begins
    hard = trace(assets, task, episodes, actions=moves, commands_per_action=12, reset="hard")
    assert trace(assets, task, episodes, actions=moves, commands_per_action=12, reset="soft") == hard


def test_a_soft_reset_draws_other_fixtures_where_the_task_opens_something(assets: str) -> None:
    hard, soft = (
        trace(assets, MICROWAVE, [(5, 2, 0)], actions=[], cameras=False, reset=r)[0] for r in ("hard", "soft")
    )
    assert hard["fixtures"] != soft["fixtures"], "documented in docs/libero.md: not interchangeable on four tasks"


def test_missing_assets_are_one_clear_error(tmp_path: Path) -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    with pytest.raises(NotReady, match=r"151 of 151 files missing.*env\.assets=DIR"):
        make("libero", *BOWL, assets=str(tmp_path))


def test_nothing_is_asked_and_nothing_is_written_to_the_home_directory(
    assets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LIBERO_CONFIG_PATH", "MPLCONFIGDIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(home))
    env = make("libero", *BOWL, assets=assets)
    env.reset(seed=0)
    env.close()
    assert list(home.rglob("*")) == []
