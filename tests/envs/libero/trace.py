"""Play episodes on real LIBERO in this process and print what came out, as JSON: one object per episode.

    python trace.py '{"env": {...}, "episodes": [{"seed": 3, "state": 2, "k": 0, "actions": [...]}]}'

``env`` are EnvSettings. With ``"upstream": true`` they are played on LIBERO's own environment instead, drawing at every
command where there are cameras, called in the order in which upstream's clients do. A test starts this in a process of
its own, because LIBERO changes the process.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lingbot_eval.envs.libero.assets import libero_root
from lingbot_eval.envs.libero.env import LiberoEnv
from lingbot_eval.settings import EnvSettings
from lingbot_eval.suites import env_settings


def digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:12]


def ours(env: LiberoEnv, episode: dict[str, Any]) -> dict[str, Any]:
    options = {"initial_state": episode["state"], "index": episode["k"]}
    observation, info = env.reset(seed=episode["seed"], options=options)
    looks, success = [observation], False
    fixtures = digest(env.domain.sim.model.body_pos, env.domain.sim.model.body_quat)
    before = digest(np.random.get_state()[1])
    for action in np.asarray(episode["actions"], np.float32).reshape(-1, *env.action_space.shape):
        observation, _, success, late, info = env.step(action)
        looks.append(observation)
        if success or late:
            break
    return {
        "fixtures": fixtures,
        "qpos": digest(env.domain.sim.data.qpos),
        "states": [digest(look["state"]) for look in looks],
        "pictures": [digest(*look["images"].values()) for look in looks],
        "success": success,
        "commands": info["commands"],
        "progress": info["progress"],
        "commands_drew": before != digest(np.random.get_state()[1]),
    }


def upstream(settings: EnvSettings, states: Any, episodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the clients of lingbot-va, openpi and lerobot do, by the protocol's own words."""
    from libero.libero.envs.env_wrapper import ControlEnv

    protocol: Any = settings.protocol
    bddl = str(libero_root() / "bddl_files" / settings.suite / f"{settings.task}.bddl")

    def make() -> Any:
        size, draws = protocol.render_size, settings.cameras
        return ControlEnv(
            bddl, use_camera_obs=draws, has_offscreen_renderer=draws, camera_heights=size, camera_widths=size
        )

    env, played = make(), []
    if protocol.environment == "per-task-after-reset":
        env.reset()
    if protocol.seeding == "per-task":
        env.seed(episodes[0]["seed"])
    for episode in episodes:
        if protocol.environment == "per-episode":
            env.close()
            env = make()
        if protocol.seeding != "per-task":
            env.seed(episode["seed"])
        env.reset()
        fixtures = digest(env.sim.model.body_pos, env.sim.model.body_quat)
        sample = env.set_init_state(states[episode["state"]])
        for _ in range(protocol.warmup_count):
            sample = env.step(list(protocol.warmup_command))[0]
        looks, success = [sample], False
        for command in np.asarray(episode["actions"], np.float32).reshape(-1, 7):
            sample, _, success, _ = env.step(command.astype(np.float64))
            looks.append(sample)
            if success:
                break
        turn = {"vertical": np.s_[::-1], "rotate180": np.s_[::-1, ::-1], "none": np.s_[:]}[protocol.flip]
        cameras = ("agentview_image", "robot0_eye_in_hand_image") if settings.cameras else ()
        played.append(
            {
                "fixtures": fixtures,
                "qpos": digest(env.sim.data.qpos),
                "pictures": [digest(*(look[name][turn] for name in cameras)) for look in looks],
                "success": bool(success),
            }
        )
    env.close()
    return played


def main() -> None:
    request = json.loads(sys.argv[1])
    settings = env_settings(request["env"])
    env = LiberoEnv(settings)
    if request.get("upstream"):
        played = upstream(settings, env._states, request["episodes"])
    else:
        played = [ours(env, episode) for episode in request["episodes"]]
    env.close()
    mapped = Path("/proc/self/maps").read_text()
    loaded = [name for name in ("libOSMesa", "libEGL", "libGL") if name in mapped]
    print(json.dumps({"played": played, "torch": "torch" in sys.modules, "gl": loaded}))


if __name__ == "__main__":
    main()
