"""A run as one HTML file: nothing is loaded but the videos beside it, and nothing in it but ours can run.

Everything that a run's files say reaches the page as JSON, which page.js shows as text, never as markup; the policy in
its head names the one script and the one style by their hashes, so that the browser refuses any other.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import quote

import msgspec

from lingbot_eval.errors import NotReady
from lingbot_eval.names import safe_name, stem
from lingbot_eval.reports import table
from lingbot_eval.reports.stats import wilson
from lingbot_eval.suites.plan import plan_hash
from lingbot_eval.suites.store import RunDirectory, write_whole
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

HERE = Path(__file__).parent


class TaskLine(msgspec.Struct, frozen=True):
    """One line of the page's first table: a task, or a suite (``task`` empty). Rates are fractions, None without
    trials; seconds are means over the trials that have them."""

    suite: str
    """With its setting, as in tables."""
    task: str
    planned: int
    trials: int
    successes: int
    errors: int
    rate: float | None
    low: float | None
    high: float | None
    progress: float | None
    commands: float | None
    """Mean over the successes: how soon they came."""
    seconds: float | None
    """Mean wall time of the trials."""


class EpisodeLine(msgspec.Struct, frozen=True, omit_defaults=True):
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


class Page(msgspec.Struct, frozen=True):
    """What page.js shows."""

    title: str
    facts: list[tuple[str, str]]
    """What was run on what, by name."""
    caption: str
    warnings: list[str]
    tasks: list[TaskLine]
    episodes: list[EpisodeLine]
    version: str
    """Another one where the run's files have changed since."""


def read(folder: RunDirectory) -> Page:
    """The page of a run as far as it has come.

    Raises BadInput and CorruptRecords.
    """
    seen = version(folder)  # before the files are read: what comes in between is then read again, not missed
    run, plan, records = folder.run(), folder.plan(), folder.records()
    known = records.final()
    final = {episode.id: known[episode.id] for episode in plan if episode.id in known}
    rows = table.rows(plan, final)
    trials: dict[tuple[str, str], list[EpisodeRecord]] = {(row.suite, row.task): [] for row in rows}
    for record in final.values():
        if record.outcome is not Outcome.ERROR:
            for task in (record.episode.task, ""):
                trials[table.label(record.episode), task].append(record)
    videos = {file.relative_to(folder.path / "videos").as_posix() for file in folder.path.glob("videos/*/*.mp4")}
    warnings = list(records.torn)
    if len(known) > len(final):
        warnings.append(f"{len(known) - len(final)} episodes in records/ are not in the plan and count nowhere")
    return Page(
        title=folder.path.resolve().name,
        facts=facts(run, plan, known),
        caption=table.caption(run, rows),
        warnings=warnings,
        tasks=[task_line(row, trials[row.suite, row.task]) for row in rows],
        episodes=[episode_line(episode, final.get(episode.id), videos) for episode in plan],
        version=seen,
    )


def version(folder: RunDirectory) -> str:
    """Of the run's files; cheap."""
    files = [folder.path / "run.json", *sorted(folder.path.glob("plan/*.jsonl"))]
    files += sorted(folder.path.glob("records/*.jsonl"))
    state = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:12]


def facts(
    run: Mapping[str, Any], plan: Sequence[Episode], records: Mapping[str, EpisodeRecord]
) -> list[tuple[str, str]]:
    """What was run on what, by name; versions and hosts as the records have them, all of them where they differ."""
    experiment = run["experiment"]
    origins = [record.provenance for record in records.values() if record.provenance]
    versions: dict[str, set[str]] = {}
    for origin in origins:
        for name, value in origin.versions.items():
            versions.setdefault(name, set()).add(value)
    commands = [session["command"] for session in run.get("sessions", ()) if session.get("command")]
    named = {
        "Benchmark": experiment["suite"]["name"],
        "Plan": f"{plan_hash(plan)}, base seed {experiment['suite']['seed']}",
        "Agent": experiment["agent"]["name"],
        "Checkpoint": experiment["checkpoint"],
        "Training regime": experiment["regime"],
        "Protocol": f"{experiment['protocol']['name']} [{experiment['protocol_hash']}]",
        "Simulator": ", ".join(f"{name} {value}" for name, value in experiment["facts"].items()),
        "Versions": ", ".join(f"{name} {' or '.join(sorted(values))}" for name, values in sorted(versions.items())),
        "Hosts": ", ".join(f"{host} ({count})" for host, count in Counter(o.host for o in origins).most_common()),
        "Commands": "\n".join(dict.fromkeys(commands)),
    }
    return [(name, value) for name, value in named.items() if value]


def task_line(row: table.Row, trials: Sequence[EpisodeRecord]) -> TaskLine:
    known = row.cell
    low, high = wilson(known.successes, known.trials) if known.trials else (None, None)
    commands = [record.commands for record in trials if record.outcome is Outcome.SUCCESS]
    return TaskLine(
        suite=row.suite,
        task=row.task,
        planned=known.planned,
        trials=known.trials,
        successes=known.successes,
        errors=known.errors,
        rate=known.rate,
        low=low,
        high=high,
        progress=known.progress,
        commands=fmean(commands) if commands else None,
        seconds=fmean(record.seconds for record in trials) if trials else None,
    )


def episode_line(episode: Episode, record: EpisodeRecord | None, videos: set[str]) -> EpisodeLine:
    """``videos``: paths in the run's videos folder."""
    suite = table.label(episode)
    if record is None:
        return EpisodeLine(episode.id, suite, episode.task, episode.seed, episode.instruction)
    spent, imagination = record.spent, record.imagination
    video = f"{safe_name(episode.task)}/{stem(episode)}-{record.outcome.value}.mp4"
    return EpisodeLine(
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
        model=round(spent.model, 3) if spent else None,
        simulator=round(spent.simulator, 3) if spent else None,
        waiting=round(spent.waiting, 3) if spent else None,
        latent_mse=imagination.latent_mse if imagination else None,
        psnr=imagination.psnr if imagination else None,
        video=f"../videos/{quote(video)}" if video in videos else "",
    )


def html(page: Page) -> str:
    """The page with everything in it but the videos."""
    style, script = (_text(name).strip() for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "media-src 'self' file:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    # In JSON "<" stands in strings alone; escaped there, nothing can end the element or open a comment.
    data = msgspec.json.encode(page).decode().replace("<", "\\u003c")
    parts = {"POLICY": policy, "STYLE": style, "DATA": data, "SCRIPT": script}
    before, *rest = _text("page.html").split("{{")
    return before + "".join(parts[name] + text for name, _, text in (part.partition("}}") for part in rest))


def write(folder: RunDirectory) -> Path:
    """RUN/report/index.html.

    Raises BadInput, CorruptRecords, and NotReady where nothing can be written.
    """
    file = folder.path / "report" / "index.html"
    content = html(read(folder))
    try:
        file.parent.mkdir(exist_ok=True)
        write_whole(file, content.encode())
    except OSError as error:
        raise NotReady(f"cannot write to {file.parent}: {error.strerror}") from None
    return file


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
