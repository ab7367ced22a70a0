"""A page beside the robot shows this of a trial session, and takes orders for it."""

from __future__ import annotations

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.trials import verbs
from lingbot_eval.trials.plan import Slot
from lingbot_eval.trials.scoring import OUTCOMES, REASONS
from lingbot_eval.trials.session import TrialSession
from lingbot_eval.trials.verbs import Order
from lingbot_eval.types import Outcome


class StepLine(msgspec.Struct, frozen=True):
    name: str
    points: float
    """The rubric gives so many."""
    given: float


class TrialLine(msgspec.Struct, frozen=True):
    """A trial that has a record."""

    number: int
    title: str
    setup: int
    method: str
    outcome: str
    """One of OUTCOMES."""
    reason: str
    corrected: bool
    half_points: bool
    steps: list[StepLine]


class View(msgspec.Struct, frozen=True):
    """It is shown of the trial at hand, and of those before it. A method's name is empty where the trial session is
    blinded."""

    number: int
    """They count from 1; 0: all are done, and what is of one trial is empty."""
    trials: int
    operator: str
    reasons: tuple[str, ...]
    """A failure has one of these."""
    records: list[TrialLine]
    title: str = ""
    instruction: str = ""
    success: str = ""
    setup: int = 0
    method: str = ""
    steps: list[StepLine] = []
    half_points: bool = False
    started: bool = False
    seconds: float = 0.0
    limit: float | None = None
    interventions: int = 0
    retries: int = 0
    allowed_retries: int | None = None
    notes: tuple[str, ...] = ()
    undo: str = ""
    """It would be taken back; empty: nothing would."""


def view(session: TrialSession) -> View:
    known = View(
        number=0,
        trials=len(session.slots),
        operator=session.operator,
        reasons=REASONS,
        records=[line for number in range(1, len(session.slots) + 1) if (line := _line(session, number))],
    )
    slot = session.current
    if slot is None:
        return known
    rubric, state, last = session.rubric, session.state, session.last
    return msgspec.structs.replace(
        known,
        number=session.number,
        title=rubric.title,
        instruction=rubric.instruction,
        success=rubric.success,
        setup=slot.episode.index + 1,
        method=_shown(session, slot),
        steps=_steps(session, slot, state.points),
        half_points=rubric.half_points,
        started=session.started,
        seconds=session.elapsed,
        limit=rubric.time_limit_seconds,
        interventions=state.interventions,
        retries=state.retries,
        allowed_retries=rubric.retries,
        notes=state.notes,
        undo=verbs.words(last) if last else "",
    )


def obey(session: TrialSession, order: Order) -> str:
    """Do what is ordered from a page, and return what was done. Raises BadInput where it is refused."""
    if order.kind == "video":  # it names a file of this machine
        raise BadInput("videos are attached in a terminal")
    return verbs.obey(session, order, starts_clock=False)


def _line(session: TrialSession, number: int) -> TrialLine | None:
    record, slot = session.record(number), session.slots[number - 1]
    if record is None or record.trial is None:
        return None
    rubric = session.plan.rubric(slot.episode.task)
    return TrialLine(
        number=number,
        title=rubric.title,
        setup=slot.episode.index + 1,
        method=_shown(session, slot),
        outcome=next(name for name, outcome in OUTCOMES.items() if outcome is record.outcome),
        reason=record.error if record.outcome is Outcome.ERROR else record.trial.reason,
        corrected=record.correction is not None,
        half_points=rubric.half_points,
        steps=_steps(session, slot, record.trial.points),
    )


def _steps(session: TrialSession, slot: Slot, given: tuple[float, ...]) -> list[StepLine]:
    steps = session.plan.rubric(slot.episode.task).steps
    return [StepLine(step.name, step.points, points) for step, points in zip(steps, given, strict=True)]


def _shown(session: TrialSession, slot: Slot) -> str:
    return "" if session.plan.order == "blinded" else slot.method
