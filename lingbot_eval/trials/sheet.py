"""A CSV file brings trials that were scored on paper or in a spreadsheet into a trial session."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.plain import uncell
from lingbot_eval.trials.scoring import outcome_named
from lingbot_eval.trials.session import TrialSession, video_path
from lingbot_eval.types import EpisodeRecord, Trial

COLUMNS = ("task", "method", "setup", "outcome", "points", "seconds")
"""Every file has these. setup counts from 1; outcome: success, failure or void; points: by step, separated by spaces
(empty: none, and all for a success)."""

OPTIONAL = ("reason", "interventions", "retries", "note", "videos", "operator")
"""reason: of a failure (one of REASONS), or of a void. videos: paths, separated by ``;``."""


def import_csv(session: TrialSession, file: Path) -> int:
    """Write every row's record, and return their number.

    Raises BadInput with every bad row and its reason, one per line; then nothing was written. Raises NotReady on a full
    disk; what was written until then is there, and refused when it comes again.
    """
    records: dict[int, EpisodeRecord] = {}
    bad = []
    for line, row in _rows(file):
        try:
            number, record = _record(session, row)
            if number in records:
                raise BadInput("the same trial as an earlier row")
            records[number] = record
        except BadInput as error:
            bad.append(f"  line {line}: {error}")
    if bad:
        raise BadInput("\n".join([f"{file}: {len(bad)} bad rows, nothing was imported", *bad]))
    for number, record in records.items():
        session.write(number, record)
    return len(records)


def _rows(file: Path) -> list[tuple[int, Mapping[str | None, str]]]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", strict=True)
            columns = list(reader.fieldnames or ())
            if missing := [name for name in COLUMNS if name not in columns]:
                raise BadInput(f"{file} lacks the columns {', '.join(missing)}")
            for name in columns:
                if name not in (*COLUMNS, *OPTIONAL):
                    raise UnknownName(f"column in {file}", name, (*COLUMNS, *OPTIONAL))
            return [(reader.line_num, {**row}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{file} cannot be read as CSV: {error}") from None


def _record(session: TrialSession, row: Mapping[str | None, str]) -> tuple[int, EpisodeRecord]:
    """Return (trial number, record) of a row. Raises BadInput with what is wrong with it."""
    if None in row:
        raise BadInput("more cells than columns")
    cells = {str(name): uncell(text.strip()).strip() for name, text in row.items()}
    number = _number(session, cells)
    steps = len(session.plan.rubric(cells["task"]).steps)
    points = tuple(_float("points", text) for text in cells["points"].split()) or (0.0,) * steps
    outcome = outcome_named(cells["outcome"])
    videos = tuple(video_path(path.strip()) for path in cells.get("videos", "").split(";") if path.strip())
    trial = Trial(
        operator=cells.get("operator", "") or session.operator,
        points=points,
        interventions=_count(cells, "interventions"),
        retries=_count(cells, "retries"),
        note=cells.get("note", ""),
        videos=videos,
    )
    seconds = _float("seconds", cells["seconds"])
    return number, session.enter(number, outcome, seconds, trial, cells.get("reason", ""))


def _number(session: TrialSession, cells: Mapping[str, str]) -> int:
    plan = session.plan
    for name, known in (("task", [rubric.task for rubric in plan.rubrics]), ("method", plan.methods)):
        if cells[name] not in known:
            raise UnknownName(name, cells[name], known)
    setups = [str(k + 1) for k in range(plan.trials)]
    if cells["setup"] not in setups:
        raise BadInput(f"setup {cells['setup']!r} is not in the plan (1..{plan.trials})")
    wanted = (cells["task"], cells["method"], int(cells["setup"]) - 1)
    places = [(slot.episode.task, slot.method, slot.episode.index) for slot in session.slots]
    return places.index(wanted) + 1


def _float(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{name} must be a number, got {text!r}") from None
    if not 0 <= value < float("inf"):
        raise BadInput(f"{name} must be a number from 0 up, got {text}")
    return value


def _count(cells: Mapping[str, str], name: str) -> int:
    text = cells.get(name, "") or "0"
    if not text.isdecimal() or len(text) > 9:
        raise BadInput(f"{name} must be a whole number from 0 to 999999999, got {text!r}")
    return int(text)
