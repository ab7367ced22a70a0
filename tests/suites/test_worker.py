"""What a lane makes of one episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from lingbot_eval.cli.compose import settings
from lingbot_eval.suites.plan import plan
from lingbot_eval.suites.worker import Job, Lane, Order
from lingbot_eval.types import Actions, ImaginationError, Imagined, Observation, Outcome, Provenance
from tests.conftest import toy_run


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


def test_what_cannot_be_decoded_costs_neither_the_result_nor_the_error_of_the_latents(tmp_path, capsys):
    groups = ["suite=libero", "env=libero", "agent=lingbot-va", "protocol=libero/strict"]
    run = toy_run()
    agent = msgspec.structs.replace(settings(groups, []).agent, commands_per_action=1)
    run = msgspec.structs.replace(run, agent=agent, video="imagined")
    for name in ("records", "logs", "tmp"):
        (tmp_path / name).mkdir()
    provenance = Provenance("blind", "", "toy", "", {}, "here")
    lane = Lane(
        Job(str(tmp_path), str(tmp_path / "records" / "0.jsonl"), "", str(tmp_path / "log"), "", run, provenance),
        lambda _: Blind(),
    )
    record = lane.play(Order(plan(run.suite, run.protocol)[0], 1))
    lane.close()
    assert record.outcome is Outcome.SUCCESS
    assert record.imagination == Blind().imagination_error()
    assert "no room to decode" in capsys.readouterr().err
