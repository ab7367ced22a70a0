"""What it costs that an agent runs in an interpreter of its own (``agent.python``).

    python -m benchmarks.agent_isolation [--episodes 20] [--rounds 5] [--python VENV/bin/python]

Episodes of the toy with three cameras of 240 x 320, 400 commands in looks of K = 4, are played by an idle class in this
process and in a process of its own (pictures through shared memory), in turns: once as fast as they go, and once with a
class that takes 20 ms for each answer, as a small policy does.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time

import msgspec
import numpy as np

from lingbot_eval.agents import own, remote
from lingbot_eval.envs.spaces import look_space
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.settings import EnvSettings, default_limits
from lingbot_eval.settings.own_agent import OwnAgentSettings
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.suites import load_protocol
from lingbot_eval.types import Actions, Agent, EnvSpec, Episode, Observation

COMMANDS, K = 400, 4
"""Per episode; the idle class never arrives."""


class Idle:
    """It looks at every picture, as a policy does that reads it once, and takes its time."""

    def __init__(self, spec: EnvSpec, seconds: float = 0.0) -> None:
        self._shape, self._seconds = (1, spec.commands_per_action, len(spec.columns)), seconds

    def reset(self, instruction: str, *, seed: int) -> None:
        pass

    def act(self, frames: list[Observation]) -> Actions:
        assert all(image.max() > 0 for frame in frames for image in frame["images"].values())
        time.sleep(self._seconds)
        return np.zeros(self._shape, np.float32)


class Cameras(ReachEnv):
    """The toy, seen by three cameras."""

    def __init__(self, settings: EnvSettings) -> None:
        super().__init__(settings)
        cameras = dict.fromkeys(("head", "left_wrist", "right_wrist"), (240, 320))
        self.env_spec = dataclasses.replace(self.env_spec, cameras=cameras)
        self.observation_space = look_space(self.env_spec)
        self._picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)

    def _look(self) -> Observation:
        images = {name: self._picture.copy() for name in self.env_spec.cameras}
        return {"images": images, "state": np.array([self._position], np.float32)}


def play(env: Cameras, agent: Agent, episodes: int) -> float:
    """Seconds per look."""
    start = time.perf_counter()
    for seed in range(episodes):
        run_episode(env, agent, Episode("toy", "reach", seed, "go to the mark"))
    return (time.perf_counter() - start) / (episodes * COMMANDS / K)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=20, help="per way and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable)
    given = parser.parse_args()
    protocol = msgspec.structs.replace(load_protocol("toy", "toy"), command_limit=COMMANDS)
    env = Cameras(EnvSettings(ToySettings(None, {}), protocol, "toy", "reach", K, True, False))
    print(f"three cameras of 240 x 320, {given.episodes} episodes of {COMMANDS // K} looks, {given.rounds} rounds")
    for seconds in (0.0, 0.02):
        chosen = OwnAgentSettings(True, K, 1, f"{__spec__.name}:Idle", {"seconds": seconds}, (), given.python)
        here, there = own.load(chosen)(env.env_spec), remote.load(chosen, default_limits())(env.env_spec)
        took = [(play(env, here, given.episodes), play(env, there, given.episodes)) for _ in range(given.rounds)]
        ratios = sorted(remotely / locally for locally, remotely in took)
        locally, remotely = (statistics.median(times) * 1000 for times in zip(*took, strict=True))
        print(
            f"answers of {seconds * 1000:g} ms: in process {locally:.2f} ms/look, own process {remotely:.2f}, "
            f"{remotely - locally:+.2f} ms, {remotely / locally:.2f}x (rounds {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
