"""What the files of ``conf/`` say that has no original: the embedded suites, scripted agents, and how a run is made."""

from __future__ import annotations

from typing import Any

TABLETOP: dict[str, Any] = {
    "benchmark": "tabletop",
    "name": "tabletop",
    "seed": 0,
    "seed_block": 10_000,
    "instructions": {"easy": "seen", "hard": "unseen"},
    "commands": "relative",  # as LingBot-VA speaks
    "command_limit": None,
    "success": "any-moment",  # as RoboTwin asks
    "episodes_per_task": 20,
}

TOY: dict[str, Any] = {
    "benchmark": "toy",
    "name": "toy",
    "command_limit": 60,
    "seed": 0,
    "seed_block": 10_000,
    "episodes_per_task": 10,
}


def agent(name: str, looks: bool) -> dict[str, Any]:
    """A scripted one."""
    same = {"commands_per_action": 1, "sessions": 1}
    return {"name": name, "looks": looks, **same}


def suite(name: str, suites: list[str], settings: list[str]) -> dict[str, Any]:
    """All its tasks, with the protocol's own numbers."""
    same = {"tasks": [], "settings": settings, "episodes": None, "seed": None, "manifest": None}
    return {"name": name, "suites": suites, **same}


ROBOTWIN: dict[str, Any] = {
    "simulator": "robotwin",
    "root": None,
    "embodiment": "checkout",
    "planner": "auto",
    "shader": "auto",  # rt where a GPU draws: RoboTwin-Platform/RoboTwin @ 2eeec322, envs/_base_task.py:214
    "denoiser": "oidn",  # the same, 217
    "python": None,
}

LIMITS: dict[str, Any] = {
    "load_seconds": 1800,
    "start_seconds": 300,
    "reset_seconds": 300,
    "command_seconds": 60,
    "episode_seconds": 3600,
    "agent_seconds": 600,
    "env_gigabytes": 16,
}

RAY: dict[str, Any] = {
    "kind": "ray",
    "address": None,
    "gpus_per_worker": None,
    "cpus_per_worker": 0,
    "cpus_per_environment": 1,
    "patience_seconds": 600,
}

RUN: dict[str, Any] = {
    "defaults": [
        {"suite": "???"},
        {"env": "???"},
        {"agent": "???"},
        {"protocol": "???"},
        {"limits": "default"},
        {"cluster": "local"},
        "_self_",
    ],
    "workers": None,
    "video": "auto",
    "video_every": 1,
    "actions": True,
    "tracker": "none",
    "regime": "unstated",
}

TABLES = {
    "protocol/tabletop/tabletop.yaml": TABLETOP,
    "protocol/toy/toy.yaml": TOY,
    "agent/expert.yaml": {**agent("expert", looks=False), "waypoints_per_command": 1, "beat": 1, "stray": 0.0},
    "agent/idle.yaml": agent("idle", looks=True),
    "agent/random.yaml": agent("random", looks=True),
    "agent/replay.yaml": {**agent("replay", looks=False), "path": None},
    "suite/libero.yaml": suite("libero", ["all"], []),
    "suite/robotwin.yaml": suite("robotwin", ["robotwin"], ["easy", "hard"]),
    "suite/tabletop.yaml": suite("tabletop", ["tabletop"], ["easy"]),
    "suite/toy.yaml": suite("toy", ["toy"], []),
    "env/libero.yaml": {"simulator": "libero", "assets": None, "download": False, "gl": "auto", "python": None},
    "env/robotwin.yaml": ROBOTWIN,
    "env/tabletop.yaml": {"simulator": "tabletop", "python": None},
    "env/toy.yaml": {"simulator": "toy", "python": None, "faults": {}},
    "limits/default.yaml": LIMITS,
    "cluster/local.yaml": {"kind": "local", "gpus": None},
    "cluster/ray.yaml": RAY,
    "run.yaml": RUN,
}

# lingbot_eval/envs/tabletop/tasks.yaml: limit of commands, and twelve hex digits over the templates, seen then unseen.
TABLETOP_TASKS = {
    "lift_block": (150, "c4b0e7b9b6f4"),
    "press_button": (100, "ea842d6e0a1f"),
    "place_on_pad": (250, "201e6bd5f3d5"),
    "push_to_line": (150, "129a91874982"),
    "stack_two": (250, "31919e8909dd"),
    "lift_tray": (150, "01575fb40b80"),
    "hand_over_bar": (600, "87d24eca6650"),
    "rank_three": (800, "b1e64db40d80"),
}
