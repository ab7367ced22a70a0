"""What is played and filmed while training waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.datasets.items import open_items
from lingbot_eval.datasets.robots import load_robot
from lingbot_eval.errors import NotReady
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.settings import to_dict
from lingbot_eval.training import curve
from lingbot_eval.training.films import film
from tests.training.runs import trained


def test_the_rate_of_a_played_suite_is_on_the_curve_with_its_interval(data, tiny, tmp_path):
    """The toy's expert stands for the checkpoint, which speaks two arms' commands."""
    out = tmp_path / "out"
    choices = ("play.choices.agent=expert", "play.choices.episodes=2", "play.choices.tasks=reach")
    trained(data, tiny, out, "steps=3", "play.every=2", "play.suite=toy", "play.film=false", *choices)
    played = [line for line in curve.read(out / "curve.jsonl") if "played" in line]
    assert [line["step"] for line in played] == [2, 3]
    (rate,) = played[0]["played"]["rates"]
    assert (rate["task"], rate["successes"], rate["trials"]) == ("reach", 2, 2)
    assert rate["low"] == pytest.approx(0.342, abs=1e-3)
    assert locate(str(out / "checkpoint")).training.rates == ()  # they are somebody else's


def test_a_suite_that_cannot_be_played_stops_in_a_line_and_the_state_is_kept(data, tiny, tmp_path):
    out = tmp_path / "out"
    more = ("play.choices.agent=expert", "play.choices.tasks=rech", "play.film=false")
    with pytest.raises(NotReady, match=r"toy could not be played .*unknown task .*'rech'") as raised:
        trained(data, tiny, out, "steps=3", "play.every=3", "play.suite=toy", *more)
    assert "\n" not in str(raised.value)
    assert (out / "state" / "step-00000003").is_dir()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader leaves its pipe open
def test_a_film_shows_what_is_imagined_above_every_real_picture(data, tiny, tmp_path):
    imageio = pytest.importorskip("imageio")
    target, robot = tmp_path / "imagined.mp4", load_robot("tabletop")
    film(str(tiny), data, robot, 1, target)
    with imageio.get_reader(target) as reader:
        pictures = [picture for picture in reader]  # noqa: C416  (a reader's length is endless)
    frames = open_items(Path(data), robot).frames(1)
    assert len(pictures) == 1 + 4 * (frames - 1)
    assert pictures[0].shape == (2 * 96, 96, 3)
    above, below = pictures[0][:96].astype(float), pictures[0][96:].astype(float)
    assert abs(above - below).mean() < 12  # the first picture is given; an mp4 loses a little
    above, below = pictures[3][:96].astype(float), pictures[3][96:].astype(float)
    assert abs(above - below).mean() > 12


def test_of_an_item_that_is_shorter_than_a_chunk_there_is_no_film(data, tiny, tmp_path):
    said = to_dict(load_robot("tabletop"))
    (tmp_path / "robot.yaml").write_text(json.dumps({**said, "settings": {**said["settings"], "frames": 8}}))
    film(str(tiny), data, load_robot(str(tmp_path / "robot.yaml")), 1, tmp_path / "imagined.mp4")
    assert list(tmp_path.glob("*.mp4")) == []
