"""A session says that it lives; others find out when it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.errors import CorruptRecords, NotReady
from lingbot_eval.runs import presence as sessions
from lingbot_eval.runs.directory import LIVE, RunDirectory
from lingbot_eval.runs.presence import Coordinator, Heartbeat, Presence, Process, Watch, sweep, this_process
from lingbot_eval.types import EpisodeRecord, Outcome, Provenance, Spent
from tests.conftest import toy_run
from tests.experiments import experiment
from tests.planning import plan

WHO = Provenance("expert", "", "toy", "0" * 12, {"python": "3"}, "a/strange host")
ELSEWHERE = Process("another boot", "pid:[1]", 7, "8")
EPISODES = plan(toy_run().suite, toy_run().protocol)
EXPERIMENT = experiment(suite={"name": "toy", "seed": 0, "episodes": 3}, agent={"name": "idle"}, protocol_hash="0123")


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    folder = RunDirectory(tmp_path / "run")
    folder.open(EXPERIMENT, EPISODES)
    return folder


def present(run: RunDirectory) -> Presence:
    return Presence(run, WHO, {"workers": 1}, "run-suite toy", 6)


def attended(run: RunDirectory, id: str, process: Process = ELSEWHERE, counter: int | None = 1) -> str:
    """A session of some other process."""
    session = Coordinator("run-suite toy", "there", process, {}, {}, 6, "2030-01-01T00:00:00+00:00")
    (run.path / "sessions").mkdir(exist_ok=True)
    (run.path / "sessions" / f"{id}.json").write_bytes(msgspec.json.encode(session))
    if counter is not None:
        beat(run, id, counter)
    return id


def beat(run: RunDirectory, id: str, counter: int) -> None:
    (run.path / "sessions" / f"{id}{LIVE}").write_bytes(msgspec.json.encode(Heartbeat(counter, 1.0, {})))


def heartbeat(run: RunDirectory) -> Heartbeat:
    (file,) = (run.path / "sessions").glob(f"*{LIVE}")
    return msgspec.json.decode(file.read_bytes(), type=Heartbeat)


def test_a_session_says_what_it_was_started_with_and_when_it_ended(run):
    with present(run) as session:
        before = Watch(run).coordinator(session.id)
        assert (before.command, before.to_play, before.ended) == ("run-suite toy", 6, "")
        assert session.tmp.is_dir()
        assert not Watch(run).dead(session.id)
    after = Watch(run).coordinator(session.id)
    assert msgspec.structs.replace(after, ended="", seconds=None, lanes={}) == before
    assert after.ended >= after.started
    assert after.seconds >= 0
    (known,) = run.run().coordinators
    assert (known.command, known.settings, known.versions) == (after.command, after.settings, after.versions)
    assert Watch(run).dead(session.id)
    assert [file.name for file in (run.path / "sessions").iterdir()] == [f"{session.id}.json"]
    assert list((run.path / "tmp").iterdir()) == []
    assert "/" not in session.id


def test_the_heartbeat_says_what_each_lane_plays_and_where_its_seconds_went(run, monkeypatch):
    monkeypatch.setattr(sessions, "HEARTBEAT_SECONDS", 0.01)
    with present(run) as session:
        session.lanes.plays(0, EPISODES[0])
        session.lanes.plays(1, EPISODES[1])
        record = EpisodeRecord(EPISODES[1], Outcome.SUCCESS, 1, 1.0, spent=Spent(1.0, 2.0, 3.0))
        session.lanes.played(1, record)
        session.lanes.plays(1, EPISODES[2])
        session.lanes.played(1, replace(record, spent=None))
        first = heartbeat(run).counter
        while (seen := heartbeat(run)).counter < first + 2:
            pass
    assert (seen.lanes[0].episode, seen.lanes[0].played) == (EPISODES[0].id, 0)
    assert (seen.lanes[1].episode, seen.lanes[1].played, seen.lanes[1].errors) == ("", 2, 0)
    assert 0 <= seen.lanes[0].seconds <= seen.seconds


def test_a_session_elsewhere_is_dead_when_its_heart_stands_still_for_the_lease_and_not_before(run):
    attended(run, "other")
    patient, watch = Watch(run, lease=3600.0), Watch(run, lease=0.0)
    for counter in range(2, 5):  # seen for the first time, or moving
        assert not watch.dead("other")
        beat(run, "other", counter)
    assert not watch.dead("other")
    assert watch.dead("other")
    assert [patient.dead("other"), patient.dead("other")] == [False, False]


def test_a_session_that_has_not_written_its_files_yet_is_given_the_lease_too(run):
    watch = Watch(run, lease=0.0)
    assert [watch.dead("unheard of"), watch.dead("unheard of")] == [False, True]


def test_a_session_of_this_machine_is_dead_as_soon_as_its_process_is_gone(run):
    me = this_process()
    with subprocess.Popen(["sleep", "60"]) as other:
        began = sessions._began(other.pid)
        attended(run, "other", Process(me.boot, me.namespace, other.pid, began))
        assert not Watch(run).dead("other")
        other.kill()
        other.wait()
        assert Watch(run).dead("other")
    attended(run, "its pid was given again", msgspec.structs.replace(me, began="1"))
    assert Watch(run).dead("its pid was given again")


OF_ANOTHER_USER = """
import os, sys
import msgspec
from lingbot_eval.runs.presence import gone, this_process
coordinator = msgspec.structs.replace(this_process(), pid=int(sys.argv[1]), began=sys.argv[2])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
print(os.path.exists(f"/proc/{coordinator.pid}"), gone(coordinator))
"""


def test_a_living_coordinator_of_another_user_counts_as_alive_where_proc_hides_it():
    me = this_process()
    hide = 'mount -t proc -o hidepid=2 proc /proc 2> /dev/null || exit 77; exec "$@"'
    look = [sys.executable, "-c", OF_ANOTHER_USER, str(me.pid), me.began]
    try:
        said = subprocess.run(["unshare", "--mount", "sh", "-c", hide, "sh", *look], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no unshare")
    if said.returncode and "Traceback" not in said.stderr:
        pytest.skip("nobody but root may mount /proc")
    assert said.stdout == "False False\n", said.stderr


@pytest.mark.parametrize("change", [{"boot": "another"}, {"namespace": "another"}, {"boot": ""}])
def test_the_process_of_another_machine_is_not_looked_for_on_this_one(run, change):
    attended(run, "other", msgspec.structs.replace(this_process(), began="1", **change))
    assert not Watch(run).dead("other")


DEAD = msgspec.structs.replace(this_process(), began="1")
"""A process of this machine that is gone."""


def test_only_what_dead_sessions_left_is_swept_away(run):
    with present(run) as session:
        dead = attended(run, "20300101T000000-a-strange_host-7-0f0f", DEAD)
        elsewhere = attended(run, "20300101T000000-there-7-0f0f")
        for id in (session.id, dead, elsewhere):
            (run.path / "tmp" / id).mkdir(parents=True, exist_ok=True)
            (run.path / "tmp" / id / "film.mp4").write_text("")
        sweep(run, Watch(run))
        assert {folder.name for folder in (run.path / "tmp").iterdir()} == {session.id, elsewhere}


@pytest.fixture
def precious(tmp_path) -> Path:
    """Somebody else's."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    return folder / "thesis.txt"


def test_what_no_session_of_this_run_has_made_is_never_swept_away(run, precious):
    tmp, mine = run.path / "tmp", "20300101T000000-there-7-0f0f"
    tmp.mkdir()
    (tmp / "notes").mkdir()  # seen twice, it was taken for a dead session's
    (tmp / "20300101T000000-another_run-7-0f0f").mkdir()
    (tmp / attended(run, "dead", DEAD)).mkdir()
    (tmp / attended(run, mine, DEAD)).symlink_to(precious.parent)
    (tmp / attended(run, "20300101T000001-there-7-0f0f", DEAD)).write_text("a file")
    before = sorted(tmp.iterdir())
    watch = Watch(run, lease=0.0)
    for _ in range(3):
        sweep(run, watch)
    assert sorted(tmp.iterdir()) == before
    assert precious.read_text() == "years of work"


def test_nothing_is_swept_away_where_the_folder_of_temporary_files_is_a_link(run, precious):
    dead = attended(run, "20300101T000000-there-7-0f0f", DEAD)
    (precious.parent / dead).mkdir()
    (run.path / "tmp").symlink_to(precious.parent)
    sweep(run, Watch(run))
    assert (precious.parent / dead).is_dir()


def test_a_session_whose_run_directory_was_removed_says_so(run):
    with present(run) as session:
        session.require_folder()
        shutil.rmtree(run.path)
        with pytest.raises(NotReady, match=f"{run.path} is gone: it was removed or moved"):
            session.require_folder()


def test_a_session_file_that_cannot_be_read_is_named(run):
    attended(run, "broken")
    file = Path(run.path / "sessions" / "broken.json")
    file.write_text("{")
    with pytest.raises(CorruptRecords, match=str(file)):
        Watch(run).dead("broken")
    with pytest.raises(CorruptRecords, match=str(file)):
        run.run()


def test_a_session_where_nothing_can_be_written_is_refused(run):
    (run.path / "sessions").write_text("a file")
    with pytest.raises(NotReady, match=r"cannot write to .*: File exists; .*--out DIR"):
        present(run).__enter__()
