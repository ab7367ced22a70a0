"""Commands per second on LIBERO: pictures where somebody looks, against pictures after every command.

    LIBERO_ASSETS=DIR python -m benchmarks.libero_stepping [--commands 96] [--rounds 3]

All ways take turns in one process on one task, so that their ratio holds on a noisy machine; absolute figures do not
carry over. The first way is LIBERO's own environment, which draws both cameras at every command.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.libero.assets import libero_root
from lingbot_eval.envs.libero.env import LiberoEnv
from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.libero import LiberoSettings
from lingbot_eval.suites import load_protocol

Commands = npt.NDArray[np.float32]
"""(n, 7): OSC_POSE commands."""

SUITE, TASK = "libero_spatial", SUITES["libero_spatial"][0]


def make(commands_per_action: int, cameras: bool) -> LiberoEnv:
    simulator = LiberoSettings(assets=None, download=False, gl="osmesa", python=None)
    protocol = load_protocol("libero", "strict")
    return LiberoEnv(EnvSettings(simulator, protocol, SUITE, TASK, commands_per_action, cameras, False))


def plain() -> Any:
    from libero.libero.envs.env_wrapper import OffScreenRenderEnv

    bddl = libero_root() / "bddl_files" / SUITE / f"{TASK}.bddl"
    return OffScreenRenderEnv(bddl_file_name=str(bddl), camera_heights=128, camera_widths=128)


def play_plain(env: Any, commands: Commands) -> float:
    env.seed(0)
    env.reset()
    start = time.perf_counter()
    for command in commands:
        env.step(command)
    return time.perf_counter() - start


def play_ours(env: LiberoEnv, commands: Commands) -> float:
    env.reset(seed=0, options={"initial_state": 0})
    actions = commands.reshape(-1, env.env_spec.commands_per_action, 7)
    start = time.perf_counter()
    for action in actions:
        env.step(action)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=96, help="per way and round, a multiple of 16")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    commands = np.random.default_rng(0).uniform(-1, 1, (given.commands, 7)).astype(np.float32)
    ways: dict[str, Callable[[Commands], float]] = {
        f"ours, a look every {k} commands (K = {k})": partial(play_ours, make(k, cameras=True)) for k in (1, 4, 16)
    }
    ways["ours, no picture (K = 1)"] = partial(play_ours, make(1, cameras=False))
    first = "LIBERO, pictures at every command"
    ways = {first: partial(play_plain, plain()), **ways}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, play in ways.items():
            took[name].append(play(commands))
    print(f"{SUITE} task 0, two cameras of 128 x 128, {given.commands} commands, median of {given.rounds} rounds")
    base = statistics.median(took[first])
    for name, times in took.items():
        median = statistics.median(times)
        print(f"{name:38} {given.commands / median:7.1f} commands/s   {base / median:5.2f}x")
    sys.stdout.flush()
    os._exit(0)  # robosuite's contexts print exceptions when the interpreter takes them down


if __name__ == "__main__":
    main()
