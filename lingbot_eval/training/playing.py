"""Plays a checkpoint in a process of its own while training waits, and films what it imagines beside what was real.

The parent writes what is asked for to the child's standard input, as JSON, and reads its answer from a file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

import lingbot_eval
from lingbot_eval.datasets.robots import load_robot
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady, UnknownName
from lingbot_eval.files import write_whole
from lingbot_eval.plain import say
from lingbot_eval.reports.stats import wilson
from lingbot_eval.runs.compose import Choices, choose, quoted
from lingbot_eval.settings.train import Play

ANSWER = "answer.json"


class Asked(msgspec.Struct, frozen=True):
    """What the child does."""

    play: Play
    checkpoint: str
    folder: str
    """Here lie the run, the film and the answer."""
    data: str
    robot: str
    item: int
    """The item that is filmed, which was not trained on."""


def run_of(asked: Asked) -> Path:
    """Return the run directory."""
    return Path(asked.folder) / "run"


def play(asked: Asked) -> dict[str, Any]:
    """Play and film; return what was played, for the curve. Raises NotReady where the child did not come to its end."""
    folder = Path(asked.folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lingbot_eval.training.playing"]
    done = subprocess.run(command, input=msgspec.json.encode(asked), stderr=subprocess.PIPE)
    if done.returncode:
        words = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise NotReady(f"{asked.play.suite} could not be played with {asked.checkpoint}: {words}")
    answer: dict[str, Any] = json.loads((folder / ANSWER).read_bytes())
    return answer


def check(play: Play) -> None:
    """Raise UnknownName or BadInput for choices that could not be played, as far as it is known beforehand."""
    agent, settings, choices = _chosen(play, "CHECKPOINT")
    known = {one.name: one.type for one in fields(Choices) if one.name not in ("agent", "overrides")}
    for name, value in choices.items():
        if name not in known:
            raise UnknownName("choice", name, known)
        if "int" in str(known[name]) and not isinstance(value, int):
            raise BadInput(f"play.choices.{name}: {value!r} is no whole number")
    overrides = [f"{name}={_in_hydras_grammar(value)}" for name, value in settings.items()]
    choose(play.suite, Choices(agent, **choices, overrides=overrides))


def _in_hydras_grammar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return quoted(value) if isinstance(value, str) else str(value)


def _chosen(play: Play, checkpoint: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Return who plays, with which settings and choices."""
    choices = {"agent": "lingbot-va", **play.choices}
    agent = str(choices.pop("agent"))
    mine = {"agent.checkpoint": checkpoint} if agent.startswith("lingbot-va") else {}  # or it is compared with
    return agent, {**mine, **play.settings}, choices


def main() -> int:
    """Play as standard input asks. Return 0, or 2 where something is wrong, which is said."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    try:
        answer = _answer(asked)
    except LingbotEvalError as error:
        say(error, file=sys.stderr)
        return 2
    write_whole(Path(asked.folder) / ANSWER, json.dumps(answer).encode())
    return 0


def _answer(asked: Asked) -> dict[str, Any]:
    if asked.play.film:
        from lingbot_eval.training.films import film

        target = Path(asked.folder) / "imagined.mp4"
        film(asked.checkpoint, Path(asked.data), load_robot(asked.robot), asked.item, target)
    agent, settings, choices = _chosen(asked.play, asked.checkpoint)
    run = lingbot_eval.evaluate(
        asked.play.suite, agent, settings=settings, progress=False, out=str(run_of(asked)), **choices
    )
    protocol = run.experiment["protocol"]["name"], run.experiment["protocol_hash"]
    found = []
    for row in run.records().groupby(["suite", "task", "setting"]).success.agg(["sum", "count"]).itertuples():
        part, task, setting = row.Index
        if row.count:
            low, high = wilson(int(row.sum), int(row.count))
            rate = {"part": part, "task": task, "setting": setting, "successes": int(row.sum), "trials": int(row.count)}
            found.append({**rate, "low": low, "high": high, "protocol": protocol[0], "protocol_hash": protocol[1]})
    return {"suite": asked.play.suite, "rates": found}


if __name__ == "__main__":
    sys.exit(main())
