"""A run as one HTML file: its tasks with their intervals, and every episode with what came of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

import msgspec

from lingbot_eval.names import video_name
from lingbot_eval.plain import plain
from lingbot_eval.reports import document, parts, table
from lingbot_eval.reports.parts import Group, Listing
from lingbot_eval.reports.stats.intervals import Count, Interval, stratified
from lingbot_eval.runs import contents
from lingbot_eval.runs.contents import Contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.experiment import Rubric, Step
from lingbot_eval.runs.plan import plan_hash
from lingbot_eval.runs.records import Records
from lingbot_eval.runs.run_json import RunJson
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

FEW_TRIALS = 50
"""Below so many trials of a task the page points out how little they say: 50 leave an interval of up to 27 points."""


class TaskLine(msgspec.Struct, frozen=True):
    """One line of the page's first table: a task, or a suite (``task`` empty). Rates are fractions, None without
    trials; seconds are means over the trials that have them."""

    suite: str
    """The suite with its setting, as in tables."""
    task: str
    unseen: bool
    """The training data does not contain it."""
    planned: int
    trials: int
    successes: int
    errors: int
    rate: float | None
    interval: Interval | None
    interval_on_new_tasks: Interval | None
    """These three as :class:`table.Row` has them."""
    progress: float | None
    progress_interval: Interval | None
    """95 %; at least as wide as needed: a share varies at most as much as a coin of its mean."""
    commands: float | None
    """Mean over the successes: how soon they came."""
    seconds: float | None
    """Mean wall time of the trials."""


class EpisodeLine(msgspec.Struct, omit_defaults=True):
    """A planned episode and what came of it."""

    id: str
    suite: str
    task: str
    seed: int
    instruction: str
    outcome: str = ""
    """Empty: not played yet."""
    state: int | None = None
    commands: int = 0
    seconds: float = 0.0
    progress: float = 0.0
    max_progress: float = 0.0
    out_of_bounds: int = 0
    plan_failures: int = 0
    attempt: int = 1
    error: str = ""
    finished: str = ""
    host: str = ""
    model: float | None = None
    simulator: float | None = None
    waiting: float | None = None
    latent_mse: float | None = None
    psnr: float | None = None
    video: str = ""
    """Relative to the page; empty where there is none."""
    steps: str = ""
    """What a person gave for each step of the rubric."""
    reason: str = ""
    """Why it failed, as a person saw it."""
    interventions: int = 0
    retries: int = 0
    note: str = ""
    operator: str = ""
    correction: str = ""
    """Who corrected this record, and why."""
    before: list[str] = []
    """What was recorded of the episode and no longer counts, oldest first."""
    files: list[str] = []
    """Paths of videos that a person attached, on the machine where the trial was scored."""


class Page(msgspec.Struct, frozen=True):
    """What page.js shows."""

    title: str
    facts: list[tuple[str, str]]
    """What was run on what, by name."""
    caption: str
    warnings: list[str]
    precision: str
    """What the widest interval of a task means; empty where every task has FEW_TRIALS or more."""
    tasks: list[TaskLine]
    episodes: list[EpisodeLine]
    """All that are planned, in planned order; empty where they are in parts."""
    version: str
    """Another one where the run's files have changed since."""
    groups: list[Group]
    """The groups of the listing, in its order, by RANKS."""
    has: list[str]
    """What some episode has, of what has a column only then."""
    parts: str
    """The folder of the parts, relative to the page; empty where there are none."""


RANKS = ("failure", "error", "success", "")
"""Outcomes, in the order in which they are listed; empty: not played."""


class Book:
    """A run's page as far as the run has come, and the parts that belong to it."""

    def __init__(self, said: Contents) -> None:
        plan, records, final = said.plan, said.records, said.final
        self.rows = table.rows(plan, final, said.run.experiment.trained)
        tasks = [_task_line(row) for row in self.rows]
        self._plan, self._lines = plan, Lines(said, said.folder.path / "report")
        self.listing = Listing(map(self._lines.place, plan), len(RANKS))
        self.page = Page(
            title=plain(said.folder.path.resolve().name),
            facts=facts(said.run, plan, records.final()),
            caption=table.caption(said.run.experiment, self.rows),
            warnings=[plain(warning) for warning in (*said.warnings(), *_unseen(self.rows))],
            precision=precision(tasks),
            tasks=tasks,
            episodes=[] if self.listing.parts else [self._lines.line(episode) for episode in plan],
            version=said.version,
            groups=self.listing.groups,
            has=self._lines.has(plan),
            parts=f"{PARTS}/" if self.listing.parts else "",
        )

    def part(self, number: int) -> str:
        """The script of a part."""
        places = self.listing.part(number)
        return parts.script(self.page.version, number, [self._lines.line(self._plan[place]) for place in places])

    def write(self, folder: Path) -> Path:
        """``index.html`` in ``folder``, and its parts.

        Raises NotReady where nothing can be written.
        """
        document.folder(folder)
        file = folder / "index.html"
        parts.write(file, folder / PARTS, self.page, html, map(self.part, range(self.listing.parts)))
        return file


PARTS = "parts"
"""The folder beside the page, which has a folder of the parts that belong to it."""


def read(folder: RunDirectory) -> Page:
    """The page of a run as far as it has come.

    Raises BadInput and CorruptRecords.
    """
    return Book(contents.read(folder)).page


def facts(run: RunJson, plan: Sequence[Episode], records: Mapping[str, EpisodeRecord]) -> list[tuple[str, str]]:
    """What was run on what, by name; versions and hosts as the records have them, all of them where they differ."""
    experiment = run.experiment
    origins = [record.provenance for record in records.values() if record.provenance]
    versions: dict[str, set[str]] = {}
    for origin in {id(origin): origin for origin in origins}.values():
        for name, value in origin.versions.items():
            versions.setdefault(name, set()).add(value)
    commands = [file.command for file in run.coordinators if file.command]
    named = {
        "Benchmark": experiment.suite.name,
        "Plan": f"{plan_hash(plan)}, base seed {experiment.suite.seed}",
        "Agent": experiment.agent_name,
        "Checkpoint": experiment.checkpoint,
        "Training regime": experiment.regime,
        "Protocol": experiment.rules,
        "Simulator": ", ".join(f"{name} {value}" for name, value in experiment.facts.items()),
        "Versions": ", ".join(f"{name} {' or '.join(sorted(values))}" for name, values in sorted(versions.items())),
        "Hosts": ", ".join(f"{host} ({count})" for host, count in Counter(o.host for o in origins).most_common()),
        "Rubrics": "\n".join(map(_rubric, experiment.conventions.rubrics)),
        "Commands": "\n".join(dict.fromkeys(commands)),
    }
    return [(name, plain(value)) for name, value in named.items() if value]


def _rubric(rubric: Rubric) -> str:
    steps = ", ".join(f"{step.name} ({step.points:g})" for step in rubric.steps)
    return f"{rubric.title}: {steps or 'no steps known'}; success: {rubric.success}"


def _task_line(row: table.Row) -> TaskLine:
    known = row.cell
    shares = [Count(task.progress * task.trials, task.trials) for task in row.tasks if task.progress is not None]
    commands = [record.commands for record in known.records if record.outcome is Outcome.SUCCESS]
    return TaskLine(
        suite=row.suite,
        task=row.task,
        unseen=row.unseen,
        planned=known.planned,
        trials=known.trials,
        successes=known.successes,
        errors=known.errors,
        rate=row.rate,
        interval=row.interval,
        interval_on_new_tasks=row.interval_on_new_tasks,
        progress=row.progress,
        progress_interval=stratified(shares) if shares else None,
        commands=fmean(commands) if any(commands) else None,
        seconds=fmean([record.seconds for record in known.records]) if known.trials else None,
    )


def _unseen(rows: Sequence[table.Row]) -> list[str]:
    words = table.lacking(row.task for row in rows if row.unseen)
    return [f"{table.UNSEEN} {words}"] if words else []


def precision(tasks: Sequence[TaskLine]) -> str:
    known = [(line.interval, line) for line in tasks if line.task and line.interval]
    if not any(line.trials < FEW_TRIALS for _, line in known):
        return ""
    (low, high), line = max(known, key=lambda pair: pair[0][1] - pair[0][0])
    return (
        f"Few trials, wide intervals: {line.successes} of {line.trials} ({line.task}) is what true rates anywhere from "
        f"{100 * low:.0f} to {100 * high:.0f} % give. Use lingbot-eval compare before calling one run better."
    )


class Lines:
    """The lines of a run's episodes, for the page in ``base``."""

    def __init__(self, said: Contents, base: Path) -> None:
        self._final, self._earlier = said.final, superseded(said.records)
        self._steps = {rubric.task: rubric.steps for rubric in said.run.experiment.conventions.rubrics}
        films = said.folder.path / "videos"
        way = os.path.relpath(films.resolve(), base.resolve())
        names = (file.relative_to(films).as_posix() for file in films.glob("*/*.mp4"))
        self._videos = {name: quote(os.fsencode(f"{way}/{name}")) for name in names}

    def line(self, episode: Episode) -> EpisodeLine:
        final, earlier = self._final.get(episode.id), self._earlier.get(episode.id, [])
        return episode_line(episode, final, earlier, self._steps.get(episode.task, ()), self._videos)

    def place(self, episode: Episode) -> tuple[str, str, int]:
        """Its suite, task and rank."""
        record = self._final.get(episode.id)
        return table.label(episode), episode.task, RANKS.index(record.outcome.value if record else "")

    def has(self, plan: Iterable[Episode]) -> list[str]:
        """Name those of ``reason``, ``commands``, ``max_progress`` and ``video`` that some episode has."""
        records = self._final.values()
        found = {
            "reason": any(record.trial and record.trial.reason for record in records),
            "commands": any(record.commands for record in records),
            "max_progress": any(record.max_progress for record in records),
            "video": bool(self._videos) and any(self.line(episode).video for episode in plan),
        }
        return [name for name, there in found.items() if there]


def superseded(records: Records) -> dict[str, list[str]]:
    """Say by episode id what was recorded of it and does not count, oldest first."""
    words: dict[str, list[str]] = {}
    for record in sorted(records.superseded(), key=lambda record: (record.attempt, record.finished)):
        steps = f", {record.progress:g} of {record.max_progress:g}" if record.max_progress else ""
        told = record.error or (record.trial.reason if record.trial else "")
        text = f"attempt {record.attempt}: {record.outcome.value}{steps}" + (f", {told}" if told else "")
        words.setdefault(record.episode.id, []).append(text)
    return words


def episode_line(
    episode: Episode,
    record: EpisodeRecord | None,
    before: Sequence[str],
    steps: Sequence[Step],
    videos: Mapping[str, str],
) -> EpisodeLine:
    """``steps``: of a rubric; ``videos``: addresses by path in the run's videos folder."""
    suite = table.label(episode)
    if record is None:
        return EpisodeLine(
            episode.id, suite, episode.task, episode.seed, episode.instruction, state=episode.initial_state
        )
    line = EpisodeLine(
        id=episode.id,
        suite=suite,
        task=episode.task,
        seed=episode.seed,
        instruction=episode.instruction,
        outcome=record.outcome.value,
        state=episode.initial_state,
        commands=record.commands,
        seconds=round(record.seconds, 3),
        progress=record.progress,
        max_progress=record.max_progress,
        out_of_bounds=record.out_of_bounds,
        plan_failures=record.plan_failures,
        attempt=record.attempt,
        error=record.error,
        finished=record.finished,
        host=record.provenance.host if record.provenance else "",
        video=videos.get(video_name(episode, record.outcome), "") if videos else "",
        before=list(before),
    )
    if spent := record.spent:
        line.model, line.simulator = round(spent.model, 3), round(spent.simulator, 3)
        line.waiting = round(spent.waiting, 3)
    if imagination := record.imagination:
        line.latent_mse, line.psnr = imagination.latent_mse, imagination.psnr
    if correction := record.correction:
        line.correction = f"{correction.who}: {correction.why}"
    if trial := record.trial:
        given = zip(steps, trial.points, strict=False)
        line.steps = ", ".join(f"{step.name}: {points:g} of {step.points:g}" for step, points in given)
        line.reason, line.note, line.operator = trial.reason, trial.note, trial.operator
        line.interventions, line.retries, line.files = trial.interventions, trial.retries, list(trial.videos)
    return line


def html(page: Page, grows: bool = False) -> str:
    """``grows``: it may come to have parts while it is open."""
    return document.html(page, "page.js", grows or bool(page.parts))


def write(folder: RunDirectory) -> Path:
    """RUN/report/index.html.

    Raises BadInput, CorruptRecords, and NotReady where nothing can be written.
    """
    return Book(contents.read(folder)).write(folder.path / "report")
