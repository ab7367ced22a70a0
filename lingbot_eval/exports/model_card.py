"""``MODEL_CARD.md``: what somebody who is given a checkpoint wants to know, from what the checkpoint says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from lingbot_eval.reports.formats import markdown_text
from lingbot_eval.reports.stats import Count
from lingbot_eval.reports.stats.intervals import macro, stratified
from lingbot_eval.reports.table import UNSEEN, percents
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.trained import Rate, Training
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

FRONT = """---
library_name: lingbot_eval
pipeline_tag: robotics
tags: [robotics, lingbot-va, video-action-model]
---
"""
"""Hugging Face reads this. Who publishes the weights adds their licence."""

LOSSES = {
    **{"video": "Loss of the last step, video", "action": "Loss of the last step, actions"},
    **{"held_out_video": "Loss on held-out episodes, video", "held_out_action": "Loss on held-out episodes, actions"},
}

Group = tuple[str, str, str, str]
"""Part, setting, protocol and its hash."""


def model_card(name: str, hash: str, settings: LingBotSettings, training: Training) -> str:
    """Return the card of a checkpoint. ``name``: its title; ``hash``: of its content (``Checkpoint.hash``)."""
    sections = (_head(name, hash, training), _rates(training), _data(training), _played(settings), _recipe(training))
    return FRONT + "\n" + "\n\n".join("\n".join(section) for section in sections) + "\n"


def rates_of(experiment: Experiment, plan: Sequence[Episode], final: Mapping[str, EpisodeRecord]) -> tuple[Rate, ...]:
    """Return what a run measured, task by task; ERRORs are in no rate, and a task without a trial has none."""
    counts: dict[tuple[str, str, str], list[bool]] = {}
    for episode in plan:
        record = final.get(episode.id)
        if record is not None and record.outcome is not Outcome.ERROR:
            place = (episode.suite, episode.task, episode.setting)
            counts.setdefault(place, []).append(record.outcome is Outcome.SUCCESS)
    rules = (experiment.protocol_name, experiment.protocol_hash)
    return tuple(Rate(*place, sum(won), len(won), *rules) for place, won in counts.items())


def _head(name: str, hash: str, training: Training) -> Iterator[str]:
    yield f"# {markdown_text(name)}"
    yield ""
    yield (
        f"A checkpoint of LingBot-VA, trained on {markdown_text(training.regime)}. It is played by lingbot_eval, with "
        "the settings and quantiles that `lingbot_eval.json` beside this card has:"
    )
    yield ""
    yield "```console"
    yield "$ run-suite SUITE --agent lingbot-va agent.checkpoint=DIR"
    yield "```"
    yield ""
    yield "| What | Value |"
    yield "|---|---|"
    yield f"| Content | `{hash}` |"
    yield f"| Trained from the checkpoint | `{training.base}` |"
    yield f"| On the data | `{training.data}` |"
    yield f"| Optimizer steps | {training.steps} |"
    for key, value in training.curve.items():
        yield f"| {LOSSES.get(key) or markdown_text(key)} | {value:.4g} |"
    versions = ", ".join(f"{name} {value}" for name, value in training.versions.items())
    yield f"| Computed with | {markdown_text(versions or 'not kept')} |"
    yield ""
    yield "Checkpoints and data are named by hashes of their content."


def _rates(training: Training) -> Iterator[str]:
    yield "## Success rates"
    yield ""
    if not training.rates:
        yield "It was not evaluated."
        return
    yield "| Suite | Task | Successes | SR % | 95 % interval | Protocol |"
    yield "|---|---|---:|---:|---:|---|"
    groups: dict[Group, list[Rate]] = {}
    for rate in training.rates:
        groups.setdefault((rate.part, rate.setting, rate.protocol, rate.protocol_hash), []).append(rate)
    for group, rates in groups.items():
        for rate in rates:
            unseen = bool(training.tasks) and not training.contains(rate.part, rate.task)
            yield _line(group, markdown_text(rate.task) + f" {UNSEEN}" * unseen, [rate])
        if len(rates) > 1:
            yield _line(group, "**all tasks**", rates)
    yield ""
    yield (
        "A task's interval is Wilson's; that of all tasks, which count the same, is stratified by task. Other episodes "
        f"of these tasks are meant. {UNSEEN}: the training data does not contain the task."
    )


def _line(group: Group, task: str, rates: Sequence[Rate]) -> str:
    part, setting, protocol, hash = group
    counts = [Count(rate.successes, rate.trials) for rate in rates]
    successes, trials = sum(rate.successes for rate in rates), sum(rate.trials for rate in rates)
    numbers = f"{successes}/{trials} | {100 * macro(counts):.1f} | {percents(stratified(counts))}"
    return f"| {markdown_text(f'{part} {setting}'.strip())} | {task} | {numbers} | {markdown_text(protocol)} `{hash}` |"


def _data(training: Training) -> Iterator[str]:
    yield "## Data"
    yield ""
    if not training.tasks:
        yield "The data does not say which tasks of a benchmark it has."
        return
    yield "| Suite | Task | Episodes |"
    yield "|---|---|---|"
    for part, tasks in training.tasks.items():
        for task, settings in tasks.items():
            counts = ", ".join(f"{count} {setting}".strip() for setting, count in settings.items())
            yield f"| {markdown_text(part)} | {markdown_text(task)} | {markdown_text(counts)} |"


def _played(settings: LingBotSettings) -> Iterator[str]:
    rows, columns = settings.latent_size
    yield "## What it sees and says"
    yield ""
    yield (
        f"Cameras {markdown_text(', '.join(settings.cameras))} at {settings.height} × {settings.width} pixels (layout "
        f"{settings.layout}, latents {rows} × {columns}); chunks of {settings.frames} × "
        f"{settings.commands_per_frame} commands (latent frames, commands of each), in the shared channels "
        f"{', '.join(map(str, settings.channels))}, normalised by the quantiles of its data."
    )


def _recipe(training: Training) -> Iterator[str]:
    yield "## Recipe"
    yield ""
    yield "```json"
    yield json.dumps(training.recipe, indent=2, default=str)  # whose lines begin with no fence
    yield "```"
