"""A run outlives its simulators and workers, and continues where it stopped."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.errors import BadInput, LingbotEvalError
from lingbot_eval.hardware import hardware
from lingbot_eval.runs.coordinator import play
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.lanes import EpisodeUpdate
from lingbot_eval.runs.plan import remaining
from lingbot_eval.runs.presence import Watch
from lingbot_eval.runs.records import RecordFile
from lingbot_eval.settings import RunSettings, SuiteSettings
from lingbot_eval.settings.agent import ReplaySettings
from lingbot_eval.settings.toy import ToySettings
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance
from tests import experiments
from tests.conftest import IMPATIENT, toy_run
from tests.planning import plan
from tests.processes import children, running, wait_for

WHO = Provenance("expert", "", "toy", "0" * 12, {}, "here")


def experiment(episodes):
    suite = {"name": "toy", "seed": 0, "episodes": len(episodes)}
    return experiments.experiment(suite=suite, agent={"name": WHO.agent}, protocol_hash=WHO.protocol_hash)


@pytest.fixture(autouse=True)
def temporary_files(tmp_path_factory, monkeypatch) -> None:
    """What a killed process leaves behind lies where pytest tidies up."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))


def carry_on(
    path: Path, settings: RunSettings, tell: Callable[[EpisodeUpdate], None] = lambda update: None
) -> tuple[dict[str, EpisodeRecord], list[EpisodeUpdate]]:
    """Play what is missing in ``path``; the final records, and what was told."""
    folder, episodes, told = RunDirectory(path), plan(settings.suite, settings.protocol), []

    def listen(update: EpisodeUpdate) -> None:
        told.append(update)
        tell(update)

    folder.open(experiment(episodes), episodes)
    play(folder, remaining(episodes, folder.records().done()), settings, WHO, listen)
    return folder.records().final(), told


def outcomes(final: dict[str, EpisodeRecord]) -> dict[str, str]:
    return {"/".join(id.split("/")[1:4:2]): record.outcome.value for id, record in final.items()}


ALL = {f"{task}/{seed}" for task in ("reach", "return") for seed in range(3)}
FEW = SuiteSettings(name="toy", suites=("toy",), tasks=("reach",), settings=(), episodes=2, seed=None, manifest=None)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_episode_is_played_once_and_recorded_by_who_played_it(tmp_path, workers):
    final, told = carry_on(tmp_path, toy_run(workers=workers, limits=IMPATIENT))
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    assert len(RunDirectory(tmp_path).records().all) == 6
    here = dataclasses.replace(WHO, versions=hardware(), host=socket.gethostname())
    assert all(record.provenance == here for record in final.values())
    assert here.versions["cpu"]
    assert len(list((tmp_path / "records").glob("*.jsonl"))) == workers
    starts = [update.episode.id for update in told if update.record is None]
    ends = [update.episode.id for update in told if update.record is not None]
    assert sorted(starts) == sorted(ends) == sorted(final)
    for worker in range(workers):  # each keeps its simulator while there is work for it, and starts with its own task
        tasks = [update.episode.task for update in told if update.record is None and update.lane == worker]
        assert len(list(groupby(tasks))) <= 2


def test_the_number_of_workers_changes_no_record(tmp_path):
    results = []
    for workers in (1, 2):
        final, _ = carry_on(tmp_path / str(workers), toy_run("random", workers=workers, limits=IMPATIENT))
        results.append({id: (r.outcome, r.commands, r.progress, r.out_of_bounds) for id, r in final.items()})
    assert results[0] == results[1]
    assert {outcome for outcome, *_ in results[0].values()} == {Outcome.FAILURE}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "RuntimeError: the toy was told to raise"),
        ("die", "was ended by SIGKILL"),
        ("hang", "no answer to 'step' within 1 s"),
        ("stop", "no answer to 'step' within 1 s"),
        ("spin", "no answer to 'step' within 1 s"),
    ],
)
def test_an_episode_that_fails_is_tried_twice_and_recorded_with_its_reason_while_others_go_on(tmp_path, fault, reason):
    final, told = carry_on(tmp_path, toy_run(faults={0: fault}, limits=IMPATIENT, suite=FEW))
    assert outcomes(final) == {"reach/0": "error", "reach/1": "success"}
    errors = [r for r in RunDirectory(tmp_path).records().all if r.outcome is Outcome.ERROR]
    assert [(record.episode.seed, record.attempt) for record in errors] == [(0, 1), (0, 2)]
    assert all(reason in record.error for record in errors)
    assert [update.will_retry for update in told if update.record and update.episode.seed == 0] == [True, False]


def test_a_simulator_that_eats_memory_is_an_error_with_the_figure_while_others_go_on(tmp_path):
    frugal = msgspec.structs.replace(IMPATIENT, command_seconds=20.0, env_gigabytes=0.3)
    final, _ = carry_on(tmp_path, toy_run(faults={0: "eat"}, limits=frugal, suite=FEW))
    assert outcomes(final) == {"reach/0": "error", "reach/1": "success"}
    assert "limits.env_gigabytes=0.3 allows no more" in final["toy/reach/-/0/-"].error
    assert final["toy/reach/-/0/-"].attempt == 2


def test_a_worker_that_stands_still_is_replaced_when_its_episode_outlasts_the_time_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("lingbot_eval.runs.pool.GRACE_SECONDS", 0.0)
    stopped: list[int] = []

    def stop(update: EpisodeUpdate) -> None:
        if update.record is None and not stopped:
            stopped.extend(children(os.getpid()))
            os.kill(stopped[0], signal.SIGSTOP)

    brief = {"load_seconds": 1.0, "start_seconds": 2.0, "reset_seconds": 1.0, "episode_seconds": 1.0}
    final, told = carry_on(tmp_path, toy_run(limits=msgspec.structs.replace(IMPATIENT, **brief), suite=FEW), stop)
    assert outcomes(final) == {"reach/0": "success", "reach/1": "success"}
    assert [e.record.error for e in told if e.record and e.record.error] == ["the worker outlasted the time limit"]
    assert not running(stopped[0])


def test_errors_are_played_again_on_resume_and_every_attempt_stays_in_the_files(tmp_path):
    carry_on(tmp_path, toy_run(faults={1: "raise"}, limits=IMPATIENT, suite=FEW))
    before = {file.name: file.read_bytes() for file in (tmp_path / "records").iterdir()}
    final, told = carry_on(tmp_path, toy_run(limits=IMPATIENT, suite=FEW))
    assert outcomes(final) == {"reach/0": "success", "reach/1": "success"}
    assert {update.episode.seed for update in told} == {1}
    assert final["toy/reach/-/1/-"].attempt == 3
    assert all((tmp_path / "records" / name).read_bytes() == content for name, content in before.items())
    assert len(RunDirectory(tmp_path).records().all) == 2 + 1 + 1


def test_errors_that_stay_are_tried_twice_more_by_the_next_run(tmp_path):
    for _ in range(2):
        carry_on(tmp_path, toy_run(faults={1: "raise"}, limits=IMPATIENT, suite=FEW))
    attempts = [r.attempt for r in RunDirectory(tmp_path).records().all if r.episode.seed == 1]
    assert sorted(attempts) == [1, 2, 3, 4]


def test_a_fault_that_goes_away_is_retried_to_a_result(tmp_path):
    class Once:
        """Kills the simulator of the first episode, once."""

        killed = 0

        def __call__(self, update: EpisodeUpdate) -> None:
            if not self.killed and update.record is None:
                (worker,) = children(os.getpid())
                wait_for(lambda: children(worker))
                self.killed = children(worker)[0]
                os.kill(self.killed, signal.SIGKILL)

    final, told = carry_on(tmp_path, toy_run(limits=IMPATIENT), Once())
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    first = next(update for update in told if update.record)
    assert first.will_retry
    assert first.record is not None
    assert "SIGKILL" in first.record.error
    assert final[first.episode.id].attempt == 2


def test_a_worker_that_is_killed_is_replaced_and_its_episode_played_again(tmp_path):
    killed = []

    def kill_first_worker(update: EpisodeUpdate) -> None:
        if update.record is None and not killed:
            (worker,) = children(os.getpid())
            wait_for(lambda: children(worker))
            killed.extend([worker, *children(worker)])
            os.kill(worker, signal.SIGKILL)

    final, told = carry_on(tmp_path, toy_run(faults={0: "slow"}, limits=IMPATIENT), kill_first_worker)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    first = next(update for update in told if update.record)
    assert first.record is not None
    assert (first.record.outcome, first.will_retry) == (Outcome.ERROR, True)
    assert first.record.error == "the worker was ended by SIGKILL"
    wait_for(lambda: not any(running(pid) for pid in killed))


def test_a_worker_that_dies_with_every_try_leaves_an_error_and_the_others_are_played(tmp_path):
    target = "toy/reach/-/0/-"

    def kill_its_worker(update: EpisodeUpdate) -> None:
        if update.record is None and update.episode.id == target:
            (worker,) = children(os.getpid())
            os.kill(worker, signal.SIGKILL)

    final, _ = carry_on(tmp_path, toy_run(faults={0: "slow"}, limits=IMPATIENT), kill_its_worker)
    assert outcomes(final) == {**dict.fromkeys(ALL, "success"), "reach/0": "error"}
    assert final[target].attempt == 2
    assert "SIGKILL" in final[target].error


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_run_continued_with_another_number_of_workers_counts_each_episode_once(tmp_path, first, then):
    class Enough(Exception):
        pass

    def stop_at_third(update: EpisodeUpdate) -> None:
        done.extend([update.episode.id] if update.record else [])
        if len(done) == 3:
            raise Enough

    done: list[str] = []
    with pytest.raises(Enough):
        carry_on(tmp_path, toy_run(workers=first, faults={2: "slow"}), stop_at_third)
    on_disk = RunDirectory(tmp_path).records().done()
    assert set(done) <= on_disk
    final, told = carry_on(tmp_path, toy_run(workers=then, faults={2: "slow"}))
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    assert not {update.episode.id for update in told} & on_disk
    assert Counter(r.episode.id for r in RunDirectory(tmp_path).records().all) == Counter(list(final))


def test_a_run_that_is_stopped_leaves_no_process(tmp_path):
    seen: list[int] = []

    def interrupt(update: EpisodeUpdate) -> None:
        (worker,) = children(os.getpid())
        wait_for(lambda: children(worker))
        seen.extend([worker, *children(worker)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry_on(tmp_path, toy_run(faults={0: "hang"}), interrupt)
    assert len(seen) == 2
    wait_for(lambda: not any(running(pid) for pid in seen))


def test_a_run_leaves_neither_process_nor_temporary_file(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # of the workers
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    carry_on(tmp_path / "run", toy_run(faults={0: "hang"}, limits=IMPATIENT, video="on", suite=FEW))
    assert children(os.getpid()) == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not [file for file in (tmp_path / "run" / "videos").iterdir() if file.is_file()]


def test_an_episode_that_failed_is_not_played_again(tmp_path):
    (tmp_path / "records").mkdir()
    episode = Episode("toy", "reach", 0, "go to the mark")
    RecordFile(tmp_path / "records" / "z.jsonl").append(EpisodeRecord(episode, Outcome.FAILURE, 60, 1.0, attempt=1))
    final, told = carry_on(tmp_path, toy_run())
    assert outcomes(final)["reach/0"] == "failure"
    assert episode.id not in {update.episode.id for update in told}


def test_two_workers_start_on_different_tasks(tmp_path):
    _, told = carry_on(tmp_path, toy_run(workers=2, faults={0: "slow"}))
    assert {update.episode.task for update in [e for e in told if e.record is None][:2]} == {"reach", "return"}


def test_videos_and_actions_are_kept_where_they_are_wanted(tmp_path):
    carry_on(tmp_path, toy_run(video="on", actions=True, faults={1: "raise"}, limits=IMPATIENT, suite=FEW))
    videos = sorted(file.relative_to(tmp_path).as_posix() for file in (tmp_path / "videos").rglob("*.mp4"))
    assert videos == ["videos/reach/0-success.mp4", "videos/reach/1-error.mp4"]
    assert [file.name for file in (tmp_path / "actions" / "reach").iterdir()] == ["0.npz"]


def test_every_nth_episode_is_filmed_and_every_record_says_where_its_seconds_went(tmp_path):
    final, _ = carry_on(tmp_path, toy_run(video="on", video_every=2, limits=IMPATIENT))
    films = sorted(file.relative_to(tmp_path / "videos").as_posix() for file in (tmp_path / "videos").rglob("*.mp4"))
    assert films == [f"{task}/{index}-success.mp4" for task in ("reach", "return") for index in (0, 2)]
    for record in final.values():
        assert record.spent.model > 0
        assert record.spent.simulator > 0
        assert record.spent.waiting == 0
        assert record.spent.model + record.spent.simulator < record.seconds
        assert record.imagination is None


def test_a_recorded_run_can_be_replayed_to_the_same_outcomes(tmp_path):
    first, _ = carry_on(tmp_path / "first", toy_run(actions=True, suite=FEW))
    replay = ReplaySettings(False, 1, 1, str(tmp_path / "first" / "actions"))
    again, _ = carry_on(tmp_path / "again", msgspec.structs.replace(toy_run(suite=FEW), agent=replay))
    assert {id: (r.outcome, r.commands) for id, r in again.items()} == {
        id: (r.outcome, r.commands) for id, r in first.items()
    }


def shared(settings: RunSettings, sessions: int) -> RunSettings:
    return msgspec.structs.replace(settings, agent=msgspec.structs.replace(settings.agent, sessions=sessions))


def test_sessions_of_one_worker_play_at_the_same_time_and_change_no_record(tmp_path):
    results = []
    for sessions in (1, 3):
        final, told = carry_on(tmp_path / str(sessions), shared(toy_run("random", faults={0: "slow"}), sessions))
        results.append({id: (r.outcome, r.commands, r.progress, r.out_of_bounds) for id, r in final.items()})
    assert results[0] == results[1]
    assert {update.lane for update in told} == {0, 1, 2}
    assert [update.record for update in told[:3]] == [None] * 3  # all began before one ended
    assert len(list((tmp_path / "3" / "records").glob("*.jsonl"))) == 3
    assert len(list((tmp_path / "3" / "logs").glob("*-worker-0*.log"))) == 4  # each lane's simulator, and the worker


def test_a_killed_worker_takes_all_its_sessions_along_and_they_are_played_again(tmp_path):
    began = []

    def kill(update: EpisodeUpdate) -> None:
        if update.record is None:
            began.append(update.lane)
            if len(began) == 2:
                (worker,) = children(os.getpid())
                os.kill(worker, signal.SIGKILL)

    final, told = carry_on(tmp_path, shared(toy_run(faults={0: "slow"}, limits=IMPATIENT), 2), kill)
    assert outcomes(final) == dict.fromkeys(ALL, "success")
    assert len([update for update in told if update.record and update.record.error]) == 2
    assert all(update.will_retry for update in told if update.record and update.record.error)


def test_an_episode_that_kills_its_worker_does_not_use_up_the_tries_of_those_beside_it(tmp_path):
    target = "toy/reach/-/0/-"

    def kill_its_worker(update: EpisodeUpdate) -> None:
        if update.record is None and update.episode.id == target:
            (worker,) = children(os.getpid())
            os.kill(worker, signal.SIGKILL)

    slow = dict.fromkeys(range(3), "slow")
    final, told = carry_on(tmp_path, shared(toy_run(faults=slow, limits=IMPATIENT), 2), kill_its_worker)
    assert outcomes(final) == {**dict.fromkeys(ALL, "success"), "reach/0": "error"}
    deaths = Counter(update.episode.id for update in told if update.record and update.record.error)
    assert deaths.pop(target) >= 2
    assert set(deaths.values()) <= {1}


def test_a_hung_simulator_is_its_own_sessions_error_alone(tmp_path):
    final, _ = carry_on(tmp_path, shared(toy_run(faults={0: "hang"}, limits=IMPATIENT), 2))
    assert outcomes(final) == {**dict.fromkeys(ALL, "success"), "reach/0": "error", "return/0": "error"}
    assert all(r.attempt == 1 for r in final.values() if r.outcome is Outcome.SUCCESS)


def test_a_session_that_cannot_write_its_record_ends_the_worker(tmp_path):
    def full(update: EpisodeUpdate) -> None:
        if update.record is None:
            (worker,) = children(os.getpid())
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, limit))  # every write fails

    final, _ = carry_on(tmp_path, toy_run(suite=FEW, limits=IMPATIENT), full)
    assert outcomes(final) == {"reach/0": "error", "reach/1": "error"}
    assert {r.error for r in final.values()} == {"the worker exited with status 1"}


def test_an_agent_that_cannot_be_loaded_is_refused_by_the_first_worker(tmp_path):
    with pytest.raises(BadInput, match=r"agent\.path=RUN/actions"):
        carry_on(tmp_path, msgspec.structs.replace(toy_run(), agent=ReplaySettings(False, 1, 1, None)))


def test_a_worker_that_cannot_start_ends_the_run_with_the_place_of_its_log(tmp_path):
    def no_records(update: EpisodeUpdate) -> None:
        raise AssertionError("nothing can be played")

    folder, settings = RunDirectory(tmp_path), toy_run()
    episodes = plan(settings.suite, settings.protocol)
    folder.open(experiment(episodes), episodes)
    (tmp_path / "records").rmdir()
    with pytest.raises(LingbotEvalError, match="before its first episode") as refused:
        play(folder, episodes, settings, WHO, no_records)
    log = Path(str(refused.value).partition("; see ")[2])
    assert "FileNotFoundError" in log.read_text()
    (id,) = folder.coordinators()
    assert str(Watch(folder).coordinator(id).process.pid) in log.name  # another coordinator writes another


def test_workers_that_die_while_they_load_do_not_end_a_run_in_which_others_play(tmp_path):
    """Every other one does, and each of the others plays one episode."""
    over = threading.Event()

    def kill_while_loading() -> None:
        known: list[int] = []
        while not over.is_set():
            for worker in set(children(os.getpid())) - set(known):
                known.append(worker)
                if len(known) % 2:
                    os.kill(worker, signal.SIGKILL)

    def kill_after_an_episode(update: EpisodeUpdate) -> None:
        if update.record is not None and update.record.outcome is Outcome.SUCCESS:
            for worker in children(os.getpid()):
                os.kill(worker, signal.SIGKILL)

    killer = threading.Thread(target=kill_while_loading)
    killer.start()
    try:
        final, _ = carry_on(tmp_path, toy_run(suite=FEW), kill_after_an_episode)
    finally:
        over.set()
        killer.join()
    assert outcomes(final) == {"reach/0": "success", "reach/1": "success"}


def test_a_simulator_that_cannot_start_is_an_error_of_each_episode(tmp_path):
    broken = ToySettings(python="/bin/false", faults={})
    final, _ = carry_on(tmp_path, toy_run(limits=IMPATIENT, suite=FEW, env=broken))
    assert outcomes(final) == {"reach/0": "error", "reach/1": "error"}
    assert all("exited with status 1" in record.error for record in final.values())
