"""Find in a record what no episode can have: before it is written, and whenever it is read."""

from __future__ import annotations

from datetime import datetime, timezone

from lingbot_eval.types import EpisodeRecord, Outcome, Trial

MOST = 1_000_000_000
"""No count, score or number of seconds is larger; below it, sums over a million records are exact in float64."""

MOST_IN_A_SHEET = 1e20
"""No trial has more seconds. Version 0.1.0 took what stood in a sheet, were it a date in nanoseconds; since then
nothing over MOST is written (trials/session.py)."""

LAST_YEAR = 9998
"""No moment is later than this year: Python's last is the next."""

CLOSE = 1e-9
"""Python 3.12 adds up floats in another way than 3.11: a trial's points may have another sum in the last digits."""

SUCCESS, ERROR, UTC, _moment = (
    Outcome.SUCCESS,
    Outcome.ERROR,
    timezone.utc,
    datetime.fromisoformat,
)  # looked up once, not a million times


def impossible(record: EpisodeRecord) -> str:
    """Say in words what is impossible about ``record``; empty where nothing is. Its types are taken to be right."""
    commands, progress, most = record.commands, record.progress, record.max_progress
    if not 0 <= commands <= MOST:  # NaN is in no range
        return f"{commands} commands"
    if not 0 <= record.seconds <= (MOST if record.trial is None else MOST_IN_A_SHEET):
        return f"{record.seconds} seconds"
    if not 0 <= most <= MOST:
        return f"a task of {most} steps"
    if not 0 <= progress <= most:
        return f"progress {progress} of {most}"
    if not 0 <= record.out_of_bounds <= commands:
        return f"{record.out_of_bounds} of {commands} commands out of bounds"
    if not 0 <= record.plan_failures <= MOST:
        return f"{record.plan_failures} plan failures"
    if not 0 <= record.attempt <= MOST:
        return f"attempt {record.attempt}"
    if finished := record.finished:
        try:
            moment = _moment(finished)
        except ValueError:
            return f"a moment {finished!r}, which is none"
        if moment.tzinfo is not UTC or moment.year > LAST_YEAR:  # in UTC, since its text is what is sorted by
            return f"a moment {finished!r}, which is not in UTC, or too late"
    if record.error and record.outcome is not ERROR:
        return f"a {record.outcome.value} with an error: {record.error}"
    if progress < most and record.outcome is SUCCESS and record.trial is None:
        return f"a success with progress {progress} of {most}"
    if (spent := record.spent) is not None and not -MOST <= spent.model + spent.simulator + spent.waiting <= MOST:
        return f"{spent.model}, {spent.simulator} and {spent.waiting} seconds spent"
    far = record.imagination
    if far and not (0 <= far.latent_mse <= MOST and far.frames > 0 and -MOST <= (far.psnr or 0.0) <= MOST):
        return f"imagination that was off by {far.latent_mse} (PSNR {far.psnr}) over {far.frames} frames"
    return "" if record.trial is None else _impossible_trial(record, record.trial)


def _impossible_trial(record: EpisodeRecord, trial: Trial) -> str:
    if any(not 0 <= points <= MOST for points in trial.points):
        return f"points {trial.points}"
    if abs(sum(trial.points) - record.progress) > CLOSE * max(1.0, record.max_progress):
        return f"progress {record.progress} for points {trial.points}"
    if not 0 <= trial.interventions <= MOST or not 0 <= trial.retries <= MOST:
        return f"{trial.interventions} interventions and {trial.retries} retries"
    if record.outcome is SUCCESS and trial.interventions:
        return "a success to which a hand helped"
    return ""
