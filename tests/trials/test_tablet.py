"""What is said of a session from a page, whatever it is and in whatever order."""

from __future__ import annotations

import contextlib
import tempfile
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lingbot_eval.errors import BadInput
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.scoring import REASONS
from lingbot_eval.trials.tablet import obey, view
from lingbot_eval.trials.verbs import Order
from lingbot_eval.types import Outcome

PLAN = TrialPlan((load_rubric("pick_screws"),), ("ours", "theirs"), 2, "alternating", 3, "", "unstated")

NUMBERS = st.integers(1, 4)
PLAIN = st.builds(Order, st.sampled_from(["start", "start", "intervention", "retry", "undo", "success"]), NUMBERS)
STEPS = st.builds(Order, st.just("step"), NUMBERS, st.integers(0, 6), st.sampled_from([(), (0.0,), (0.5,), (1.0,)]))
TEXTS = st.builds(
    Order, st.sampled_from(["note", "failure", "void"]), NUMBERS, text=st.sampled_from(["", *REASONS[:2], "a cable"])
)
CORRECTIONS = st.builds(
    Order,
    st.just("correct"),
    NUMBERS,
    points=st.sampled_from([(), (1.0, 0.5, 0.0, 0.0, 0.0)]),
    text=st.sampled_from(["", "the film"]),
    outcome=st.sampled_from(["", "success", "failure", "void"]),
    reason=st.sampled_from(["", REASONS[0]]),
    who=st.sampled_from(["", "me"]),
)


def shown(session: TrialSession) -> dict[str, Any]:
    """The page, but for its clock."""
    known: dict[str, Any] = msgspec.to_builtins(view(session))
    return {**known, "seconds": 0}


@settings(max_examples=40)
@given(orders=st.lists(st.one_of(PLAIN, STEPS, TEXTS, CORRECTIONS), max_size=25))
def test_whatever_is_said_a_new_process_shows_the_same_and_nothing_is_recorded_twice(orders):
    with tempfile.TemporaryDirectory() as folder:
        with TrialSession(folder, PLAN, operator="op") as session:
            for drawn in orders:
                of_it = drawn.kind == "correct" or session.current is None
                order = drawn if of_it else msgspec.structs.replace(drawn, number=session.number)
                before = shown(session)
                with contextlib.suppress(BadInput):
                    obey(session, order)
                    continue
                assert shown(session) == before
            left = shown(session)
        with TrialSession(folder, operator="op") as session:
            assert shown(session) == left
        for method in PLAN.methods:
            records = RunDirectory(session.run_folder(method)).records().all
            first = [(record.episode.id, record.attempt) for record in records if record.correction is None]
            assert len(first) == len(set(first))
            for record in records:
                assert record.progress == sum(record.trial.points) <= record.max_progress
                assert record.outcome is not Outcome.SUCCESS or record.trial.interventions == 0
