"""What it costs that LIBERO runs in a process of its own.

    LIBERO_ASSETS=DIR python -m benchmarks.isolation [--commands 96] [--rounds 5]

The same episode is stepped by ``LiberoEnv`` in this process and by ``RemoteEnv`` (frames through shared memory), in
turns, with both cameras at every look.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time

import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.libero.env import LiberoEnv
from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.settings import EnvSettings, default_limits
from lingbot_eval.settings.libero import LiberoSettings
from lingbot_eval.suites import load_protocol

SUITE, TASK = "libero_spatial", SUITES["libero_spatial"][0]


def settings(k: int) -> EnvSettings:
    simulator = LiberoSettings(assets=None, download=False, gl="osmesa", python=None)
    return EnvSettings(simulator, load_protocol("libero", "strict"), SUITE, TASK, k, True, False)


def step(env: LiberoEnv | RemoteEnv, commands: npt.NDArray[np.float32], k: int) -> float:
    """Seconds for ``commands`` (n, 7) in looks of ``k``."""
    env.reset(seed=0, options={"initial_state": 0})
    start = time.perf_counter()
    for action in commands.reshape(-1, k, 7):
        env.step(action)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=96, help="per way and round, a multiple of 4")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    commands = np.random.default_rng(0).uniform(-1, 1, (given.commands, 7)).astype(np.float32)
    print(f"{SUITE} task 0, two cameras of 128 x 128, {given.commands} commands, {given.rounds} rounds")
    for k in (1, 4):
        here, there = LiberoEnv(settings(k)), RemoteEnv(settings(k), default_limits())
        took = [(step(here, commands, k), step(there, commands, k)) for _ in range(given.rounds)]
        ratios = sorted(remote / own for own, remote in took)
        own, remote = (statistics.median(times) * 1000 / given.commands for times in zip(*took, strict=True))
        spread = f"rounds {ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"K = {k}: in process {own:6.2f} ms/command, own process {remote:6.2f}, {remote / own:.3f}x ({spread})")
        there.close()
    sys.stdout.flush()
    os._exit(0)  # robosuite's contexts print exceptions when the interpreter takes them down


if __name__ == "__main__":
    main()
