"""What a tracker is told while a run goes on, read back from its own files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lingbot_eval.errors import NotReady
from lingbot_eval.reports.stats.intervals import wilson
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.trackers import require, tracking
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.processes import wait_for

PLAN = [Episode("toy", "reach", seed, "go", setting="easy") for seed in range(5)]
OUTCOMES = [Outcome.SUCCESS, Outcome.FAILURE, Outcome.SUCCESS, Outcome.ERROR]


def play(folder: Path, tracker: str) -> None:
    """Two results of before, of which one is an ERROR; then four more, with starts and a retry between."""
    before = [EpisodeRecord(PLAN[4], Outcome.SUCCESS, 9, 1.0), EpisodeRecord(PLAN[0], Outcome.ERROR, 0, 1.0)]
    with tracking(tracker, folder, PLAN, {record.episode.id: record for record in before}) as tell:
        for episode, outcome in zip(PLAN, OUTCOMES, strict=False):
            tell(EpisodeUpdate(0, episode, None))
            tell(EpisodeUpdate(0, episode, EpisodeRecord(episode, Outcome.ERROR, 0, 1.0), will_retry=True))
            tell(EpisodeUpdate(0, episode, EpisodeRecord(episode, outcome, 9, 1.0)))


LOW, HIGH = wilson(3, 4)
LAST = {
    "toy-easy/success_rate": 0.75,
    "toy-easy/success_rate_low": LOW,
    "toy-easy/success_rate_high": HIGH,
    "toy-easy/errors": 1,
}


def test_tensorboards_own_reader_finds_every_result(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    play(tmp_path, "tensorboard")
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    values = {name: read.Scalars(name) for name in read.Tags()["scalars"]}
    assert {name: values[name][-1].value for name in LAST} == pytest.approx(LAST)
    assert [one.step for one in values["toy-easy/success_rate"]] == [2, 3, 4, 4]
    assert all(one.value > 0 for one in values["toy-easy/episodes_per_hour"])


def test_wandbs_offline_file_holds_the_last_result(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[wandb]'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    play(tmp_path, "wandb")
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    wait_for(lambda: "exit" in history(file)[1])  # its own process writes, and is a little behind
    found, _ = history(file)
    assert {name: found[name] for name in LAST} == pytest.approx(LAST)
    assert found["episodes"] == 4


@pytest.mark.parametrize("mode", ["online", "sometimes"])
def test_wandb_that_does_not_begin_is_one_line(tmp_path, monkeypatch, mode):
    pytest.importorskip("wandb", reason="wandb is not installed: pip install -e '.[wandb]'")
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))  # where a key may lie
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(NotReady, match=r"^tracker=wandb: .*WANDB_MODE=offline.*$"):
        play(tmp_path, "wandb")


def history(file: Path) -> tuple[dict[str, float], list[str]]:
    """By name the last value in a file of wandb's, and the kinds of its records."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store, values, kinds = DataStore(), {}, []
    if not file.stat().st_size:
        return values, kinds
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kinds.append(record.WhichOneof("record_type"))
        for item in record.history.item:
            values["/".join(item.nested_key) or item.key] = float(item.value_json)
    store.close()
    return values, kinds


def test_no_tracker_writes_nothing(tmp_path):
    play(tmp_path, "none")
    assert list(tmp_path.iterdir()) == []


def test_a_tracker_that_is_not_installed_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(NotReady, match=r"tracker=wandb needs wandb: pip install 'lingbot_eval\[wandb\]'"):
        require("wandb")
