"""Where a lane's seconds go."""

from __future__ import annotations

import time

import pytest

from lingbot_eval.runs.lanes import PARTS, Lanes, together
from lingbot_eval.types import EpisodeRecord, Outcome, Spent
from tests.conftest import toy_run
from tests.planning import plan

EPISODES = plan(toy_run().suite, toy_run().protocol)
PLAYED = EpisodeRecord(EPISODES[0], Outcome.SUCCESS, 1, 0.04, spent=Spent(0.01, 0.02, 0.005))
CRASHED = EpisodeRecord(EPISODES[0], Outcome.ERROR, 0, 0.04)


def test_a_lanes_seconds_are_all_accounted_for():
    lanes = Lanes()
    time.sleep(0.01)
    for record in (PLAYED, CRASHED):
        lanes.plays(0, EPISODES[0])
        time.sleep(0.05)
        lanes.played(0, record)
        time.sleep(0.01)
    lanes.plays(0, EPISODES[1])
    time.sleep(0.01)
    before, state, after = lanes.seconds, lanes.states()[0], lanes.seconds
    assert before <= sum(getattr(state, part) for part in PARTS) + state.seconds <= after
    assert (state.model, state.simulator, state.waiting) == (0.01, 0.02, 0.005)
    assert state.recording == pytest.approx(0.005)
    assert state.other >= 0.06  # what the first took beyond its own time, and all of the ERROR
    assert state.starting >= 0.01
    assert state.idle >= 0.02
    assert (state.played, state.errors, state.episode) == (2, 1, EPISODES[1].id)


def test_what_all_lanes_did_is_their_sum():
    lanes = Lanes()
    for number in (3, 1):
        lanes.plays(number, EPISODES[0])
        lanes.played(number, PLAYED)
    states = lanes.states()
    assert list(states) == [1, 3]
    total = together(states.values())
    assert (total.played, total.model) == (2, 0.02)
    assert total.idle == pytest.approx(states[1].idle + states[3].idle)


def test_the_rest_of_an_episodes_seconds_is_recording():
    assert PLAYED.recording == pytest.approx(0.005)
    assert CRASHED.recording is None
