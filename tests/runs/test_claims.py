"""However many sessions play in a run directory, each attempt of an episode is played by one of them."""

from __future__ import annotations

import errno
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingbot_eval import files
from lingbot_eval.errors import CorruptRecords
from lingbot_eval.runs.claims import Claims
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.plan import task_of
from lingbot_eval.runs.presence import Watch
from lingbot_eval.runs.queue import SPARED, TRIES, Queue
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.types import Episode, EpisodeRecord, Outcome
from tests.runs.test_presence import EXPERIMENT, attended, beat, present

EPISODES = [Episode("toy", "reach", seed, "go to the mark", index=seed) for seed in range(3)]


def directory(path: Path) -> RunDirectory:
    run = RunDirectory(path)
    run.open(EXPERIMENT, EPISODES)
    for name in ("sessions", "claims"):
        (path / name).mkdir()
    return run


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return directory(tmp_path / "run")


def claims(run: RunDirectory, id: str) -> Claims:
    """Of a session elsewhere."""
    attended(run, id)
    return Claims(run, id, Watch(run))


def write(run: RunDirectory, name: str, seed: int, attempt: int, outcome: Outcome = Outcome.SUCCESS) -> None:
    file = RecordFile(run.path / "records" / f"{name}-{seed}-{attempt}.jsonl")
    file.append(EpisodeRecord(EPISODES[seed], outcome, 1, 1.0, attempt=attempt))


def test_an_episode_that_one_session_plays_is_no_other_ones(run):
    ours, theirs = claims(run, "a"), claims(run, "b")
    assert ours.take(EPISODES[0]) == 1
    assert theirs.take(EPISODES[0]) is None
    assert theirs.take(EPISODES[1]) == 1


def test_what_another_session_has_finished_is_not_played_and_leaves_no_claim(run):
    ours, theirs = claims(run, "a"), claims(run, "b")
    ours.take(EPISODES[0])
    write(run, "a", 0, 1)
    ours.release(EPISODES[0])
    assert theirs.take(EPISODES[0]) is None
    assert list((run.path / "claims").iterdir()) == []


def test_an_error_of_another_session_is_tried_again_under_the_next_number(run):
    ours, theirs = claims(run, "a"), claims(run, "b")
    ours.take(EPISODES[0])
    write(run, "a", 0, 1, Outcome.ERROR)
    ours.release(EPISODES[0])
    assert theirs.take(EPISODES[0]) == 2


def test_a_dead_sessions_attempt_is_left_to_it_and_the_next_one_played(run):
    claims(run, "dead").take(EPISODES[0])
    ours = Claims(run, "a", Watch(run, lease=0.0))
    attended(run, "a")
    assert ours.take(EPISODES[0]) is None  # seen for the first time
    assert ours.take(EPISODES[0]) == 2
    write(run, "a", 0, 2)
    write(run, "dead", 0, 1)  # it was only suspended
    assert sorted(record.attempt for record in run.records().all) == [1, 2]
    assert run.records().final()[EPISODES[0].id].attempt == 1


def test_a_session_that_ends_gives_back_what_it_had_not_finished(run):
    ours, theirs = claims(run, "a"), claims(run, "b")
    ours.take(EPISODES[0])
    ours.release_all()
    assert theirs.take(EPISODES[0]) == 1


@pytest.mark.parametrize(("outcome", "taken"), [(Outcome.SUCCESS, None), (Outcome.ERROR, 2)])
def test_what_was_recorded_after_the_last_look_is_seen_before_it_is_played(run, outcome, taken):
    ours, theirs = claims(run, "a"), claims(run, "b")
    theirs.take(EPISODES[0])
    write(run, "b", 0, 1, outcome)
    theirs.release(EPISODES[0])
    assert ours.records.all == []
    assert ours.take(EPISODES[0]) == taken
    assert len(list((run.path / "claims").iterdir())) == (taken is not None)


@pytest.mark.parametrize(("outcome", "taken"), [(Outcome.SUCCESS, None), (Outcome.ERROR, 2)])
def test_a_session_that_died_between_its_record_and_the_end_of_its_claim_is_in_nobodys_way(run, outcome, taken):
    claims(run, "dead").take(EPISODES[0])
    write(run, "dead", 0, 1, outcome)
    ours = claims(run, "a")  # for which the other may still be alive
    assert ours.take(EPISODES[0]) == taken


def test_a_worker_that_died_once_its_result_was_on_disk_has_a_result(run):
    ours, theirs = claims(run, "a"), claims(run, "b")
    ours.take(EPISODES[0])
    write(run, "worker", 0, 1, Outcome.FAILURE)
    write(run, "deaths", 0, 1, Outcome.ERROR)
    ours.release(EPISODES[0])
    assert theirs.take(EPISODES[0]) is None
    assert run.records().final()[EPISODES[0].id].outcome is Outcome.FAILURE


def test_a_claim_that_its_session_did_not_know_of_when_it_was_interrupted_counts_until_the_session_ends(run):
    with present(run) as session:
        Claims(run, session.id, Watch(run)).take(EPISODES[0])
        ours = claims(run, "a")
        assert ours.take(EPISODES[0]) is None
    assert ours.take(EPISODES[0]) == 2


def test_an_episode_that_always_fails_is_given_up_by_all_and_each_try_has_a_number_of_its_own(run):
    limits = {task_of(EPISODES[0]): 1}
    everybody = [claims(run, name) for name in "abc"]
    queues = [Queue(EPISODES[:1], limits, one.records) for one in everybody]
    playing: dict[int, int] = {}
    for turn in range(60):
        who = turn % len(everybody)
        one, queue = everybody[who], queues[who]
        if who in playing:
            write(run, f"{who}", 0, attempt := playing.pop(who), Outcome.ERROR)
            one.release(EPISODES[0])
            queue.finished(EpisodeRecord(EPISODES[0], Outcome.ERROR, 1, 1.0, attempt=attempt), alone=True)
        else:
            queue.recall()
            one.read()
            queue.see()
            if episode := queue.next_for(None, []):
                if attempt := one.take(episode):
                    playing[who] = attempt
                else:
                    queue.put_off(episode)
    assert [queue.left for queue in queues] == [0, 0, 0]
    tried = [record.attempt for record in run.records().all]
    assert sorted(tried) == list(range(1, len(tried) + 1))
    assert TRIES < len(tried) <= TRIES + SPARED


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"session": 3}'])
def test_a_claim_that_cannot_be_read_is_named(run, content):
    claims(run, "a").take(EPISODES[0])
    (file,) = (run.path / "claims").iterdir()
    file.write_bytes(content)
    with pytest.raises(CorruptRecords, match=str(file)):
        claims(run, "b").take(EPISODES[0])


def test_a_file_that_nfs_calls_stale_is_asked_for_once_more(run, monkeypatch):
    """There is no NFS here: what it says when another machine has replaced or removed an open file."""
    ours, theirs, opened = claims(run, "a"), claims(run, "b"), files.opened
    stale: set[Path] = set()

    def open_it(file: Path) -> BinaryIO:
        if file not in stale:
            stale.add(file)
            raise OSError(errno.ESTALE, "Stale file handle")
        return opened(file)

    assert ours.take(EPISODES[0]) == 1
    monkeypatch.setattr(files, "opened", open_it)
    assert theirs.take(EPISODES[0]) is None
    assert {file.suffix for file in stale} == {".1", ".json"}  # the claim, and the session and its heartbeat


def test_of_many_sessions_that_reach_for_an_episode_at_once_one_gets_it(run):
    everybody = [claims(run, f"session-{number}") for number in range(4)]
    start = Barrier(len(everybody), timeout=10)

    def take(one: Claims) -> list[int | None]:
        taken = []
        for seed in range(100, 200):
            start.wait()
            taken.append(one.take(Episode("toy", "reach", seed, "")))
        return taken

    with ThreadPoolExecutor(len(everybody)) as threads:
        taken = list(threads.map(take, everybody))
    assert [sorted(attempts, key=str) for attempts in zip(*taken, strict=True)] == [[1, None, None, None]] * 100


actions = st.tuples(
    st.sampled_from(["take", "take", "succeed", "fail", "hang", "resume"]), st.integers(0, 2), st.integers(0, 2)
)


@settings(max_examples=60)
@given(st.lists(actions, max_size=30))
def test_whoever_plays_fails_hangs_and_comes_back_no_attempt_is_played_twice_and_one_record_counts(
    tmp_path_factory, script
):
    run = directory(tmp_path_factory.mktemp("run") / "r")
    names = ["a", "b", "c"]
    for name in names:
        attended(run, name)
    watch = Watch(run, lease=0.0)
    everybody = {name: Claims(run, name, watch) for name in names}
    hung: set[str] = set()
    playing: dict[tuple[str, int], int] = {}
    taken: Counter[tuple[int, int]] = Counter()
    for clock, (action, who, seed) in enumerate(script, start=2):
        name = names[who]
        for other in set(names) - hung:
            beat(run, other, clock)
            watch.dead(other)  # as a look now and then would see it
        if action == "hang":
            hung.add(name)
            watch.dead(name)
        elif action == "resume":
            hung.discard(name)
        elif action == "take" and name not in hung and (name, seed) not in playing:
            if attempt := everybody[name].take(EPISODES[seed]):
                taken[seed, attempt] += 1
                playing[name, seed] = attempt
        elif action in ("succeed", "fail") and name not in hung and (name, seed) in playing:
            outcome = Outcome.SUCCESS if action == "succeed" else Outcome.ERROR
            write(run, f"{name}-{clock}", seed, playing.pop((name, seed)), outcome)
            everybody[name].release(EPISODES[seed])
    assert all(count == 1 for count in taken.values())
    records = run.records()
    assert len({(record.episode.id, record.attempt) for record in records.all}) == len(records.all)
    assert records.final().keys() == {record.episode.id for record in records.all}
    succeeded = {record.episode.id for record in records.all if record.outcome is Outcome.SUCCESS}
    assert {id for id, record in records.final().items() if record.outcome is Outcome.SUCCESS} == succeeded


def test_the_records_that_a_coordinator_holds_share_the_episodes_it_plays(run):
    write(run, "somebody", 0, 1)
    attended(run, "a")
    (known,) = Claims(run, "a", Watch(run), EPISODES).records.all
    assert known.episode is EPISODES[0]
