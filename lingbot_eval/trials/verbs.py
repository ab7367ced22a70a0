"""A person says these of a trial, with a key in a terminal or a tap on a tablet; the same word does the same there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.trials.journal import Event
from lingbot_eval.trials.scoring import outcome_named
from lingbot_eval.trials.session import TrialSession

Text = Annotated[str, msgspec.Meta(max_length=1000)]

Name = Literal[
    "start", "step", "undo", "success", "failure", "void", "intervention", "retry", "note", "video", "correct"
]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a person says."""

    kind: Name
    number: Annotated[int, msgspec.Meta(ge=1)]
    """It is said of this trial."""
    step: int = 0
    points: Annotated[tuple[float, ...], msgspec.Meta(max_length=1000)] = ()
    """They are ``step``'s, or a correction's by step. Empty: all that the rubric gives, or as they were."""
    text: Text = ""
    """It is a note, a video's path, or the reason of a failure, a void or a correction."""
    outcome: str = ""
    """A correction says that the trial ended so; empty: as it was."""
    reason: Text = ""
    """A correction to a failure has this reason."""
    who: Text = ""
    """This person corrects."""


@dataclass(frozen=True)
class Verb:
    name: Name
    keys: str
    """Each of these keys says it in a terminal."""
    shown: str
    """A terminal lists it so."""
    do: Callable[[TrialSession, Order], str]
    """It does what is ordered, and returns what it has done."""
    clock: Literal["starts", "needs", "ignores"]
    """Said of a trial that has not begun, it starts the clock, or is refused (a key that is pressed twice must not end
    the next trial as well), or leaves the clock alone."""


def obey(session: TrialSession, order: Order, starts_clock: bool = True) -> str:
    """Do what is ordered, and return what was done; without ``starts_clock``, only "start" starts the clock.

    Raises BadInput where it is refused.
    """
    verb = verb_named(order.kind)
    if order.kind != "correct":
        if session.current is None or order.number != session.number:
            raise BadInput(f"trial {order.number} is over")
        if verb.clock == "needs" or (verb.clock == "starts" and not starts_clock):
            require_clock(session)
    return verb.do(session, order)


def require_clock(session: TrialSession) -> None:
    """Raises BadInput where the trial at hand has not begun."""
    if not session.started:
        raise BadInput("this trial has not begun: start its clock first")


def words(event: Event) -> str:
    """Name what would be taken back."""
    return f"step {event.step}" if event.kind == "step" else event.kind


def _start(session: TrialSession, order: Order) -> str:
    if session.started:
        return "the clock runs already"
    session.start()
    return "the clock runs"


def _step(session: TrialSession, order: Order) -> str:
    session.step_reached(order.step, order.points[0] if order.points else None)
    return f"step {order.step}: {session.state.points[order.step - 1]:g}"


def _undo(session: TrialSession, order: Order) -> str:
    last = session.last
    return f"taken back: {words(last)}" if last and session.undo() else "nothing to take back"


def _success(session: TrialSession, order: Order) -> str:
    session.success()
    return f"trial {order.number}: success"


def _failure(session: TrialSession, order: Order) -> str:
    session.failure(order.text)
    return f"trial {order.number}: failure, {order.text}"


def _void(session: TrialSession, order: Order) -> str:
    session.void(order.text.strip())
    return f"trial {order.number}: void, and comes again"


def _intervention(session: TrialSession, order: Order) -> str:
    session.intervention()
    return "intervention: no success any more"


def _retry(session: TrialSession, order: Order) -> str:
    session.retry()
    return "retry"


def _note(session: TrialSession, order: Order) -> str:
    if not (text := order.text.strip()):
        raise BadInput("an empty note")
    session.note(text)
    return f"note: {text}"


def _video(session: TrialSession, order: Order) -> str:
    if not order.text:
        raise BadInput("no video file")
    session.attach(order.text)
    return f"video: {order.text}"


def _correct(session: TrialSession, order: Order) -> str:
    session.correct(
        order.number,
        who=order.who.strip() or session.operator,
        why=order.text.strip(),
        outcome=outcome_named(order.outcome) if order.outcome else None,
        points=order.points or None,
        reason={"failure": order.reason, "void": order.text.strip()}.get(order.outcome),
    )
    return f"trial {order.number}: corrected"


VERBS = (
    Verb("start", "\n\r", "Enter start", _start, "ignores"),
    Verb("step", "1234567890", "1-9, 0 step (0 = 10)", _step, "starts"),
    Verb("undo", "u", "u undo", _undo, "starts"),
    Verb("success", "s", "s success", _success, "needs"),
    Verb("failure", "f", "f failure", _failure, "needs"),
    Verb("void", "v", "v void", _void, "ignores"),
    Verb("intervention", "i", "i intervention", _intervention, "starts"),
    Verb("retry", "r", "r retry", _retry, "starts"),
    Verb("note", "n", "n note", _note, "starts"),
    Verb("video", "a", "a attach video", _video, "starts"),
    Verb("correct", "c", "c correct", _correct, "ignores"),
)


def verb_named(name: Name) -> Verb:
    return next(verb for verb in VERBS if verb.name == name)


def verb_of(key: str) -> Verb | None:
    """Return what ``key`` says; None where it says nothing."""
    return next((verb for verb in VERBS if key and key in verb.keys), None)
