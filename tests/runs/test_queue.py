"""What is played next."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from lingbot_eval.runs.durations import Durations, command_limits
from lingbot_eval.runs.queue import SPARED, TRIES, Queue
from lingbot_eval.runs.records import Records
from lingbot_eval.suites import load_protocol, suite_named
from lingbot_eval.types import Episode, EpisodeRecord, Outcome

SHORT, LONG = ("s", "short", ""), ("s", "long", "")
LIMITS = {SHORT: 10, LONG: 100}


def episodes(short: int, long: int) -> list[Episode]:
    return [Episode("s", task, n, "") for task, count in (("short", short), ("long", long)) for n in range(count)]


def record(episode: Episode, outcome: Outcome = Outcome.SUCCESS, seconds: float = 1.0) -> EpisodeRecord:
    return EpisodeRecord(episode, outcome, 1, seconds)


def order(queue: Queue) -> list[str]:
    """The tasks as one lane gets them."""
    tasks, last = [], None
    while last := queue.next_for(last, []):
        tasks.append(last.task)
        queue.finished(record(last), True)
    return tasks


def test_the_longest_come_first_and_a_lane_keeps_its_task():
    assert order(Queue(episodes(2, 3), LIMITS, Records())) == ["long"] * 3 + ["short"] * 2


def test_what_was_measured_counts_more_than_the_limits():
    known = Records([record(Episode("s", "short", 9, ""), seconds=500.0)])
    assert order(Queue(episodes(2, 2), {**LIMITS, LONG: 11}, known)) == ["long"] * 2 + ["short"] * 2  # in proportion
    known.add(record(Episode("s", "long", 9, ""), seconds=5.0))
    assert order(Queue(episodes(2, 2), LIMITS, known)) == ["short"] * 2 + ["long"] * 2


def test_an_error_says_nothing_about_how_long_a_task_takes():
    known = [record(Episode("s", "short", 9, ""), Outcome.ERROR, 1e6), record(Episode("s", "long", 9, ""), seconds=5.0)]
    durations = Durations(LIMITS)
    for one in known:
        durations.add(one)
    assert durations.expected() == {LONG: 5.0, SHORT: 0.5}


def test_lanes_begin_with_different_tasks_unless_one_has_work_for_more_of_them():
    tasks = []
    for long in (3, 30):
        queue = Queue(episodes(3, long), {SHORT: 60, LONG: 100}, Records())
        tasks.append([queue.next_for(None, []).task for _ in range(3)])
    assert tasks == [["long", "short", "long"], ["long"] * 3]


def test_a_suspect_comes_last_and_never_beside_another():
    queue = Queue(planned := episodes(2, 1), LIMITS, Records())
    for episode in planned[:2]:
        queue.next_for(episode, [])
        assert queue.finished(record(episode, Outcome.ERROR), alone=False)
    assert queue.next_for(None, []) == planned[2]
    first = queue.next_for(None, [planned[2]])
    assert first in planned[:2]
    assert queue.next_for(None, [first]) is None
    queue.finished(record(first), alone=True)
    assert queue.next_for(None, []) in planned[:2]


def test_an_error_is_tried_again_and_oftener_where_others_may_be_to_blame():
    for alone, tries in ((True, TRIES), (False, TRIES + SPARED)):
        queue = Queue(episodes(1, 0), LIMITS, Records())
        count = 0
        while episode := queue.next_for(None, []):
            count += 1
            queue.finished(record(episode, Outcome.ERROR), alone)
        assert count == tries


def test_what_another_session_plays_is_asked_for_again_later_and_dropped_when_it_is_done():
    known = Records()
    queue = Queue(planned := episodes(2, 0), LIMITS, known)
    for _ in planned:
        queue.put_off(queue.next_for(None, []))
    assert (queue.waiting, queue.left) == (0, 2)
    known.add(record(planned[0]))
    assert queue.see() == [record(planned[0])]
    queue.recall()
    assert (queue.waiting, queue.left) == (1, 1)
    failed = record(planned[1], Outcome.ERROR)
    for settled in [[]] * (TRIES + SPARED - 1) + [[failed]]:
        known.add(failed)
        assert queue.see() == settled
    assert queue.left == 0


def test_errors_of_before_do_not_count_as_tries_of_this_run():
    failed = Records([record(Episode("s", "short", 0, ""), Outcome.ERROR)] * 9)
    queue = Queue(episodes(1, 0), LIMITS, failed)
    assert queue.see() == []
    assert queue.left == 1


steps = st.tuples(
    st.sampled_from(["next", "succeed", "fail", "fail in company", "put off", "recall", "another's", "another fails"]),
    st.integers(0, 4),
)


@given(st.lists(steps, max_size=60))
@example([("next", 0), *[("another fails", 3)] * (TRIES + SPARED - 1), ("fail", 1)])
def test_whatever_happened_when_it_looks_nothing_is_queued_that_is_settled_and_nothing_else_is_lost(script):
    known = Records()
    queue = Queue(planned := episodes(3, 2), LIMITS, known)
    playing: list[Episode] = []
    queued, given_up = {one.id for one in planned}, set[str]()
    for action, number in script:
        if action == "next" and (episode := queue.next_for(None, playing)):
            playing.append(episode)
        elif action.startswith("another"):
            known.add(record(planned[number], Outcome.ERROR if "fails" in action else Outcome.SUCCESS))
        elif action == "recall":
            queue.recall()
        elif playing and action == "put off":
            queue.put_off(playing.pop())
        elif playing and action in ("succeed", "fail", "fail in company"):
            known.add(played := record(playing.pop(), Outcome.SUCCESS if action == "succeed" else Outcome.ERROR))
            if number % 2:
                queue.see()  # it is on disk before its worker has said so
            if not queue.finished(played, alone="company" not in action):
                given_up.add(played.episode.id)
        told = {one.episode.id for one in queue.see()}
        settled = known.done() | {one.id for one in planned if len(known.of(one)) >= TRIES + SPARED}
        assert told <= settled
        queued = {one.id for one in planned} - {one.id for one in playing} - settled - given_up
        assert queue.left == len(queued)
    queue.recall()
    assert len(order(queue)) == len(queued)


def test_every_benchmark_has_command_limits():
    tasks = {
        "libero": ("strict", ("libero_goal", "turn_on_the_stove", ""), 796),
        "toy": ("toy", ("toy", "reach", ""), 60),
        "tabletop": ("tabletop", ("tabletop", "lift_block", "hard"), None),
        "robotwin": ("lingbot-va", ("robotwin", "lift_pot", "easy"), None),
    }
    for benchmark, (preset, task, limit) in tasks.items():
        (found,) = command_limits(suite_named(benchmark), load_protocol(benchmark, preset), [task]).values()
        assert found > 0
        assert limit in (None, found)
