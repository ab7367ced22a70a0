"""What a lane makes of one episode."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lingbot_eval.processes import WORDS
from lingbot_eval.runs.worker import Job, Lane, Order
from lingbot_eval.settings import RunSettings
from lingbot_eval.types import Actions, EpisodeRecord, ImaginationError, Imagined, Observation, Outcome, Provenance
from tests.conftest import IMPATIENT, toy_run
from tests.hosts import simulator, stepping
from tests.planning import plan, settings


class Blind:
    """Imagines what cannot be decoded."""

    def reset(self, instruction: str, *, seed: int) -> None:
        pass

    def act(self, frames: Sequence[Observation]) -> Actions:
        return np.full((1, 1, 1), 0.05, np.float32)

    def imagined(self) -> Iterator[Imagined]:
        raise MemoryError("no room to decode")

    def imagination_error(self) -> ImaginationError:
        return ImaginationError(latent_mse=2.0, frames=3, psnr=None)


def lane_in(folder: Path, run: RunSettings, agent: Callable[[], object]) -> Lane:
    for name in ("records", "logs", "tmp"):
        (folder / name).mkdir()
    provenance = Provenance("blind", "", "toy", "", {}, "here")
    job = Job(str(folder), str(folder / "records" / "0.jsonl"), "", str(folder / "log"), "", run, provenance)
    return Lane(job, lambda _: agent())  # type: ignore[arg-type,return-value]


def written(folder: Path) -> list[EpisodeRecord]:
    """What is read again."""
    return msgspec.json.Decoder(EpisodeRecord).decode_lines((folder / "records" / "0.jsonl").read_bytes())


def test_what_cannot_be_decoded_costs_neither_the_result_nor_the_error_of_the_latents(tmp_path, capsys):
    groups = ["suite=libero", "env=libero", "agent=lingbot-va", "protocol=libero/strict"]
    run = toy_run()
    agent = msgspec.structs.replace(settings(groups, []).agent, commands_per_action=1)
    run = msgspec.structs.replace(run, agent=agent, video="imagined")
    lane = lane_in(tmp_path, run, Blind)
    record = lane.play(Order(plan(run.suite, run.protocol)[0], 1))
    lane.close()
    assert record.outcome is Outcome.SUCCESS
    assert record.imagination == Blind().imagination_error()
    assert "no room to decode" in capsys.readouterr().err


class Good:
    """Plays the toy well."""

    def reset(self, instruction: str, *, seed: int) -> None:
        pass

    def act(self, frames: Sequence[Observation]) -> Actions:
        return np.full((1, 1, 1), 0.05, np.float32)


class SaysNaN(Good):
    def act(self, frames: Sequence[Observation]) -> Actions:
        return np.full((1, 1, 1), np.nan, np.float32)


class WaitedForNaN(Good):
    waited = float("nan")


class WaitedForWords(Good):
    waited = "long"


class Screams(Good):
    def act(self, frames: Sequence[Observation]) -> Actions:
        raise RuntimeError("\udcff" + "a" * 10 * WORDS)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (SaysNaN, "the agent returned NaN or infinity"),
        (WaitedForNaN, "Expected `float`, got `null` - at `$.spent.model`"),
        (WaitedForWords, "could not convert string to float"),
        (Screams, "\\udcffaaa"),
    ],
)
def test_what_an_agent_cannot_say_is_an_error_in_words_that_can_be_read_again(tmp_path, agent, words):
    run = toy_run(actions=True, limits=IMPATIENT)
    lane = lane_in(tmp_path, run, agent)
    record = lane.play(Order(plan(run.suite, run.protocol)[0], 1))
    lane.close()
    assert record.outcome is Outcome.ERROR
    assert words in record.error
    assert len(record.error) < 2 * WORDS
    assert written(tmp_path) == [record]
    assert not list(tmp_path.rglob("*.npz"))


class Dreamer(Good):
    """Imagines, and measures that in numbers that no record can hold."""

    def imagined(self) -> Iterator[Imagined]:
        yield from ()

    def imagination_error(self) -> ImaginationError:
        return ImaginationError(latent_mse=float("nan"), frames=np.int64(3), psnr=None)  # type: ignore[arg-type]


def test_an_error_of_imagination_that_is_no_number_costs_no_result(tmp_path, capsys):
    run = toy_run()
    lane = lane_in(tmp_path, run, Dreamer)
    record = lane.play(Order(plan(run.suite, run.protocol)[0], 1))
    lane.close()
    assert (record.outcome, record.imagination) == (Outcome.SUCCESS, None)
    assert written(tmp_path) == [record]
    assert "numpy.int64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("said['terminated'] = 'no'", "Expected bool, got str"),
        ("said['info']['commands'] = float('nan')", "Expected int, got null"),
        ("said['info']['progress'] = 1e9", "progress 1000000000.0 of 1"),
    ],
)
def test_what_a_simulator_cannot_say_is_an_error_and_the_next_episode_is_played(tmp_path, change, words):
    run = toy_run(env=simulator(tmp_path, stepping(f"if seeds[-1] == 0: {change}")), limits=IMPATIENT)
    lane = lane_in(tmp_path, run, Good)
    first, second = (lane.play(Order(episode, 1)) for episode in plan(run.suite, run.protocol)[:2])
    lane.close()
    assert first.outcome is Outcome.ERROR
    assert words in first.error
    assert second.outcome is Outcome.SUCCESS
    assert written(tmp_path) == [first, second]


def test_a_tmp_that_somebody_tidied_away_is_made_anew_and_a_run_that_vanished_is_not(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    run = toy_run()
    lane = lane_in(folder, run, Good)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp" / "session"))
    first, second = plan(run.suite, run.protocol)[:2]
    shutil.rmtree(folder / "tmp")
    assert lane.play(Order(first, 1)).outcome is Outcome.SUCCESS
    lane.close()
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError, match="removed or moved while it was written"):  # which ends the worker
        lane.play(Order(second, 1))
    assert not folder.exists()
