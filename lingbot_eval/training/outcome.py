"""What comes out of a training: the checkpoint, in one layout or two, or adapters beside it, and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from lingbot_eval.datasets.items import Items
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.exports.rated import write_card
from lingbot_eval.files import bounded
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.model import DTYPES
from lingbot_eval.models.lingbot_va.own_file import OwnFile, read_own
from lingbot_eval.models.lingbot_va.saving import write_lerobot, write_upstream
from lingbot_eval.settings.trained import LONGEST_REGIME, Rate, Training
from lingbot_eval.training import lora
from lingbot_eval.training.directory import Directory
from lingbot_eval.training.learner import Learner
from lingbot_eval.training.preparing import Prepared

Tasks = dict[str, dict[str, dict[str, int]]]
"""Numbers of episodes, by part of a benchmark, task and setting."""


def write(prepared: Prepared, directory: Directory, learner: Learner, step: int, lines: Mapping[str, Any]) -> None:
    """Write what comes out after ``step`` steps, the average of the weights where there is one; all processes call
    this. ``lines``: the curve's last ones, by what they tell (Loop.last).

    Raises NotReady where it cannot be written.
    """
    with learner.averaged():
        weights = learner.weights()
    if weights:
        _write(prepared, directory, weights, described(prepared, step, lines))


def _write(prepared: Prepared, directory: Directory, weights: Mapping[str, Tensor], training: Training) -> None:
    settings, base, model = prepared.settings, prepared.base, prepared.model
    if settings.lora.rank:
        if not settings.lora.merged:
            lora.write_adapter(directory.adapter, weights, settings.lora, settings.checkpoint)
        weights = lora.merged(weights, settings.lora)
    training = msgspec.structs.replace(training, rates=_measured(directory.checkpoint, training))
    dtype = DTYPES[settings.dtype]
    write_upstream(directory.checkpoint, weights, base, model, training, dtype)
    hash = locate(str(directory.checkpoint)).hash()
    write_card(directory.checkpoint, directory.path.resolve().name, hash, OwnFile(model, training))
    if settings.lerobot:
        write_lerobot(directory.lerobot, weights, base, model, training, dtype, parts=directory.checkpoint)


def _measured(folder: Path, training: Training) -> tuple[Rate, ...]:
    """Return the rates that the checkpoint in ``folder`` has, where it is the one that is written now."""
    own = read_own(folder)
    if own is None or own.training is None or _plain(own.training) != _plain(training):
        return ()
    return own.training.rates


def _plain(training: Training) -> Any:
    return json.loads(json.dumps(training.identity(), default=str))


def described(prepared: Prepared, step: int, lines: Mapping[str, Any]) -> Training:
    """Say what the model was trained on: held-out episodes are none of it."""
    contents, items = prepared.contents(), prepared.items
    learnt = sorted(set(range(len(items))) - prepared.held_out())
    tasks = taught(items, learnt)
    episodes = len({items.episode(n) for n in learnt})
    names = [task for part in tasks.values() for task in part]
    subject = f"{len(names)} tasks" if len(names) > 1 else "".join(names) or items.robot.name
    way = f" of LoRA, rank {prepared.settings.lora.rank}" if prepared.settings.lora.rank else ""
    curve = {name: float(lines["video"][name]) for name in ("video", "action") if "video" in lines}
    if "held_out" in lines:
        curve |= {f"held_out_{name}": lines["held_out"]["held_out"][name] for name in ("video", "action")}
    regime, before = f"{subject}, {episodes} episodes, {step} steps{way}", prepared.base.training
    if before is not None:  # or a table would have 20 episodes for what began with a thousand
        regime = f"{regime}; before that: {before.regime}"
        regime = regime if len(regime) <= LONGEST_REGIME else f"{regime[: LONGEST_REGIME - 3]}..."
        tasks = tasks if before.data == contents["data content"] else together(tasks, before.tasks)
    return Training(
        regime=regime,
        tasks=tasks,
        data=contents["data content"],
        base=contents["checkpoint content"],
        steps=step,
        recipe=prepared.settings.identity(),
        curve=curve,
        versions={name: metadata.version(name) for name in ("lingbot_eval", "torch", "diffusers", "transformers")},
    )


def together(tasks: Tasks, before: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Tasks:
    """Return the sums of numbers of episodes."""
    found = {part: {task: dict(counts) for task, counts in known.items()} for part, known in tasks.items()}
    for part, known in before.items():
        for task, counts in known.items():
            held = found.setdefault(part, {}).setdefault(task, {})
            for setting, count in counts.items():
                held[setting] = held.get(setting, 0) + count
    return found


def taught(items: Items, learnt: Sequence[int]) -> Tasks:
    """Count the episodes of the items ``learnt`` by part, task and setting, as far as ``meta/episodes.jsonl`` says
    these."""
    found: Tasks = {}
    places = [items.places[n] for n in learnt]
    for folder in sorted({place.dataset.folder for place in places}):
        known = {place.episode.index for place in places if place.dataset.folder == folder}
        file = folder / "meta" / "episodes.jsonl"
        if not file.exists():
            continue
        for line in bounded(file).splitlines():
            try:
                said = json.loads(line)
                index, part, task = said["episode_index"], said.get("suite"), said.get("task")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CorruptRecords(f"{file}: {error}") from None
            if index in known and isinstance(part, str) and isinstance(task, str):
                settings = found.setdefault(part, {}).setdefault(task, {})
                setting = str(said.get("setting") or "")
                settings[setting] = settings.get(setting, 0) + 1
    return found
