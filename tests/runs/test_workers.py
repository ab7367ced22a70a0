"""Which GPU a worker has, and how many workers there are where nobody says."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.errors import BadInput, NotReady, UnknownName
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.workers import decided
from lingbot_eval.settings import LocalSettings
from tests.conftest import IMPATIENT, toy_run
from tests.processes import children
from tests.runs.test_coordinator import ALL, carry_on, outcomes


@pytest.mark.parametrize(
    ("visible", "gpus", "workers", "chosen"),
    [
        ("0,1,5", None, None, (3, ("0", "1", "5"))),
        ("0,1,5", (1, 5), None, (2, ("1", "5"))),
        ("0,1,5", (5,), 4, (4, ("5",))),
        ("0,1,5", (), None, (1, ())),
        ("0,1,5", None, 2, (2, ("0", "1", "5"))),
        ("", None, None, (1, None)),
        ("", None, 2, (2, None)),
    ],
)
def test_there_is_one_worker_per_gpu_unless_somebody_says_otherwise(monkeypatch, visible, gpus, workers, chosen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    settings = decided(toy_run(cluster=LocalSettings(gpus=gpus), workers=workers))
    assert isinstance(settings.cluster, LocalSettings)
    assert (settings.workers, settings.cluster.gpus) == chosen


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    settings = toy_run(cluster=LocalSettings(gpus=(7,)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UnknownName, match=r"unknown GPU '7' \(valid: 0, 1\)"):
        decided(settings)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(NotReady, match=r"no NVIDIA GPU is visible here \(--gpus none plays without\)"):
        decided(settings)


def test_a_device_by_number_and_a_gpu_for_each_worker_exclude_each_other(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    from tests.planning import settings

    groups = ["suite=libero", "env=libero", "agent=lingbot-va", "protocol=libero/strict"]
    devices = ["agent.lingbot.text_device=cuda:1"]
    with pytest.raises(BadInput, match=r"cuda:1 chooses among several"):
        decided(settings(groups, [*devices, "cluster.gpus=[0]"]))
    run = decided(settings(groups, devices))  # every worker sees both
    assert (run.workers, msgspec.to_builtins(run.cluster)["gpus"]) == (1, None)


def test_each_worker_sees_its_own_gpu_alone(tmp_path):
    seen = set()

    def look(update: EpisodeUpdate) -> None:
        for worker in children(os.getpid()):
            variables = (Path("/proc") / str(worker) / "environ").read_text().split("\0")
            seen.update(value for value in variables if value.startswith("CUDA_VISIBLE_DEVICES="))

    settings = toy_run(cluster=LocalSettings(gpus=("0", "3")), workers=2, limits=IMPATIENT)
    final, _ = carry_on(tmp_path, settings, look)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    assert seen == {"CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=3"}
