"""Tables made of records: per task, per suite, and the row that papers print."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from lingbot_eval.plain import cell as safe
from lingbot_eval.reports.formats import markdown_text
from lingbot_eval.reports.stats import Count, Interval
from lingbot_eval.reports.stats.intervals import macro, stratified
from lingbot_eval.reports.stats.spread import ENOUGH_TASKS, clustered
from lingbot_eval.runs.experiment import Experiment
from lingbot_eval.settings.trained import Trained
from lingbot_eval.suites import installed
from lingbot_eval.types import Episode, EpisodeRecord, Outcome


@dataclass(frozen=True)
class Cell:
    """What is known about a set of planned episodes."""

    planned: int
    successes: int
    trials: int
    """Episodes with a final record that is not an ERROR; the rate's denominator."""
    errors: int
    """Episodes that ended in ERROR and have no other record; not in the rate."""
    progress: float | None
    """PS: mean of progress / max progress over the trials; None where the benchmark defines no steps."""
    records: Sequence[EpisodeRecord] = field(repr=False)
    """The trials' records."""

    @cached_property
    def measured(self) -> Mapping[str, Sequence[float]]:
        """The numbers of each name in MEASURED, of the trials that have it."""
        spent = [record.spent for record in self.records if record.spent]
        imagined = [record.imagination for record in self.records if record.imagination]
        numbers: tuple[Iterable[float], ...] = (
            (one.model for one in spent),
            (one.simulator for one in spent),
            (one.waiting for one in spent),
            (seconds for record in self.records if (seconds := record.recording) is not None),
            (one.latent_mse for one in imagined),
            (one.psnr for one in imagined if one.psnr is not None),
        )
        return {name: array("d", values) for name, values in zip(MEASURED, numbers, strict=True)}  # a fifth of a list

    @property
    def rate(self) -> float | None:
        return self.successes / self.trials if self.trials else None

    @property
    def complete(self) -> bool:
        return self.trials == self.planned


MEASURED = ("model_seconds", "simulator_seconds", "waiting_seconds", "recording_seconds", "latent_mse", "psnr")
"""Numbers of an episode that are averaged, beside the scores."""


@dataclass(frozen=True)
class Row:
    """One line: a task, or the mean over a suite's tasks (``task`` empty). Rates are fractions; None without trials."""

    suite: str
    """The suite with the setting behind it, where the benchmark has settings: they are results of their own."""
    task: str
    cell: Cell
    """All of its episodes in one heap."""
    tasks: tuple[Cell, ...]
    """The task's own, or one for each task of the suite."""
    unseen: bool = False
    """The checkpoint says what it was trained on, and this task is not among it."""

    @property
    def rate(self) -> float | None:
        """SR, every task counting the same."""
        return macro(known) if (known := self._counts()) else None

    @property
    def interval(self) -> Interval | None:
        """95 % interval of ``rate`` for other episodes of these tasks: Wilson's of a task, stratified of a suite."""
        return stratified(known) if (known := self._counts()) else None

    @property
    def interval_on_new_tasks(self) -> Interval | None:
        """95 % interval of ``rate`` for other tasks of this kind; None for fewer than ENOUGH_TASKS."""
        known = self._counts()
        return clustered(known) if len(known) >= ENOUGH_TASKS else None

    @property
    def progress(self) -> float | None:
        """PS, every task counting the same; None where the benchmark defines no steps."""
        known = [task.progress for task in self.tasks if task.progress is not None]
        return fmean(known) if known else None

    def _counts(self) -> list[Count]:
        return [Count(task.successes, task.trials) for task in self.tasks if task.trials]


UNSEEN = "†"
"""It stands behind the name of a task that the training data does not contain."""


def rows(plan: Sequence[Episode], final: Mapping[str, EpisodeRecord], trained: Trained | None = None) -> list[Row]:
    """Each suite's tasks in planned order, then the suite; setting by setting. ``trained``: the experiment's."""
    unseen = {(label(episode), episode.task) for episode in untrained(plan, trained)}
    suites: dict[str, list[Episode]] = {}
    tasks: dict[str, dict[str, list[Episode]]] = {}
    for episode in plan:
        suite = label(episode)
        suites.setdefault(suite, []).append(episode)
        tasks.setdefault(suite, {}).setdefault(episode.task, []).append(episode)
    table = []
    for suite, mine in suites.items():
        cells = {task: cell(episodes, final) for task, episodes in tasks[suite].items()}
        table += [Row(suite, task, known, (known,), (suite, task) in unseen) for task, known in cells.items()]
        table.append(Row(suite, "", cell(mine, final), tuple(cells.values())))
    return table


def untrained(plan: Iterable[Episode], trained: Trained | None) -> list[Episode]:
    """Return the episodes of tasks that the training data does not contain, in any setting; none where nobody knows
    what it contains."""
    if trained is None or not trained.tasks:
        return []
    return [episode for episode in plan if not trained.contains(episode.suite, episode.task)]


def lacking(tasks: Iterable[str], whose: str = "The training data") -> str:
    """Say which tasks the training data lacks; empty where it lacks none."""
    names = ", ".join(dict.fromkeys(tasks))
    return f"{whose} does not contain {names}." if names else ""


def label(episode: Episode) -> str:
    """Name an episode's suite, with the setting behind it where the benchmark has settings."""
    return f"{episode.suite} {episode.setting}".strip()


def cell(episodes: Sequence[Episode], final: Mapping[str, EpisodeRecord]) -> Cell:
    played = [record for episode in episodes if (record := final.get(episode.id))]
    trials = [record for record in played if record.outcome is not Outcome.ERROR]
    scored = [record.progress / record.max_progress for record in trials if record.max_progress]
    return Cell(
        planned=len(episodes),
        successes=sum(record.outcome is Outcome.SUCCESS for record in trials),
        trials=len(trials),
        errors=len(played) - len(trials),
        progress=sum(scored) / len(scored) if scored else None,
        records=trials,
    )


HEADINGS = ("Suite", "Task", "Successes", "SR %", "95 % interval", "PS %", "Errors")


def texts(row: Row) -> tuple[str, ...]:
    """Write a row under HEADINGS, for people."""
    known = row.cell
    counted = f"{known.successes}/{known.trials}" + ("" if known.complete else f" of {known.planned}")
    rate, progress = ("–" if share is None else f"{100 * share:.1f}" for share in (row.rate, row.progress))
    interval = "–" if row.interval is None else percents(row.interval)
    task = f"{row.task} {UNSEEN}" if row.unseen else row.task or "all tasks"
    return (row.suite, task, counted, rate, interval, progress, str(known.errors or ""))


def percents(interval: Interval) -> str:
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


@dataclass(frozen=True)
class PaperCell:
    """One number of the row that papers print."""

    heading: str
    """The suite's short name; with the number of tasks where not all were planned."""
    rate: str
    """SR in %, or a dash."""
    trials: int


def paper_row(table: Sequence[Row], benchmark: str) -> list[PaperCell] | None:
    """The row of a benchmark that papers print by part, ending in Avg, the mean of its columns, which needs all of
    them.

    None for a benchmark without such a row.
    """
    played = installed(benchmark)
    if played is None or played.paper is None or played.settings:
        return None
    cells, rates = [], []
    for suite, name in played.paper.parts.items():
        whole = played.tasks_in[suite]
        total = next((row for row in table if row.suite == suite and not row.task), None)
        tasks = sum(row.suite == suite and bool(row.task) for row in table)
        rate, trials = (total.rate, total.cell.trials) if total else (None, 0)
        heading = name if tasks in (0, whole) else f"{name} ({tasks}/{whole} tasks)"
        cells.append(PaperCell(heading, "–" if rate is None else f"{100 * rate:.1f}", trials))
        rates.append(rate)
    known = [rate for rate in rates if rate is not None]
    average = f"{100 * sum(known) / len(known):.1f}" if len(known) == len(rates) else "–"
    return [*cells, PaperCell("Avg", average, sum(cell.trials for cell in cells))] if len(cells) > 1 else cells


def caption(experiment: Experiment, table: Sequence[Row]) -> str:
    """Who played under which rules, and whether the numbers are final."""
    facts = ", ".join(f"{name} {value}" for name, value in experiment.facts.items())
    text = f"Agent {experiment.player} (training regime: {experiment.regime}), protocol {experiment.rules}"
    text += f" on {facts}." if facts else "."
    tasks = len({(row.suite.partition(" ")[0], row.task) for row in table if row.task})
    planned = sum(row.cell.planned for row in table if row.task)
    text += f" {planned} episodes of {tasks} tasks, base seed {experiment.suite.seed}."
    text += " SR = successes / trials with Wilson's 95 % interval; PS = mean of progress / maximum; ERRORs are in "
    text += "neither. Of all tasks: means over tasks, SR's interval for other episodes of these tasks (stratified)."
    wide = [f"{row.suite} {percents(known)} %" for row in table if (known := row.interval_on_new_tasks)]
    text += f" On new tasks of the kind (clustered by task): {', '.join(wide)}." if wide else ""
    suites = [row.cell for row in table if not row.task]
    measured = {name: sum((array("d", known.measured[name]) for known in suites), array("d")) for name in MEASURED}
    mean = {name: fmean(values) for name, values in measured.items() if values}
    if "model_seconds" in mean:
        text += f" Mean seconds per episode: {mean['model_seconds']:.1f} in the model, "
        text += f"{mean['simulator_seconds']:.1f} in the simulator, {mean['waiting_seconds']:.1f} waiting, "
        text += f"{mean['recording_seconds']:.1f} recording."
    if "latent_mse" in mean:
        text += f" Imagined against real: latent MSE {mean['latent_mse']:.3f}"
        text += f", PSNR {mean['psnr']:.1f} dB." if "psnr" in mean else "."
    text += f" {UNSEEN} {words}" if (words := lacking(row.task for row in table if row.unseen)) else ""
    errors, missing = sum(c.errors for c in suites), sum(c.planned - c.trials - c.errors for c in suites)
    if errors or missing:
        text += f" NOT FINAL: {errors} episodes ended in ERROR, {missing} not played yet; the same command goes on."
    return text


def markdown(experiment: Experiment, table: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---" + "|---:" * (len(HEADINGS) - 2) + "|"]
    for row in table:
        cells = [_escaped(text) for text in texts(row)]
        lines.append("| " + " | ".join(cells if row.task else [f"**{text}**" if text else "" for text in cells]) + " |")
    paper = paper_row(table, experiment.suite.name)
    if paper:
        lines += [
            "",
            "| SR % | " + " | ".join(cell.heading for cell in paper) + " |",
            "|---" + "|---:" * len(paper) + "|",
        ]
        lines.append(f"| {_escaped(experiment.agent_name)} | " + " | ".join(cell.rate for cell in paper) + " |")
        lines.append("| N | " + " | ".join(str(cell.trials) for cell in paper) + " |")
    return "\n".join([*lines, "", _escaped(caption(experiment, table)), ""])


def _escaped(text: str) -> str:
    """Escape as in papers' tables, but for what stands within words and hashes and does nothing there, so that the file
    reads well as it is: an underline between two letters, and brackets that begin no link."""
    return re.sub(r"(?<=[^\W_])\\(_)(?=[^\W_])|\\([{}]|\[|\](?![(\[:]))", r"\1\2", markdown_text(text))


NUMBERS = (
    *("planned", "trials", "successes", "errors", "sr", "sr_low", "sr_high"),
    *("sr_low_on_new_tasks", "sr_high_on_new_tasks", "ps", *MEASURED),
)

CSV_HEADINGS = ("suite", "task", *NUMBERS, "agent", "checkpoint", "protocol", "protocol_hash", "regime", "trained")


def numbers(row: Row) -> tuple[float | None, ...]:
    """Give a row under NUMBERS: rates are fractions with all digits, MEASURED are means; missing ones are None."""
    known = row.cell
    bounds = (*(row.interval or (None, None)), *(row.interval_on_new_tasks or (None, None)))
    means = (fmean(values) if (values := known.measured[name]) else None for name in MEASURED)
    counts = (known.planned, known.trials, known.successes, known.errors)
    return (*counts, row.rate, *bounds, row.progress, *means)


def as_csv(experiment: Experiment, table: Sequence[Row]) -> str:
    """Write the rows under CSV_HEADINGS, with all digits; ``task`` is empty for a suite. ``trained``: yes or no, as the
    training data has the task; empty for a suite, and where nobody knows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEADINGS)
    who = [experiment.agent_name, experiment.checkpoint, experiment.protocol_name]
    who += [experiment.protocol_hash, experiment.regime]
    for row in table:
        known = row.task and experiment.trained and experiment.trained.tasks
        trained = ("no" if row.unseen else "yes") if known else ""
        writer.writerow([safe(row.suite), safe(row.task), *numbers(row), *map(safe, who), trained])
    return text.getvalue()
