"""``lingbot-eval train`` on a terminal that is none."""

from __future__ import annotations

import io

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.screen import Screen
from lingbot_eval.cli.training_progress import TrainingProgress, duration, in_words, numbers
from lingbot_eval.runs.compose import training_settings
from lingbot_eval.training.told import Told

RATE = {"task": "lift_block", "setting": "easy", "successes": 3, "trials": 4, "low": 0.3, "high": 0.95}


def step(number: int) -> Told:
    levels = {"video": [0.1, None, 0.3, 0.4], "action": [0.5, 0.6, 0.7, 0.8]}
    line = {"step": number, "video": 0.5, "action": 0.25, "items": 16, "levels": levels, "norm": 1.5, "rate": 1e-5}
    return Told(number, line, seconds=2.0, tokens=4000.0)


def test_a_line_says_how_far_it_is_how_fast_and_what_is_lost_by_level():
    settings = training_settings(["train=tabletop", "data=a", "checkpoint=b", "out=c", "steps=100"])
    shown = io.StringIO()
    with TrainingProgress(settings, Screen(file=shown, width=400)) as progress:
        progress.tell(step(40))
        progress.tell(Told(40, {"step": 40, "held_out": {"video": 0.6, "action": 0.3}}))
    first, second, last = shown.getvalue().splitlines()
    assert "step 40/100, left 2 min, items/s 8, tokens/s 2e+03" in first
    assert "video loss 0.5 (0.1 - 0.3 0.4)" in first
    assert second == "step 40: held out video 0.6, action 0.3"
    assert last == first


def test_trackers_get_numbers_by_name():
    found = numbers(step(1).line)
    assert (found["video"], found["levels/action_3"]) == (0.5, 0.8)
    assert "levels/video_1" not in found
    assert numbers({"step": 2, "held_out": {"video": 1.0, "action": 2.0}})["held_out/action"] == 2.0
    played = {"step": 2, "played": {"rates": [RATE]}}
    assert numbers(played)["played/lift_block/easy_low"] == 0.3
    assert in_words(played) == {"lift_block easy": "3/4 (30–95 %)"}


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (300, "5 min"), (3900, "1 h 05 min")])
def test_time_left_is_said_as_people_say_it(seconds, words):
    assert duration(seconds) == words


def test_settings_that_do_not_fit_are_one_line_and_status_2(capsys):
    assert main(["train", "train=libero", "data=a", "checkpoint=b", "out=c", "stpes=3"]) == 2
    assert capsys.readouterr().err.startswith("lingbot-eval: unknown setting 'stpes'; did you mean 'steps'?")
