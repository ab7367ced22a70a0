"""Whether several sessions on one worker finish a suite faster than one, and where the time goes.

    python -m benchmarks.sessions [--sessions 4] [--commands 48] [--episodes 8]

The tiny LingBot-VA, whose weights are random, plays one task of the tabletop suite; every episode lasts ``--commands``
commands. While one session's simulator steps and draws in its own process, others use the model.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.models.lingbot_va.tiny import make_tiny
from lingbot_eval.runs.directory import RunDirectory


def play(folder: Path, out: str, sessions: int, commands: int, episodes: int) -> float:
    """Seconds from the command to its report."""
    words = ["tabletop", "--agent", "lingbot-va", "--tasks", "lift_block", "--episodes", str(episodes)]
    words += ["--video", "off", "--out", str(folder / out), f"suite.manifest={folder / 'manifest'}"]
    settings = [f"agent.checkpoint={folder / 'tiny'}", "agent.lingbot.device=cpu", "agent.lingbot.dtype=float32"]
    settings += [f"agent.sessions={sessions}", f"protocol.command_limit={commands}"]
    start = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = run_suite([*words, *settings])
    if status:
        raise SystemExit(f"{folder / out} has errors")
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=4)
    parser.add_argument("--commands", type=int, default=48)
    parser.add_argument("--episodes", type=int, default=8)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiny(folder / "tiny")
        play(folder, "warm", 1, given.commands, given.episodes)  # finds the scenes
        took = {}
        for sessions in (1, given.sessions):
            took[sessions] = play(folder, f"with-{sessions}", sessions, given.commands, given.episodes)
            spent = [record.spent for record in RunDirectory(folder / f"with-{sessions}").records().all if record.spent]
            where = {part: sum(getattr(one, part) for one in spent) for part in ("model", "simulator", "waiting")}
            words = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in where.items())
            print(f"{sessions} session{'s' * (sessions > 1)}: {took[sessions]:.1f} s; over all episodes: {words}")
    print(f"{given.sessions} sessions finish {took[1] / took[given.sessions]:.2f}x as fast as one")


if __name__ == "__main__":
    main()
