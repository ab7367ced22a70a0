"""What the harness costs per command above environment and agent alone, and what ``import lingbot_eval`` costs.

    python -m benchmarks.overhead [--episodes 40] [--rounds 3]

The toy environment is played by ``run-suite`` (a queue, a worker, a simulator process, a record on disk per episode)
and by ``run_episode`` in this process, in turns; an episode is 400 commands in looks of K = 4, with pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import msgspec

from lingbot_eval.agents.scripted import Idle
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.suites import load_protocol
from lingbot_eval.types import Episode

COMMANDS, K = 400, 4
"""Per episode; the toy's idle agent never arrives."""


def harness(episodes: int) -> float:
    """Seconds per episode of a run, from its first record to its last: start-up is not counted."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        out = Path(folder) / "run"
        words = ["toy", "--agent", "idle", "--tasks", "reach", "--episodes", str(episodes), "--video", "off"]
        settings = [f"protocol.command_limit={COMMANDS}", f"agent.commands_per_action={K}"]
        if run_suite([*words, "--out", str(out), *settings]):
            raise SystemExit("the run has errors")
        finished = sorted(datetime.fromisoformat(record.finished) for record in RunDirectory(out).records().all)
        return (finished[-1] - finished[0]).total_seconds() / (episodes - 1)


def alone(episodes: int) -> float:
    """Seconds per episode without a harness."""
    protocol = msgspec.structs.replace(load_protocol("toy", "toy"), command_limit=COMMANDS)
    env = ReachEnv(EnvSettings(ToySettings(None, {}), protocol, "toy", "reach", K, True, False))
    agent = Idle(env.env_spec)
    start = time.perf_counter()
    for seed in range(episodes):
        run_episode(env, agent, Episode("toy", "reach", seed, "go to the mark"))
    return (time.perf_counter() - start) / episodes


def importing() -> float:
    """Seconds that a fresh interpreter takes to import the package."""
    code = "import time; start = time.perf_counter(); import lingbot_eval; print(time.perf_counter() - start)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=40, help="per round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    took = [(harness(given.episodes), alone(given.episodes)) for _ in range(given.rounds)]
    print(f"toy, {COMMANDS} commands per episode, K = {K}, {given.rounds} rounds of {given.episodes} episodes")
    for ours, theirs in took:
        above = (ours - theirs) / COMMANDS * 1000
        print(f"run-suite {ours * 1000:7.1f} ms/episode   alone {theirs * 1000:7.1f}   above: {above:.3f} ms/command")
    print(f"import lingbot_eval: {statistics.median(importing() for _ in range(5)):.3f} s, median of 5")


if __name__ == "__main__":
    main()
