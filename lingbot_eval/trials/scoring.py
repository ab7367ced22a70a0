"""A rubric makes a record of what a person saw."""

from __future__ import annotations

from dataclasses import replace

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.trials.rubric import Rubric
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Trial

REASONS = (
    *("no attempt", "wrong object", "missed grasp", "dropped", "misplaced", "collision"),
    *("stuck", "time limit", "no retries left", "stopped for safety", "other"),
)
"""A trial fails for one of these reasons."""

OUTCOMES = {"success": Outcome.SUCCESS, "failure": Outcome.FAILURE, "void": Outcome.ERROR}
"""People call them so."""


def outcome_named(word: str) -> Outcome:
    """Return the outcome that people call so. Raises UnknownName where they call none so."""
    if word not in OUTCOMES:
        raise UnknownName("outcome", word, OUTCOMES)
    return OUTCOMES[word]


def points_of(rubric: Rubric, step: int, points: float | None) -> float:
    """Return ``points`` for ``step`` (from 1); all that the rubric gives where they are None.

    Raises BadInput for a step that the rubric has not, or points that it does not give.
    """
    if not 1 <= step <= len(rubric.steps):
        has = f"1..{len(rubric.steps)}" if rubric.steps else "none, since no maximum is known"
        raise BadInput(f"{rubric.task} has no step {step}; its steps: {has}")
    full = rubric.steps[step - 1].points
    allowed = (0.0, full / 2, full) if rubric.half_points else (0.0, full)
    if points is not None and points not in allowed:
        raise BadInput(
            f"{points:g} points for step {step} of {rubric.task}; it gives {', '.join(f'{p:g}' for p in allowed)}"
        )
    return full if points is None else points


def scored(
    rubric: Rubric, episode: Episode, outcome: Outcome, seconds: float, trial: Trial, reason: str
) -> EpisodeRecord:
    """Make the record of a first attempt, without its origin. A failure and a void have a ``reason``.

    Raises BadInput, UnknownName where the rubric does not allow it.
    """
    if len(trial.points) != len(rubric.steps):
        raise BadInput(f"points were given for {len(trial.points)} steps, but {rubric.task} has {len(rubric.steps)}")
    given = [points_of(rubric, step, points) for step, points in enumerate(trial.points, start=1)]
    if outcome is Outcome.SUCCESS:
        if trial.interventions:
            raise BadInput("a hand helped (interventions above 0), so it cannot be a success; end it as a failure")
        if rubric.time_limit_seconds is not None and seconds > rubric.time_limit_seconds:
            raise BadInput(f"{seconds:.0f} s are over {rubric.task}'s limit of {rubric.time_limit_seconds:g} s")
        given = [points or step.points for points, step in zip(given, rubric.steps, strict=True)]
    elif outcome is Outcome.FAILURE:
        if reason not in REASONS:
            raise UnknownName("reason of a failure", reason, REASONS)
    elif not reason.strip():
        raise BadInput("say why the trial is void")
    return EpisodeRecord(
        episode=episode,
        outcome=outcome,
        commands=0,
        seconds=round(seconds, 3),
        progress=sum(given),
        max_progress=rubric.max_progress,
        error=reason if outcome is Outcome.ERROR else "",
        trial=replace(trial, points=tuple(given), reason=reason if outcome is Outcome.FAILURE else ""),
    )
