"""What a record cannot say, and that everything honest is let through."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from lingbot_eval.envs.toy.env import ReachEnv
from lingbot_eval.episode import run_episode
from lingbot_eval.plausible import impossible
from lingbot_eval.trials import load_rubric
from lingbot_eval.trials.rubric import shipped
from lingbot_eval.trials.scoring import scored
from lingbot_eval.types import Correction, Episode, EpisodeRecord, ImaginationError, Outcome, Spent, Trial
from tests.conftest import toy
from tests.test_episode import Push

EPISODE = Episode("toy", "return", 0, "go and come back")
WON = EpisodeRecord(EPISODE, Outcome.SUCCESS, 10, 1.5, 2.0, 2.0, 3, 40, spent=Spent(0.5, 0.9, 0.0))
"""Each of two arms may find no path, several times in one command."""
LOST = replace(WON, outcome=Outcome.FAILURE, progress=1.0)
BROKEN = EpisodeRecord(EPISODE, Outcome.ERROR, 0, 0.1, error="it raised")
SCORED = EpisodeRecord(EPISODE, Outcome.SUCCESS, 0, 60.0, 2.5, 3.0, trial=Trial("me", (1.0, 1.0, 0.5)))
SHEET = replace(SCORED, seconds=1795940000123.0, finished="2026-01-02T03:04:05.678+00:00")
"""As version 0.1.0 wrote it: a date where seconds should be."""
IMAGINED = replace(LOST, imagination=ImaginationError(0.25, 8, -3.5))


@pytest.mark.parametrize(
    "record", [WON, LOST, BROKEN, SCORED, SHEET, IMAGINED], ids=lambda record: record.outcome.value
)
def test_what_may_happen_is_possible(record):
    assert impossible(record) == ""


def test_what_the_toy_plays_is_possible():
    for metres in (0.04, 0.0, 0.3):
        for task in ("reach", "return"):
            record = run_episode(ReachEnv(toy(task, commands_per_action=2)), Push(metres), replace(EPISODE, task=task))
            assert impossible(record) == ""


@pytest.mark.parametrize("name", shipped())
def test_what_people_score_and_correct_is_possible(name):
    rubric = load_rubric(name)
    steps = len(rubric.steps)
    for outcome, reason in ((Outcome.SUCCESS, ""), (Outcome.FAILURE, "dropped"), (Outcome.ERROR, "no power")):
        for k in range(steps + 1):
            points = (*(step.points for step in rubric.steps[:k]), *(0.0,) * (steps - k))
            record = scored(rubric, EPISODE, outcome, 10.0, Trial("me", points), reason)
            assert impossible(record) == impossible(replace(record, correction=Correction("me", "a slip"))) == ""


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (replace(WON, commands=-1), "-1 commands"),
        (replace(WON, commands=10**400), "commands"),
        (replace(WON, seconds=math.nan), "nan seconds"),
        (replace(WON, seconds=-0.5), "-0.5 seconds"),
        (replace(WON, seconds=math.inf), "inf seconds"),
        (replace(WON, progress=1e9), "progress 1000000000.0 of 2.0"),
        (replace(LOST, progress=-1.0), "progress -1.0 of 2.0"),
        (replace(LOST, progress=math.nan), "progress nan of 2.0"),
        (replace(LOST, max_progress=math.nan), "a task of nan steps"),
        (replace(LOST, progress=1e300, max_progress=1e308), "a task of 1e+308 steps"),
        (replace(WON, progress=1.0), "a success with progress 1.0 of 2.0"),
        (replace(WON, out_of_bounds=11), "11 of 10 commands out of bounds"),
        (replace(WON, out_of_bounds=-1), "-1 of 10 commands out of bounds"),
        (replace(WON, plan_failures=-1), "-1 plan failures"),
        (replace(WON, attempt=-1), "attempt -1"),
        (replace(BROKEN, outcome=Outcome.FAILURE), "a failure with an error: it raised"),
        (replace(WON, spent=Spent(math.nan, 0.0, 0.0)), "nan, 0.0 and 0.0 seconds spent"),
        (replace(WON, spent=Spent(math.inf, -math.inf, 0.0)), "inf, -inf and 0.0 seconds spent"),
        (replace(IMAGINED, imagination=ImaginationError(math.nan, 8, None)), "off by nan"),
        (replace(IMAGINED, imagination=ImaginationError(0.1, 8, math.inf)), "PSNR inf"),
        (replace(SCORED, trial=Trial("me", (1.0, 1.0, 1.0))), "progress 2.5 for points"),
        (replace(SCORED, trial=Trial("me", (1.5, 1.5, -0.5))), "points"),
        (replace(SCORED, trial=Trial("me", (1.0, 1.0, 0.5), interventions=1)), "a success to which a hand helped"),
        (replace(SCORED, trial=Trial("me", (1.0, 1.0, 0.5), retries=-1)), "-1 retries"),
        (replace(SCORED, seconds=1e21), "seconds"),
        (replace(WON, finished="garbage"), "a moment 'garbage', which is none"),
        (replace(WON, finished="2026-13-02T03:04:05.678+00:00"), "a moment '2026-13"),
        (replace(WON, finished="2026-01-02T03:04:05.678"), "not in UTC"),
        (replace(WON, finished="2026-01-02T03:04:05.678+02:00"), "not in UTC"),
        (replace(WON, finished="9999-12-31T23:59:59.999+00:00"), "a moment '9999"),
    ],
)
def test_what_cannot_be_is_said(record, words):
    assert words in impossible(record)
