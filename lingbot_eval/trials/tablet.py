"""What a page beside the robot shows of a session, and what may be said from there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.trials.journal import Event
from lingbot_eval.trials.plan import Slot
from lingbot_eval.trials.scoring import OUTCOMES, REASONS
from lingbot_eval.trials.session import TrialSession
from lingbot_eval.types import Outcome

Text = Annotated[str, msgspec.Meta(max_length=1000)]


class StepLine(msgspec.Struct, frozen=True):
    name: str
    points: float
    """All that the rubric gives."""
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
    """Of the trial at hand, and of those before it. A method's name is empty where the session is blinded."""

    number: int
    """From 1; 0: all are done, and what is of one trial is empty."""
    trials: int
    operator: str
    reasons: tuple[str, ...]
    """Of failures."""
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
    """What would be taken back; empty: nothing."""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tap."""

    kind: Literal["start", "step", "intervention", "retry", "note", "undo", "success", "failure", "void", "correct"]
    number: Annotated[int, msgspec.Meta(ge=1)]
    """The trial that it is said of."""
    step: int = 0
    points: Annotated[tuple[float, ...], msgspec.Meta(max_length=1000)] = ()
    """Of ``step``; of a correction, by step. Empty: all that the rubric gives, as it was."""
    text: Text = ""
    """A note; the reason of a failure, a void or a correction."""
    outcome: str = ""
    """Of a correction; empty: as it was."""
    reason: Text = ""
    """Of a correction to a failure."""
    who: Text = ""
    """Corrects."""


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
        undo=_words(last) if last else "",
    )


def obey(session: TrialSession, order: Order) -> str:
    """Do it, and say what was done. Raises BadInput where it is refused."""
    if order.kind == "correct":
        return _correct(session, order)
    if session.current is None or order.number != session.number:
        raise BadInput(f"trial {order.number} is over")
    if not session.started and order.kind not in ("start", "void"):
        raise BadInput("this trial has not begun: start its clock first")
    number = order.number
    match order.kind:
        case "start":
            session.start()
            return "the clock runs"
        case "step":
            session.step_reached(order.step, order.points[0] if order.points else None)
            return f"step {order.step}: {session.state.points[order.step - 1]:g}"
        case "intervention":
            session.intervention()
            return "intervention: no success any more"
        case "retry":
            session.retry()
            return "retry"
        case "note":
            if not order.text.strip():
                raise BadInput("an empty note")
            session.note(order.text.strip())
            return "note kept"
        case "undo":
            last = session.last
            return f"taken back: {_words(last)}" if last and session.undo() else "nothing to take back"
        case "success":
            session.success()
            return f"trial {number}: success"
        case "failure":
            session.failure(order.text)
            return f"trial {number}: failure, {order.text}"
        case "void":
            session.void(order.text.strip())
            return f"trial {number}: void, and comes again"


def _correct(session: TrialSession, order: Order) -> str:
    if order.outcome and order.outcome not in OUTCOMES:
        raise UnknownName("outcome", order.outcome, OUTCOMES)
    session.correct(
        order.number,
        who=order.who.strip() or session.operator,
        why=order.text.strip(),
        outcome=OUTCOMES[order.outcome] if order.outcome else None,
        points=order.points or None,
        reason={"failure": order.reason, "void": order.text.strip()}.get(order.outcome),
    )
    return f"trial {order.number}: corrected"


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


def _words(event: Event) -> str:
    return f"step {event.step}" if event.kind == "step" else event.kind
