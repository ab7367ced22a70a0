"""What tests share: where LIBERO's assets are, and small settings."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import msgspec
import pytest

from lingbot_eval.agents import kind_named
from lingbot_eval.settings import (
    AgentSettings,
    EnvSettings,
    LocalSettings,
    RunSettings,
    SuiteSettings,
    as_struct,
    default_limits,
)
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.suites import load_protocol

hypothesis.settings.register_profile("any machine", deadline=None)  # how long an example takes says how busy it is
hypothesis.settings.load_profile("any machine")

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "libero-assets"


@pytest.fixture(scope="session")
def assets() -> str:
    """LIBERO's assets folder; tests that need it are skipped where there is none."""
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    folder = os.environ.get("LIBERO_ASSETS") or (str(BESIDE) if BESIDE.is_dir() else "")
    if not folder:
        pytest.skip("no LIBERO assets: set LIBERO_ASSETS to a folder that has them")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A random checkpoint of upstream's layout."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
    import torch

    from lingbot_eval.models.lingbot_va.tiny import make_tiny

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    make_tiny(folder)
    return folder


def toy(
    task: str = "reach", commands_per_action: int = 1, cameras: bool = True, faults: dict[int, str] | None = None
) -> EnvSettings:
    """The toy environment's settings."""
    return EnvSettings(
        simulator=ToySettings(python=None, faults=faults or {}),  # type: ignore[arg-type]
        protocol=load_protocol("toy", "toy"),
        suite="toy",
        task=task,
        commands_per_action=commands_per_action,
        cameras=cameras,
        render=False,
    )


def scripted(name: str) -> AgentSettings:
    """The settings of a scripted agent that looks at nothing."""
    plain = {"name": name, "looks": False, "commands_per_action": 1, "sessions": 1}
    more = {"waypoints_per_command": 1, "beat": 1, "stray": 0.0} if name == "expert" else {}
    settings: AgentSettings = as_struct({**plain, **more}, kind_named(name).settings)
    return settings


def toy_run(
    agent: str | AgentSettings = "expert", faults: dict[int, str] | None = None, **changes: object
) -> RunSettings:
    """A run of the toy suite: three episodes of each of its two tasks."""
    values: dict[str, object] = {
        "suite": SuiteSettings(
            name="toy", suites=("toy",), tasks=(), settings=(), episodes=3, seed=None, manifest=None
        ),
        "env": toy(faults=faults).simulator,
        "protocol": load_protocol("toy", "toy"),
        "agent": scripted(agent) if isinstance(agent, str) else agent,
        "limits": default_limits(),
        "cluster": LocalSettings(gpus=None),
        "workers": 1,
        "video": "off",
        "video_every": 1,
        "actions": False,
        "tracker": "none",
        "regime": "unstated",
    }
    return RunSettings(**{**values, **changes})  # type: ignore[arg-type]


IMPATIENT = msgspec.structs.replace(
    default_limits(),
    load_seconds=60.0,
    start_seconds=60.0,
    reset_seconds=20.0,
    command_seconds=1.0,
    episode_seconds=30.0,
)
