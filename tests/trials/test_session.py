"""A session at the robot: plan, what is said, records, resume, corrections."""

from __future__ import annotations

import resource
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from lingbot_eval.cli.report import write_report
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, RunMismatch, UnknownName
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.rubric import shipped
from lingbot_eval.types import Outcome, Trial


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def planned(**changes) -> TrialPlan:
    plan = TrialPlan((load_rubric("fold_pants"),), ("ours", "theirs"), 3, "alternating", 5, "", "unstated")
    return msgspec.structs.replace(plan, **changes)


def begun(folder: Path, **changes) -> TrialSession:
    return TrialSession(folder, planned(**changes), operator="op")


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_rubric_reads(name):
    assert load_rubric(name).task == name


def test_published_maxima_and_gaps():
    maxima = {name: load_rubric(name).max_progress for name in shipped()}
    assert maxima == {
        "make_breakfast": 10,
        "pick_screws": 5,
        "insert_tube": 6,
        "unpack_delivery": 0,
        "fold_clothes": 0,
        "fold_pants": 3,
        "gm100_replace_paper_roll": 100,
    }


def test_a_rubric_of_a_file_is_checked_with_the_place_of_what_is_wrong(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("task: mine\nsteps: [{name: grasp, points: -1}]\n")
    with pytest.raises(BadInput, match=r"mine\.yaml: .*"):
        load_rubric(str(file))
    with pytest.raises(UnknownName, match="did you mean 'fold_pants'"):
        load_rubric("fold_pant")


def test_methods_alternate_or_are_drawn_for_every_setup_and_each_comes_once_per_setup():
    alternating = planned().slots()
    assert [slot.method for slot in alternating] == ["ours", "theirs"] * 3
    blinded = planned(order="blinded", trials=50).slots()
    firsts = [slot.method for slot in blinded[::2]]
    assert blinded == planned(order="blinded", trials=50).slots()
    assert 15 < firsts.count("ours") < 35
    for k in range(50):
        assert {slot.method for slot in blinded[2 * k : 2 * k + 2]} == {"ours", "theirs"}
        assert blinded[2 * k].episode == blinded[2 * k + 1].episode


def test_a_trial_is_an_ordinary_record_that_report_reads(tmp_path, capsys):
    clock = Clock()
    with TrialSession(tmp_path, planned(), operator="op", clock=clock) as session:
        session.step_reached(1)
        session.step_reached(2)
        session.intervention()
        assert session.undo()
        clock.seconds += 12.5
        record = session.success()
        assert (record.progress, record.max_progress, record.seconds) == (3.0, 3.0, 12.5)
        session.step_reached(1)
        session.retry()
        session.note("slipped")
        session.failure("dropped")
        run = RunDirectory(session.run_folder("theirs"))
    (theirs,) = write_report(run).values()
    assert theirs.trial == Trial("op", (1.0, 0.0, 0.0), "dropped", retries=1, note="slipped")
    assert theirs.outcome is Outcome.FAILURE
    assert "0/1 of 3" in capsys.readouterr().out


def test_a_killed_session_goes_on_within_the_trial_even_after_a_torn_line(tmp_path):
    with begun(tmp_path) as session:
        session.failure("stuck")
        session.step_reached(1)
        session.intervention()
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"trial":2,"att')
    with TrialSession(tmp_path) as session:
        assert session.number == 2
        assert session.started
        assert session.state.points == (1.0, 0.0, 0.0)
        assert session.state.interventions == 1
        assert journal.read_bytes() == whole
        session.step_reached(2)
    with TrialSession(tmp_path) as session:
        assert session.state.points == (1.0, 1.0, 0.0)


def test_a_full_disk_is_said_and_the_journal_stays_whole(tmp_path):
    with begun(tmp_path) as session:
        session.step_reached(1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "journal.jsonl").stat().st_size + 20, hard))
        try:
            with pytest.raises(NotReady, match=r"cannot write to .*journal\.jsonl"):
                session.note("no room for this")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert session.state.notes == ()
        session.note("room again")
    with TrialSession(tmp_path) as session:
        assert session.state.notes == ("room again",)


def test_nothing_is_said_outside_of_the_context(tmp_path):
    with begun(tmp_path) as session:
        session.start()
    with pytest.raises(BadInput, match="open the trial session before scoring"):
        session.retry()


def test_a_void_trial_is_not_counted_and_comes_again(tmp_path):
    with begun(tmp_path) as session:
        session.step_reached(1)
        session.void("a cable came off")
        assert session.number == 1
        assert not session.started
        session.success()
        assert session.number == 2
        first = session.record(1)
        assert first is not None
        assert (first.attempt, first.outcome) == (2, Outcome.SUCCESS)


def test_a_correction_is_appended_with_who_and_why_and_counts(tmp_path):
    with begun(tmp_path) as session:
        session.success()
        session.step_reached(1)
        session.correct(
            1, who="op", why="the leg was not folded", outcome=Outcome.FAILURE, points=[1, 1, 0], reason="misplaced"
        )
        assert session.state.points == (1.0, 0.0, 0.0)
        session.correct(1, who="op", why="looked again", points=[1, 0, 0])
        with pytest.raises(BadInput, match="who made it and why"):
            session.correct(1, who="", why="because")
        with pytest.raises(BadInput, match="no record"):
            session.correct(2, who="op", why="because")
        records = RunDirectory(session.run_folder("ours")).records()
    (final,) = records.final().values()
    assert (final.outcome, final.progress, len(records.all)) == (Outcome.FAILURE, 1.0, 3)
    assert final.correction is not None
    assert final.correction.why == "looked again"


def test_a_clock_that_was_set_back_does_not_put_a_correction_before_what_it_corrects(tmp_path, monkeypatch):
    for year, points in ((2031, None), (2030, [1, 0, 0]), (2029, [1, 1, 0])):

        class Clock(datetime):
            @classmethod
            def now(cls, zone=None, year=year):
                return datetime(year, 1, 1, tzinfo=zone)

        monkeypatch.setattr("lingbot_eval.trials.session.datetime", Clock)
        with begun(tmp_path) as session:
            if points is None:
                session.success()
            else:
                session.correct(1, who="op", why="looked again", outcome=Outcome.FAILURE, points=points, reason="other")
    with begun(tmp_path) as session:
        assert session.record(1).trial.points == (1, 1, 0)


def test_a_correction_to_void_brings_the_trial_back_and_keeps_what_was_said_of_the_next(tmp_path):
    with begun(tmp_path) as session:
        session.success()
        session.step_reached(2)
        session.correct(1, who="op", why="wrong policy was running", outcome=Outcome.ERROR, reason="wrong policy")
        assert session.number == 1
        assert not session.started
        session.success()
        assert session.number == 2
        assert session.state.points == (0.0, 1.0, 0.0)


def test_what_the_rubric_does_not_allow_is_refused_and_nothing_is_lost(tmp_path):
    clock = Clock()
    rubric = msgspec.structs.replace(load_rubric("gm100_replace_paper_roll"), retries=2)
    plan = planned(rubrics=(rubric,), platform="AgileX")
    with TrialSession(tmp_path, plan, clock=clock) as session:
        session.retry()
        session.retry()
        for refused, words in (
            (session.retry, "allows 2 retries"),
            (lambda: session.step_reached(5), "no step 5"),
            (lambda: session.step_reached(1, 0.5), "it gives 0, 22"),
            (lambda: session.failure("bad luck"), "unknown reason"),
            (lambda: session.void(" "), "say why the trial is void"),
            (lambda: session.attach(tmp_path / "none.mp4"), "no file"),
        ):
            with pytest.raises(BadInput, match=words):
                refused()
        clock.seconds += 181
        with pytest.raises(BadInput, match="over gm100_replace_paper_roll's limit of 180 s"):
            session.success()
        clock.seconds -= 100
        session.intervention()
        with pytest.raises(BadInput, match="a hand helped"):
            session.success()
        assert session.number == 1
        session.failure("time limit")


def test_half_points_where_the_rubric_has_them(tmp_path):
    with begun(tmp_path, rubrics=(load_rubric("pick_screws"),)) as session:
        session.step_reached(1, 0.5)
        assert session.failure("dropped").progress == 0.5


def test_a_task_without_a_known_maximum_has_no_progress(tmp_path):
    with begun(tmp_path, rubrics=(load_rubric("fold_clothes"),)) as session:
        with pytest.raises(BadInput, match="no maximum is known"):
            session.step_reached(1)
        assert session.success().max_progress == 0


def test_another_plan_another_writer_and_a_foreign_platform_are_refused(tmp_path):
    with begun(tmp_path):
        with pytest.raises(NotReady, match="another process"), begun(tmp_path):
            pass
        with pytest.raises(RunMismatch, match="trials: there 3, here 4"):
            begun(tmp_path, trials=4)
    with pytest.raises(UnknownName, match="platform of gm100_replace_paper_roll"):
        planned(rubrics=(load_rubric("gm100_replace_paper_roll"),), platform="a crane")
    with pytest.raises(BadInput, match="holds no trial session"):
        TrialSession(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="every method must be named once"):
        planned(methods=("a b", "a_b"))


def test_videos_are_kept_by_path_and_linked_and_the_next_method_can_be_asked_from_outside(tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"")
    with begun(tmp_path / "session") as session:
        assert TrialSession(tmp_path / "session").next_method() == "ours"
        session.attach(film)
        record = session.success()
        assert record.trial is not None
        assert record.trial.videos == (str(film),)
        link = session.run_folder("ours") / "videos" / "fold_pants" / "5000-success.mp4"
        assert link.resolve() == film
        assert TrialSession(tmp_path / "session").next_method() == "theirs"


def test_the_platform_and_the_rubric_are_in_the_protocol_hash():
    def hash_of(plan: TrialPlan) -> str:
        return plan.experiment("ours").protocol_hash

    style = planned(rubrics=(load_rubric("gm100_replace_paper_roll"),), platform="AgileX")
    other = msgspec.structs.replace(style, platform="Agibot G1")
    assert len({hash_of(planned()), hash_of(style), hash_of(other), hash_of(planned(order="blinded"))}) == 4
    assert hash_of(planned(trials=9, seed=8)) == hash_of(planned())


@pytest.mark.parametrize("seconds", [-1.0, 1795940000.0, float("nan"), float("inf")])
def test_a_trial_that_nobody_could_read_again_is_not_written(tmp_path, seconds):
    with begun(tmp_path) as session:
        with pytest.raises(BadInput, match="seconds"):
            session.enter(1, Outcome.FAILURE, seconds, Trial("op", (1.0, 0.0, 0.0)), "dropped")
        record = session.enter(1, Outcome.FAILURE, 1.0, Trial("op", (1.0, 0.0, 0.0)), "dropped")
        with pytest.raises(BadInput, match="this cannot be recorded: -3 commands"):
            session.write(1, replace(record, commands=-3))
        with pytest.raises(BadInput, match="this cannot be recorded: 0 interventions and -1 retries"):
            session.enter(1, Outcome.FAILURE, 1.0, Trial("op", (1.0, 0.0, 0.0), retries=-1), "dropped")
        session.read()
        assert session.done == 0


def test_a_date_that_version_0_1_0_took_for_seconds_is_read_and_can_be_corrected(tmp_path):
    with begun(tmp_path) as session:
        record = session.failure("dropped")
    (file,) = (session.run_folder("ours") / "records").iterdir()
    file.write_bytes(msgspec.json.encode(replace(record, seconds=1795940000.0)) + b"\n")
    with TrialSession(tmp_path) as session:
        assert session.record(1).seconds == 1795940000.0
        session.correct(1, who="me", why="a date, not seconds", outcome=Outcome.ERROR, reason="not timed")
        assert session.number == 1


def test_a_full_disk_is_said_when_a_trial_ends_and_the_trial_goes_on(tmp_path):
    with begun(tmp_path) as session:
        session.step_reached(1)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            with pytest.raises(NotReady, match=r"cannot write to .*ours: .*not recorded"):
                session.failure("dropped")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (session.done, session.state.points) == (0, (1.0, 0.0, 0.0))
        session.failure("dropped")
    with TrialSession(tmp_path) as session:
        assert session.done == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind": "undo"}, "undo, with nothing before it"),
        ({"kind": "step", "step": 99, "points": 1.0}, "has no step 99"),
        ({"kind": "step", "step": 0, "points": 1.0}, "has no step 0"),
        ({"kind": "step", "step": -1, "points": 1.0}, "has no step -1"),
        ({"kind": "step", "step": 1, "points": 7.0}, "7 points for step 1"),
        ({"kind": "note", "at": -1e308}, "at -1e[+]308 seconds"),
        ({"kind": "note", "at": 1e300}, "at 1e[+]300 seconds"),
        ({"kind": "dance"}, "kind"),
    ],
)
def test_a_journal_of_what_nobody_can_have_said_is_refused_with_its_line(tmp_path, said, words):
    begun(tmp_path).__enter__().__exit__(None, None, None)
    start = b'{"trial":1,"attempt":1,"event":{"kind":"start","at":0.0}}\n'
    line = {"trial": 1, "attempt": 1, "event": {"at": 0.5, **said}}
    (tmp_path / "journal.jsonl").write_bytes(start + msgspec.json.encode(line) + b"\n")
    with pytest.raises(CorruptRecords, match=rf"journal\.jsonl:2.*{words}.*restore the line"), TrialSession(tmp_path):
        pass


@pytest.mark.parametrize("trial", [0, 7])
def test_a_journal_of_a_trial_that_is_not_planned_is_refused(tmp_path, trial):
    begun(tmp_path).__enter__().__exit__(None, None, None)
    line = {"trial": trial, "attempt": 1, "event": {"kind": "start", "at": 0.0}}
    (tmp_path / "journal.jsonl").write_bytes(msgspec.json.encode(line) + b"\n")
    with pytest.raises(CorruptRecords, match=rf"journal\.jsonl:1.*trial {trial}; the plan has 1\.\.6"):
        TrialSession(tmp_path).__enter__()
