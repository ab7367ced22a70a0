"""What a run directory says of those who play in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import msgspec
import pytest

from lingbot_eval.cli.overview import overview
from lingbot_eval.errors import BadInput
from lingbot_eval.runs.directory import LIVE, RunDirectory
from lingbot_eval.runs.lanes import Lanes, LaneState
from lingbot_eval.runs.plan import by_task
from lingbot_eval.runs.presence import Coordinator, Heartbeat, Life, Process, this_process
from lingbot_eval.runs.status import StatusReader, with_mine
from lingbot_eval.settings import to_dict
from lingbot_eval.types import EpisodeRecord, Outcome
from tests.conftest import toy_run
from tests.planning import plan
from tests.reports.folders import add, directory

EPISODES = plan(toy_run().suite, toy_run().protocol)
TASKS = list(by_task(EPISODES))
ELSEWHERE = Process("another boot", "pid:[1]", 7, "8")


def won(count: int, seconds: float = 10.0, start: int = 0) -> list[EpisodeRecord]:
    return [EpisodeRecord(episode, Outcome.SUCCESS, 5, seconds) for episode in EPISODES[start : start + count]]


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    folder = directory(tmp_path / "run", EPISODES, [], protocol=to_dict(toy_run().protocol))
    (folder.path / "sessions").mkdir()
    return folder


def session(run: RunDirectory, id: str, process: Process = ELSEWHERE, **changes: object) -> Coordinator:
    settings, started = {"agent": {"sessions": 1}}, "2030-01-01T00:00:00+00:00"
    made = msgspec.structs.replace(Coordinator("run-suite toy", "there", process, {}, settings, 6, started), **changes)
    (run.path / "sessions" / f"{id}.json").write_bytes(msgspec.json.encode(made))
    return made


def beat(run: RunDirectory, id: str, counter: int, seconds: float, *lanes: LaneState) -> None:
    heartbeat = Heartbeat(counter, seconds, dict(enumerate(lanes)))
    (run.path / "sessions" / f"{id}{LIVE}").write_bytes(msgspec.json.encode(heartbeat))


def test_nobody_plays_in_a_directory_without_sessions(run):
    standing = StatusReader(run).read()
    assert (len(standing.plan), standing.final, standing.players) == (6, {}, [])
    assert standing.seconds_left(TASKS) is None


def test_rate_and_time_left_come_from_those_that_play_now_and_from_their_own_records(run):
    add(run, "yesterday", won(2))
    session(run, "1-ended", ended="2030-01-01T01:00:00+00:00", seconds=3600.0, lanes={0: LaneState(played=2, model=20)})
    for id in ("2", "3"):
        session(run, id, this_process())
        beat(run, id, 7, 30.0, LaneState(EPISODES[3].id, 4.0, 1, 0, starting=10.0, model=10.0, other=6.0))
    add(run, "today", won(1, start=2))
    standing = StatusReader(run).read()
    assert [player.life for player in standing.players] == [Life.ENDED, Life.PLAYS, Life.PLAYS]
    assert standing.players[1].per_hour == pytest.approx(3600 / 20)
    assert standing.per_hour == pytest.approx(2 * 3600 / 20)
    assert standing.players[1].speed == pytest.approx(14 / 20)
    assert standing.seconds_left(TASKS) == pytest.approx((6 + 10 + 10) / (2 * 14 / 20))
    assert standing.seconds_left(TASKS[:1]) == 0


def test_the_end_comes_no_sooner_than_that_of_the_longest_episode(run):
    session(run, "1", this_process())
    busy = [LaneState(episode.id, 50.0, 1, 0, model=50.0) for episode in EPISODES[:4]]
    beat(run, "1", 7, 100.0, *busy)
    add(run, "more", won(5, seconds=60.0))
    assert StatusReader(run).read().seconds_left(TASKS) == pytest.approx(60.0)


def test_a_result_is_on_disk_before_the_heartbeat_says_so_and_an_error_is_left_while_it_is_tried_again(run):
    session(run, "1", this_process())
    beat(run, "1", 7, 20.0, *(LaneState(episode.id, 4.0, 1, 0, model=16.0) for episode in EPISODES[:2]))
    add(run, "more", [*won(1), EpisodeRecord(EPISODES[1], Outcome.ERROR, 0, 1.0)])
    assert StatusReader(run, EPISODES[:1]).read().seconds_left(TASKS[:1]) == 0
    assert StatusReader(run, EPISODES[:2]).read().seconds_left(TASKS[:1]) == pytest.approx(6.0)


def test_errors_count_for_no_rate(run):
    session(run, "1", this_process())
    beat(run, "1", 7, 100.0, LaneState("", 0.0, 3, 3, other=100.0))
    add(run, "more", won(1))
    standing = StatusReader(run).read()
    assert standing.per_hour is None
    assert standing.seconds_left(TASKS) is None


def test_of_a_session_elsewhere_nobody_knows_until_its_heart_is_seen_to_beat(run):
    session(run, "1")
    beat(run, "1", 7, 30.0)
    reader = StatusReader(run)
    (player,) = reader.read().players
    assert (player.life, player.counter) == (Life.UNKNOWN, 7)
    beat(run, "1", 8, 35.0)
    assert [player.life for player in reader.read().players] == [Life.PLAYS]
    assert [player.life for player in reader.read().players] == [Life.PLAYS]


def test_a_session_whose_process_is_gone_has_died_and_plays_nothing(run):
    session(run, "1", msgspec.structs.replace(this_process(), began="1"))
    beat(run, "1", 7, 30.0, LaneState(EPISODES[0].id, 4.0, 1, 0, model=10.0))
    standing = StatusReader(run).read()
    assert [player.life for player in standing.players] == [Life.DIED]
    assert (standing.playing, standing.per_hour) == ([], None)


def test_a_session_that_ends_says_what_its_lanes_did(run):
    session(run, "1", this_process())
    beat(run, "1", 7, 30.0)
    reader = StatusReader(run)
    assert reader.read().playing
    lanes = {0: LaneState(played=6, model=60.0)}
    session(run, "1", this_process(), ended="2030-01-01T01:00:00+00:00", seconds=70.0, lanes=lanes)
    (player,) = reader.read().players
    assert (player.life, player.seconds, player.lanes) == (Life.ENDED, 70.0, lanes)


def test_another_part_of_the_plan_is_read_alone(run):
    add(run, "more", won(6))
    assert len(StatusReader(run, EPISODES[:2]).read().final) == 2


def test_the_records_that_are_read_share_the_episodes_at_hand(run):
    add(run, "more", won(1))
    (record,) = StatusReader(run, EPISODES).read().final.values()
    assert record.episode is EPISODES[0]


def test_records_that_are_read_later_count_as_if_they_had_been_there_from_the_start(run):
    reader = StatusReader(run)
    told = [
        won(1),
        [EpisodeRecord(EPISODES[1], Outcome.ERROR, 0, 1.0)],
        [EpisodeRecord(EPISODES[4], Outcome.FAILURE, 5, 8.0)],
    ]
    told.append([replace(record, attempt=2) for record in won(1, start=1)])
    for number, records in enumerate(told):
        add(run, f"{number}", records)
        later, anew = reader.read(), StatusReader(run).read()
        assert (later.final, later.expected) == (anew.final, anew.expected)
        assert later.scores.tallies == anew.scores.tallies
    first, second = later.scores.tallies.values()
    assert (first.successes, first.errors, first.waiting) == (2, 0, 1)
    assert (second.failures, second.trials, second.waiting) == (1, 1, 2)


def test_what_was_told_and_is_not_on_disk_counts_beside_what_is_read(run):
    add(run, "0", won(1))
    standing = StatusReader(run).read()
    lost = [EpisodeRecord(episode, Outcome.FAILURE, 5, 1.0) for episode in EPISODES[:2]]
    seen = with_mine(standing, this_process(), Lanes(), lost)
    assert [record.outcome for record in seen.final.values()] == [Outcome.SUCCESS, Outcome.FAILURE]
    assert (seen.scores.tallies[TASKS[0]].trials, standing.scores.tallies[TASKS[0]].trials) == (2, 1)


def test_a_plan_that_grows_is_counted_anew(run):
    add(run, "0", won(1))
    reader = StatusReader(run)
    assert [tally.planned for tally in reader.read().scores.tallies.values()] == [3, 3]
    more = [replace(episode, task="push") for episode in EPISODES[:2]]
    run.open(run.run().experiment, more)
    tallies = reader.read().scores.tallies
    assert [(tally.planned, tally.trials) for tally in tallies.values()] == [(3, 1), (3, 0), (2, 0)]


def operations(work: Callable[[], object]) -> int:
    """Count the bytecodes that ``work`` takes."""
    counted = 0

    def count(frame: FrameType, event: str, _: object) -> Callable[..., object]:
        nonlocal counted
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return counted


def test_a_reading_and_its_picture_cost_what_was_added_however_much_is_planned_and_recorded(tmp_path):
    costs = []
    for each in (5, 500):
        episodes = [replace(EPISODES[0], seed=k, index=k) for k in range(each)]
        run = directory(tmp_path / str(each), episodes, [], protocol=to_dict(toy_run().protocol))
        add(run, "before", [EpisodeRecord(episode, Outcome.SUCCESS, 5, 9.0) for episode in episodes[:-1]])
        reader = StatusReader(run)
        overview(reader.read(), 80)
        add(run, "after", [EpisodeRecord(episodes[-1], Outcome.SUCCESS, 5, 9.0)])
        costs.append(operations(lambda reader=reader: overview(reader.read(), 80)))
    assert costs[1] < 1.1 * costs[0]


def test_nothing_is_written_by_reading(run):
    session(run, "1")
    beat(run, "1", 7, 30.0)
    before = {file: file.stat() for file in run.path.rglob("*")}
    StatusReader(run).read()
    assert {file: file.stat().st_mtime_ns for file in run.path.rglob("*")} == {
        file: stat.st_mtime_ns for file, stat in before.items()
    }


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match="not a run directory"):
        StatusReader(RunDirectory(tmp_path))
