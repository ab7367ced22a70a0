"""The table of what may be said of a trial, which terminal and tablet share."""

from __future__ import annotations

from collections import Counter

import pytest

from lingbot_eval.cli.trial import STEP_KEYS
from lingbot_eval.errors import BadInput
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials import tablet as page
from lingbot_eval.trials.verbs import VERBS, Order, obey, verb_named, verb_of

PLAN = TrialPlan((load_rubric("pick_screws"),), ("ours",), 2, "alternating", 3, "", "unstated")


def test_a_key_says_one_thing():
    keys = Counter([*(key for verb in VERBS for key in verb.keys), *STEP_KEYS, "q"])
    assert set(keys.values()) == {1}
    assert verb_of("s") is verb_named("success")
    assert verb_of("") is verb_of("x") is None


def test_a_step_starts_the_clock_in_a_terminal_and_not_from_a_page_and_neither_ends_what_has_not_begun(
    tmp_path,
):
    with TrialSession(tmp_path / "session", PLAN) as session:
        for say in (obey, page.obey):
            with pytest.raises(BadInput, match="has not begun"):
                say(session, Order("success", 1))
        with pytest.raises(BadInput, match="has not begun"):
            page.obey(session, Order("step", 1, step=1))
        assert obey(session, Order("step", 1, step=1)) == "step 1: 1"
        assert page.obey(session, Order("step", 1, step=2, points=(0.5,))) == "step 2: 0.5"
        assert page.obey(session, Order("start", 1)) == "the clock runs already"


def test_a_video_is_attached_in_a_terminal_and_from_no_page(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    with TrialSession(tmp_path / "session", PLAN) as session:
        session.start()
        with pytest.raises(BadInput, match="in a terminal"):
            page.obey(session, Order("video", 1, text=str(film)))
        assert obey(session, Order("video", 1, text=str(film))) == f"video: {film}"
        assert session.state.videos == (str(film),)
        with pytest.raises(BadInput, match="no video file"):
            obey(session, Order("video", 1))
