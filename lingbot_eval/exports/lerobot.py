"""A run's played episodes as a LeRobotDataset."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lingbot_eval.errors import BadInput, PlaybackDiffers
from lingbot_eval.exports.dataset import LAYOUTS, Dataset
from lingbot_eval.exports.playback import Playback, commands_of
from lingbot_eval.models.lingbot_va.columns import columns
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.recorded import settings_of
from lingbot_eval.suites import suite_named
from lingbot_eval.types import EnvSpec, Outcome


def write(
    folder: RunDirectory, version: str, outcomes: Collection[Outcome], target: Path, tell: Callable[[str], None]
) -> int:
    """Play the run's episodes of these ``outcomes`` again and write them to ``target``; return how many were left out
    because they did not end as recorded. ``tell`` hears of each.

    Raises BadInput, NotReady, RunMismatch and CorruptRecords.
    """
    final = folder.records().final()
    records = [final[episode.id] for episode in folder.plan() if episode.id in final]
    chosen = [record for record in records if record.outcome in outcomes]
    if not chosen:
        raise BadInput(f"{folder.path} has no episode that ended in {' or '.join(sorted(o.value for o in outcomes))}")
    settings = settings_of(folder)
    for record in chosen:
        commands_of(folder, record)  # what is missing is said before anything is played
    left_out = 0
    with Playback(folder, settings) as playback:
        spec = playback.spec(chosen[0])
        cameras, names = _names(settings.suite.name, spec)
        dataset = Dataset(target, LAYOUTS[version], round(spec.commands_per_second), cameras, names)
        for number, record in enumerate(chosen, start=1):
            words = f"{number}/{len(chosen)} {record.episode.id}"
            try:
                dataset.add(playback.moments(record), record.episode.instruction)
            except PlaybackDiffers as error:
                left_out += 1
                words = f"left out: {error}"
            tell(words)
        if not dataset.episodes:
            raise PlaybackDiffers("no episode ended as recorded when it was played again: nothing was written")
        dataset.close(_card(folder, spec, dataset))
    return left_out


def _names(suite: str, spec: EnvSpec) -> tuple[Mapping[str, str], list[str] | None]:
    """Name cameras and command columns as LingBot-VA's post-training does, where it plays the suite."""
    benchmark = suite_named(suite).post_training
    if not benchmark:
        return {camera: f"observation.images.{camera}" for camera in spec.cameras}, None
    return load_benchmark(benchmark).cameras, [column.name for column in columns(benchmark, spec.channels)]


def _card(folder: RunDirectory, spec: EnvSpec, dataset: Dataset) -> str:
    """Write the text of the dataset's README.md, with the head that the hub reads."""
    experiment = folder.run().experiment
    words = {
        "suite": experiment.suite.name,
        "protocol": experiment.rules,
        "agent": experiment.player,
        "training regime": experiment.regime,
        "episodes": f"{len(dataset.episodes)}, one row per command",
        **spec.conventions,
        **experiment.facts,
    }
    if "command" in spec.conventions and "relative" in spec.conventions["command"]:
        words["command"] = "absolute end-effector poses, world frame, quaternion w first; played were relative ones"
    lines = [f"- {name}: {value}" for name, value in words.items()]
    head = ["---", "task_categories: [robotics]", "tags: [LeRobot]", "---", "# Played episodes", ""]
    made = "Written by lingbot_eval: recorded commands, played again with a picture at every command."
    return "\n".join([*head, made, "", *lines, ""])
