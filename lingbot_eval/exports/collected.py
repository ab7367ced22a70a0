"""What a dataset of played episodes says of itself: for people in README.md, for programs in ``meta/collected.json``,
and in ``meta/wordings.jsonl`` how its instructions are said otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lingbot_eval.exports.dataset import lines_of
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.runs.plan import by_task
from lingbot_eval.suites.suite import Suite
from lingbot_eval.types import EnvSpec, EpisodeRecord

SCHEMA = 1


def collected(experiment: Experiment, records: Sequence[EpisodeRecord], fills: int) -> dict[str, Any]:
    """Return what ``meta/collected.json`` holds: who played what, under which rules, in which scenes. ``fills``: as of
    ``lerobot.Form``."""
    episodes = by_task(record.episode for record in records)
    tasks = [
        {
            "suite": part,
            "task": task,
            "setting": setting,
            "episodes": len(played),
            "first_seed": min(episode.seed for episode in played),
            "last_seed": max(episode.seed for episode in played),
        }
        for (part, task, setting), played in episodes.items()
    ]
    outcomes = {record.outcome.value for record in records}
    versions = next((dict(record.provenance.versions) for record in records if record.provenance), {})
    return {
        "schema": SCHEMA,
        "suite": experiment.suite.name,
        "base_seed": experiment.suite.seed,
        "protocol": dict(experiment.protocol),
        "protocol_hash": experiment.protocol_hash,
        "agent": dict(experiment.agent),
        "checkpoint": experiment.checkpoint,
        "regime": experiment.regime,
        "facts": dict(experiment.facts),
        "versions": versions,
        "outcomes": sorted(outcomes),
        "commands": sum(record.commands for record in records),
        "fills": fills,
        "tasks": tasks,
    }


def wordings(suite: Suite, records: Sequence[EpisodeRecord]) -> bytes:
    """Return the lines of ``meta/wordings.jsonl``: each instruction that can be said otherwise, once, and how."""
    tasks = {record.episode.instruction: record.episode.task for record in records}
    others = {text: list(suite.wordings(task, text)) for text, task in sorted(tasks.items())}
    return lines_of({"text": text, "others": said} for text, said in others.items() if said)


def card(experiment: Experiment, spec: EnvSpec, said: dict[str, Any]) -> str:
    """Write the text of the dataset's README.md, with the head that the hub reads. ``said``: :func:`collected`."""
    count = sum(task["episodes"] for task in said["tasks"])
    words = {
        "suite": experiment.suite.name,
        "protocol": experiment.rules,
        "agent": experiment.player,
        "training regime": experiment.regime,
        "episodes": f"{count}, one row per command",
        **spec.conventions,
        **experiment.facts,
    }
    if most := experiment.agent.get("waypoints_per_command"):
        words["thinned"] = f"at most {most} waypoints of the expert's path per command"
    if beat := experiment.agent.get("beat"):
        words["beat"] = f"a hand is above what it comes down on at a multiple of {beat} commands"
    if stray := experiment.agent.get("stray"):
        words["stray"] = f"often beside it, by {stray} m and three times as much (a normal distribution's deviations)"
    if fills := said["fills"]:
        words["end"] = (
            f"what was seen last, with the last command again until the rows but one are a multiple of {fills}"
        )
    if "command" in spec.conventions and "relative" in spec.conventions["command"]:
        words["command"] = "absolute end-effector poses, world frame, quaternion w first; played were relative ones"
    lines = [f"- {name}: {value}" for name, value in words.items()]
    head = ["---", "task_categories: [robotics]", "tags: [LeRobot]", "---", "# Played episodes", ""]
    made = "Written by lingbot_eval: recorded commands, played again with a picture at every command."
    return "\n".join([*head, made, "", *lines, "", *_table(said["tasks"]), ""])


def _table(tasks: Sequence[dict[str, Any]]) -> list[str]:
    """Write the tasks as a Markdown table."""
    rows = [
        f"| {task['suite']} | {task['task']} | {task['setting'] or '-'} | {task['episodes']} | {task['first_seed']} to "
        f"{task['last_seed']} |"
        for task in tasks
    ]
    return ["| suite | task | setting | episodes | scene seeds |", "|---|---|---|---|---|", *rows]
