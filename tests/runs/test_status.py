"""What a run directory says of those who play in it."""

from __future__ import annotations

import msgspec
import pytest

from lingbot_eval.errors import BadInput
from lingbot_eval.runs.directory import LIVE, RunDirectory
from lingbot_eval.runs.lanes import LaneState
from lingbot_eval.runs.plan import by_task
from lingbot_eval.runs.presence import Coordinator, Heartbeat, Life, Process, this_process
from lingbot_eval.runs.status import StatusReader
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


def test_another_part_of_the_plan_is_looked_at_alone(run):
    add(run, "more", won(6))
    assert len(StatusReader(run, EPISODES[:2]).read().final) == 2


def test_the_records_that_are_looked_at_share_the_episodes_at_hand(run):
    add(run, "more", won(1))
    (record,) = StatusReader(run, EPISODES).read().final.values()
    assert record.episode is EPISODES[0]


def test_nothing_is_written_by_looking(run):
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
