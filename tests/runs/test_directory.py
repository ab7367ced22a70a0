"""What a run directory keeps, what it makes of torn and damaged files, and which record counts."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import resource
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from lingbot_eval import files
from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, RunMismatch
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.runs.plan import plan_hash, remaining, to_lines
from lingbot_eval.runs.records import RecordFile, Records
from lingbot_eval.runs.run_json import CoordinatorFile
from lingbot_eval.types import Episode, EpisodeRecord, ImaginationError, Outcome, Provenance, Spent
from tests.experiments import experiment

EPISODES = [Episode("toy", "reach", seed, "go to the mark", index=seed) for seed in range(4)]
PLAIN = {
    "suite": {"name": "toy", "seed": 0, "episodes": 4},
    "protocol": {"name": "toy", "command_limit": 60, "warmup": [0.0, 1.0]},
    "protocol_hash": "0123",
    "facts": {},
    "regime": "none",
    "agent": {"name": "idle"},
    "checkpoint": "",
}
EXPERIMENT = experiment(**PLAIN)


def record(seed: int, outcome: Outcome = Outcome.SUCCESS, attempt: int = 1, finished: str = "") -> EpisodeRecord:
    return EpisodeRecord(EPISODES[seed], outcome, 10, 0.5, attempt=attempt, finished=finished)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    folder = RunDirectory(tmp_path / "run")
    folder.open(EXPERIMENT, EPISODES)
    return folder


def write(run: RunDirectory, name: str, records: Sequence[EpisodeRecord], rest: bytes = b"") -> Path:
    file = run.path / "records" / name
    written = RecordFile(file)
    for one in records:
        written.append(one)
    with file.open("ab") as stream:
        stream.write(rest)
    return file


def test_a_new_run_directory_holds_the_plan_and_the_experiment(run):
    assert run.plan() == EPISODES
    assert run.run().experiment == EXPERIMENT
    assert json.loads((run.path / "run.json").read_text())["experiment"] == PLAIN
    assert (run.records().all, run.records().torn) == ([], [])


RETURN = [Episode("toy", "return", seed, "go and come back", index=seed) for seed in range(4)]


def test_other_tasks_of_the_experiment_are_planned_besides_the_first_and_the_same_ones_once(run):
    for part in (RETURN, RETURN, EPISODES, EPISODES + RETURN):
        run.open(EXPERIMENT, part)
    assert run.plan() == EPISODES + RETURN
    assert len(list((run.path / "plan").iterdir())) == 2


@settings(max_examples=30)
@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), min_size=1, max_size=4))
def test_a_plan_is_the_union_of_its_parts_in_whatever_order_they_came(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("runs")
    plans = []
    for name, order in (("one", parts), ("other", parts[::-1])):
        for part in order:
            tasks = [[Episode("toy", task, seed, task, index=seed) for seed in range(4)] for task in part]
            RunDirectory(folder / name).open(EXPERIMENT, [episode for task in tasks for episode in task])
        plans.append(RunDirectory(folder / name).plan())
    assert {episode.task for episode in plans[0]} == {task for part in parts for task in part}
    assert [len({e.id for e in plan}) for plan in plans] == [len(plan) for plan in plans]
    assert {episode.id for episode in plans[0]} == {episode.id for episode in plans[1]}


def test_two_parts_that_disagree_about_a_task_are_named(run):
    other = [dataclasses.replace(EPISODES[0], instruction="go home"), *EPISODES[1:]]
    (run.path / "plan" / f"{plan_hash(other)}.jsonl").write_bytes(to_lines(other))
    with pytest.raises(CorruptRecords, match=r"two parts of .*plan disagree: .*go home.*Delete one"):
        run.plan()


@pytest.mark.parametrize("content", [b"", b"{", to_lines(EPISODES)[:-1], to_lines(EPISODES[:3])])
def test_a_part_of_the_plan_that_was_not_copied_whole_is_named(run, content):
    (part,) = (run.path / "plan").iterdir()
    part.write_bytes(content)
    with pytest.raises(CorruptRecords, match=str(part)):
        run.open(EXPERIMENT, EPISODES)


def old(path: Path) -> RunDirectory:
    """A run directory as version 1 left it."""
    path.mkdir()
    suite = {"name": "toy", "seed": 0, "episodes": 4, "plan": plan_hash(EPISODES)}
    content = {"schema": 1, "experiment": {**PLAIN, "suite": suite}, "sessions": [{"command": "run-suite toy"}]}
    (path / "run.json").write_text(json.dumps(content))
    (path / "plan.jsonl").write_bytes(to_lines(EPISODES))
    (path / "records").mkdir()
    write(RunDirectory(path), "a.jsonl", [record(0)])
    return RunDirectory(path)


def test_a_run_of_the_first_schema_is_read_gone_on_with_and_added_to(tmp_path):
    run = old(tmp_path / "old")
    before = (run.path / "run.json").read_bytes()
    assert (run.plan(), run.records().done()) == (EPISODES, {EPISODES[0].id})
    run.open(EXPERIMENT, EPISODES)
    run.open(EXPERIMENT, RETURN)
    assert run.plan() == EPISODES + RETURN
    assert run.run().coordinators == (CoordinatorFile(command="run-suite toy"),)
    assert (run.path / "run.json").read_bytes() == before
    with pytest.raises(RunMismatch, match=r"suite\.episodes: there 4, here 5"):
        run.open(experiment(**{**PLAIN, "suite": {"name": "toy", "seed": 0, "episodes": 5}}), EPISODES)


def test_a_plan_of_the_first_schema_that_was_changed_is_named(tmp_path):
    run = old(tmp_path / "old")
    (run.path / "plan.jsonl").write_bytes(to_lines(EPISODES[1:]))
    with pytest.raises(CorruptRecords, match=r"plan\.jsonl is not what was planned as"):
        run.plan()


def test_records_are_read_back_as_they_were_written(run):
    spent, error = Spent(model=1.0, simulator=2.0, waiting=0.0), ImaginationError(latent_mse=0.5, frames=3, psnr=None)
    records = [record(0), record(1, Outcome.FAILURE), dataclasses.replace(record(2, Outcome.ERROR), error="a\nb – ü")]
    records[0] = dataclasses.replace(records[0], spent=spent, imagination=error)
    write(run, "a.jsonl", records[:2])
    write(run, "b.jsonl", records[2:])
    assert (run.records().all, run.records().torn) == (records, [])


def test_a_record_of_before_there_were_seconds_and_imagination_is_read(run):
    line = json.loads(msgspec.json.encode(record(0)))
    del line["spent"], line["imagination"]
    write(run, "a.jsonl", [], json.dumps(line).encode() + b"\n")
    assert run.records().all == [record(0)]


def test_a_record_is_on_disk_when_append_returns(run):
    file = RecordFile(run.path / "records" / "a.jsonl")
    for count in (1, 2, 3):
        file.append(record(0, attempt=count))
        assert len(run.records().all) == count


def test_a_record_file_is_never_written_by_a_second_process(run):
    write(run, "a.jsonl", [record(0)])
    with pytest.raises(FileExistsError):
        RecordFile(run.path / "records" / "a.jsonl")


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_torn_last_line_is_reported_and_its_episode_is_played_again(run, cut):
    file = write(run, "a.jsonl", [record(0), record(1)])
    file.write_bytes(file.read_bytes()[:-cut])
    write(run, "b.jsonl", [record(2)])
    records = run.records()
    assert [one.episode.seed for one in records.all] == [0, 2]
    assert len(records.torn) == 1
    assert "a.jsonl: the last line" in records.torn[0]
    assert [episode.seed for episode in remaining(EPISODES, records.done())] == [1, 3]


@settings(max_examples=40)
@given(st.data())
def test_a_file_cut_anywhere_gives_its_whole_lines_and_no_error(tmp_path_factory, data):
    run = RunDirectory(tmp_path_factory.mktemp("run") / "r")
    run.open(EXPERIMENT, EPISODES)
    file = write(run, "a.jsonl", [record(0), record(1), record(2)])
    content = file.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:cut])
    records = run.records()
    assert len(records.all) == content[:cut].count(b"\n")
    assert len(records.torn) == (not content[:cut].endswith(b"\n") and cut > 0)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 400)), max_size=30))
def test_a_reader_sees_what_was_added_wherever_a_line_was_cut_when_it_looked(tmp_path_factory, pieces):
    run = RunDirectory(tmp_path_factory.mktemp("run") / "r")
    run.open(EXPERIMENT, EPISODES)
    lines = b"".join(msgspec.json.encode(record(n % 4, attempt=n % 3)) + b"\n" for n in range(1, 9))
    reader, written = run.record_reader(), dict.fromkeys("ab", 0)
    for name, size in pieces:
        with (run.path / "records" / f"{name}.jsonl").open("ab") as file:
            file.write(lines[written[name] : written[name] + size])
        written[name] += size
        assert_same(reader.read(), run.records())


def assert_same(some: Records, others: Records) -> None:
    """In whatever order they were read."""
    assert sorted(some.all, key=msgspec.json.encode) == sorted(others.all, key=msgspec.json.encode)
    assert (some.torn, some.final(), some.done()) == (others.torn, others.final(), others.done())
    for episode in EPISODES:
        assert some.final_of(episode) == others.final_of(episode)
        assert some.is_done(episode) == (episode.id in others.done())
        assert len(some.of(episode)) == len(others.of(episode))


def test_a_record_that_does_not_fit_on_the_disk_leaves_no_half_line(run):
    file, limit = run.path / "records" / "a.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    written = RecordFile(file)
    written.append(record(0))
    before = file.read_bytes()
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            written.append(record(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handled)
    assert file.read_bytes() == before
    written.append(record(2))
    assert [one.episode.seed for one in run.records().all] == [0, 2]


def test_a_half_written_file_is_no_ones(run):
    before = run.plan(), run.run()
    (run.path / "plan" / ".0123456789ab.jsonl.0f0f").write_text("{")
    (run.path / ".run.json.0f0f").write_text("{")
    assert (run.plan(), run.run(), run.strangers()) == (*before, [])


@pytest.mark.parametrize(
    "name", ["plan/plan.jsonl", "records/a.jsonl.bak", "sessions/a.yaml", "claims/0123456789abcdef", "plan/folder"]
)
def test_a_strange_file_is_named(run, name):
    file = run.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("?")
    assert run.strangers() == [f"{file} is no file of a run directory; it counts nowhere"]


@pytest.mark.parametrize(
    "damage", [b"{", b"", b"null", b"[]", b'{"episode": 3}', b"\xff\xfe", b'{"episode": "\xff"}', b"\0" * 50]
)
def test_a_damaged_line_in_the_middle_is_named_with_file_and_line_and_nothing_is_counted(run, damage):
    file = write(run, "a.jsonl", [record(0), record(1), record(2)])
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:2: "):
        run.records()


def test_a_record_with_invented_values_is_refused(run):
    write(run, "a.jsonl", [], rest=msgspec.json.encode(record(0)).replace(b'"success"', b'"great"') + b"\n")
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:1: .*great"):
        run.records()


def test_a_record_of_a_newer_version_is_refused_with_both_versions(run):
    write(run, "a.jsonl", [record(0), dataclasses.replace(record(1), schema=2)])
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:2 has schema 2; this version reads up to 1"):
        run.records()


def test_a_newer_version_is_recognised_even_where_its_record_looks_otherwise(run):
    line = msgspec.json.encode(dataclasses.replace(record(0), schema=2)).replace(b'"success"', b'"timeout"')
    write(run, "a.jsonl", [], rest=line + b"\n")
    with pytest.raises(CorruptRecords, match="schema 2"):
        run.records()


def test_a_run_of_a_newer_version_is_refused(run):
    (run.path / "run.json").write_text(json.dumps({"schema": 3, "experiment": PLAIN}))
    with pytest.raises(CorruptRecords, match=r"run\.json was .* newer version .*schema 3, .* reads up to 2"):
        run.open(EXPERIMENT, EPISODES)


DAMAGED = ["{", "[]", "3", "{}", '{"schema": "x", "experiment": {}}', '{"schema": 2, "experiment": {"suite": "toy"}}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_run_json_is_named(run, content):
    (run.path / "run.json").write_text(content)
    with pytest.raises(CorruptRecords, match=r"run\.json"):
        run.open(EXPERIMENT, EPISODES)


def test_a_folder_that_is_no_run_is_called_so(tmp_path):
    with pytest.raises(BadInput, match=r"is not a run directory: it has no run\.json"):
        RunDirectory(tmp_path).run()


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotReady, match=r"cannot write to .*file/run: .*--out DIR"):
        RunDirectory(tmp_path / "file" / "run").open(EXPERIMENT, EPISODES)


def test_a_plan_that_was_changed_is_not_taken_for_the_planned_one(run):
    (part,) = (run.path / "plan").iterdir()
    part.write_bytes(to_lines(EPISODES[:1]))
    with pytest.raises(CorruptRecords, match=rf"{part} is not what was planned as {part.stem}"):
        run.plan()


@pytest.mark.parametrize("change", [{"agent": "expert"}, {"checkpoint": "ab"}, {"protocol_hash": "4567"}])
def test_a_record_of_another_experiment_is_named_and_not_counted(run, change):
    own = Provenance("idle", "", "toy", "0123", {}, "here")
    write(run, "a.jsonl", [dataclasses.replace(record(0), provenance=own)])
    assert len(run.records().all) == 1
    write(run, "b.jsonl", [dataclasses.replace(record(1), provenance=dataclasses.replace(own, **change))])
    with pytest.raises(CorruptRecords, match=r"b\.jsonl:1 was played by .* belongs to another run directory"):
        run.records()


def test_the_same_experiment_goes_on_where_it_was(run):
    write(run, "a.jsonl", [record(0)])
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    same = replace(EXPERIMENT, protocol={**EXPERIMENT.protocol, "warmup": (0, 1)})
    RunDirectory(run.path).open(same, EPISODES)
    assert run.records().done() == {EPISODES[0].id}
    assert {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"protocol": {"name": "toy", "command_limit": 70, "warmup": [0.0, 1.0]}}, "command_limit: there 60, here 70"),
        ({"protocol": {"name": "toy", "command_limit": 60}}, r"warmup: there \[0\.0, 1\.0\], here None"),
        ({"agent": {"name": "expert"}}, "agent.name: there 'idle', here 'expert'"),
        ({"regime": "all"}, "regime: there 'none', here 'all'"),
    ],
)
def test_another_experiment_is_refused_with_what_differs_and_what_to_do(run, change, difference):
    with pytest.raises(RunMismatch, match=f"another experiment: .*{difference}.*--out DIR"):
        run.open(replace(EXPERIMENT, **change), EPISODES)


@pytest.mark.parametrize(
    ("episodes", "difference"),
    [
        (EPISODES[:3], "reach/-/3/-"),
        ([*EPISODES[:3], dataclasses.replace(EPISODES[3], seed=77)], "reach/-/77/-"),
        ([*EPISODES[:3], dataclasses.replace(EPISODES[3], instruction="go home")], "go home"),
    ],
)
def test_another_plan_is_refused_with_an_episode_that_differs(run, episodes, difference):
    with pytest.raises(RunMismatch, match=difference):
        run.open(EXPERIMENT, episodes)
    assert run.plan() == EPISODES


records = st.builds(
    record,
    st.integers(0, 3),
    st.sampled_from(Outcome),
    attempt=st.integers(1, 4),
    finished=st.integers(0, 99).map(lambda second: f"2030-01-01T00:00:00.{second:03d}+00:00"),
)
some_records = st.lists(records, max_size=12)


@given(some_records, st.randoms())
def test_the_first_record_that_is_no_error_is_final_in_whatever_order_files_are_read(given_records, random):
    shuffled = given_records[:]
    random.shuffle(shuffled)
    final = Records(shuffled).final()
    assert final == Records(given_records).final()
    for episode in EPISODES:
        mine = sorted(
            (r for r in given_records if r.episode == episode),
            key=lambda r: (r.attempt, r.finished, msgspec.json.encode(r)),
        )
        good = [r for r in mine if r.outcome is not Outcome.ERROR]
        assert final.get(episode.id) == (good[0] if good else mine[-1] if mine else None)


@given(some_records)
def test_an_episode_is_done_once_it_has_a_record_that_is_no_error(given_records):
    known = Records(given_records)
    good = {r.episode.id for r in given_records if r.outcome is not Outcome.ERROR}
    assert known.done() == good
    assert {episode.id for episode in remaining(EPISODES, known.done())} == {e.id for e in EPISODES} - good


one_result = st.lists(records, max_size=12, unique_by=lambda r: (r.episode.id, r.attempt, r.outcome is Outcome.ERROR))
"""As coordinators write them: at most one result of an attempt, and at most one that says how its worker died."""

absurd = st.sampled_from(["", "1970-01-01T00:00:00.000+00:00", "2030-01-01T00:00:00.000+00:00", "9999", "?"])


@given(one_result, st.lists(absurd, min_size=12, max_size=12))
def test_which_record_counts_does_not_depend_on_what_their_clocks_said(given_records, times):
    told = [dataclasses.replace(record, finished=time) for record, time in zip(given_records, times, strict=False)]
    assert counted(told) == counted(given_records)


def counted(some: Sequence[EpisodeRecord]) -> dict[str, tuple[int, Outcome]]:
    return {id: (record.attempt, record.outcome) for id, record in Records(some).final().items()}


def test_a_failure_made_a_success_is_refused_with_file_and_line(run):
    file = write(run, "a.jsonl", [record(0), record(1, Outcome.FAILURE), record(2)])
    file.write_bytes(file.read_bytes().replace(b"failure", b"success"))  # sed -i s/failure/success/
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:1: its checksum is"):
        run.records()


@settings(max_examples=150)
@given(st.data())
def test_no_bit_of_a_run_directory_changes_what_counts_without_a_word(tmp_path_factory, data):
    run = RunDirectory(tmp_path_factory.mktemp("run") / "r")
    run.open(EXPERIMENT, EPISODES)
    write(run, "a.jsonl", [record(0), record(1, Outcome.FAILURE)])
    before = run.plan(), run.records().final(), run.run().experiment
    file = data.draw(st.sampled_from(sorted(file for file in run.path.rglob("*") if file.is_file())))
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    refused = ""
    try:
        now, said = (run.plan(), run.records().final(), run.run().experiment), run.records()
    except CorruptRecords as error:
        refused = str(error)
    assert str(run.path) in refused if refused else now == before or said.torn or said.doubts


IMPOSSIBLE = [
    {"progress": 1e9, "max_progress": 1.0},
    {"progress": -1.0, "max_progress": 1.0},
    {"commands": -3},
    {"seconds": -1.0},
    {"out_of_bounds": -1},
]


@pytest.mark.parametrize("values", IMPOSSIBLE)
def test_a_record_that_cannot_be_is_refused_with_file_and_line(run, values):
    write(run, "a.jsonl", [record(0), dataclasses.replace(record(1), **values)])
    with pytest.raises(CorruptRecords, match=r"a\.jsonl:2 has .*, which cannot be"):
        run.records()


def test_a_success_that_its_progress_contradicts_is_named_and_counted(run):
    half = dataclasses.replace(record(1), progress=1.0, max_progress=2.0)
    write(run, "a.jsonl", [record(0), half, dataclasses.replace(half, episode=EPISODES[2])])
    records = run.records()
    assert len(records.final()) == 3
    (doubt,) = records.doubts
    assert "a.jsonl:2 is counted as a success with progress 1.0 of 2.0; and 1 more contradict themselves" in doubt


def test_an_honest_run_is_doubted_in_nothing(run):
    whole = dataclasses.replace(record(1), progress=2.0, max_progress=2.0)
    failed = dataclasses.replace(record(2, Outcome.FAILURE), progress=2.0, max_progress=2.0)
    write(run, "a.jsonl", [record(0), whole, failed, dataclasses.replace(record(3, Outcome.ERROR), error="it died")])
    assert run.records().doubts == []


@pytest.mark.parametrize("content", [to_lines([*EPISODES, EPISODES[3]]), to_lines([EPISODES[0], *EPISODES]), b""])
def test_a_plan_under_its_own_hash_that_repeats_an_episode_or_has_none_is_refused(run, content):
    (part,) = (run.path / "plan").iterdir()
    part.unlink()
    part = part.with_name(f"{hashlib.sha256(content).hexdigest()[:12]}.jsonl")
    part.write_bytes(content)
    with pytest.raises(CorruptRecords, match=rf"{part}.*(once more: it would count twice|plans nothing)"):
        run.plan()


@pytest.mark.parametrize("folder", ["plan", "records", "sessions", "claims", "."])
@pytest.mark.parametrize("name", ["._a.jsonl", "._a.json", ".DS_Store", ".nfs0000000000000001", ".a.jsonl.0f0f0f0f"])
def test_hidden_files_of_other_systems_are_read_past(run, folder, name):
    write(run, "a.jsonl", [record(0)])
    before = run.plan(), run.records().all, run.run()
    (run.path / folder).mkdir(exist_ok=True)
    (run.path / folder / name).write_bytes(b"\xff\0 no JSON\n")
    assert (run.plan(), run.records().all, run.run(), run.strangers()) == (*before, [])


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ["run.json", "plan", "records", "sessions", "plan/part", "records/a.jsonl"])
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, os.mkfifo, lambda file: file.symlink_to("nowhere")])
def test_what_lies_in_the_place_of_a_file_or_folder_is_named_and_not_waited_for(run, name, make):
    write(run, "a.jsonl", [record(0)])
    place = run.path / name
    if name == "plan/part":
        (place,) = (run.path / "plan").iterdir()
    before = run.plan(), run.records().final(), run.run().experiment
    shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    make(place)
    with contextlib.suppress(CorruptRecords):
        known = run.records()
        assert (run.plan(), known.final(), run.run().experiment) == before or name in ("records", "records/a.jsonl")
        assert place.is_dir() or name == "records/a.jsonl"  # an empty one: nothing is there to be read
        return
    with pytest.raises(CorruptRecords, match=str(run.path)):
        run.plan(), run.records(), run.run()


def test_a_run_that_lost_its_records_is_said_to(run):
    (run.path / "records").rmdir()
    assert run.strangers() == [f"{run.path} has no records/: it was not copied whole"]


def test_records_that_are_removed_or_cut_while_they_are_read_are_said_to_be(run):
    file, reader = write(run, "a.jsonl", [record(0), record(1)]), run.record_reader()
    reader.read()
    os.truncate(file, 10)
    with pytest.raises(CorruptRecords, match="it was cut, or replaced"):
        reader.read()
    file.unlink()
    with pytest.raises(CorruptRecords, match=f"{file} is gone: it was removed or moved while it was read"):
        reader.read()
    shutil.rmtree(run.path)
    with pytest.raises(CorruptRecords, match=f"{run.path} is gone: it was removed or moved while it was read"):
        reader.read()


def test_a_run_json_that_was_changed_is_refused_with_what_to_do_and_then_read_and_said_to_have_no_checksum(run):
    write(run, "a.jsonl", [record(0)])
    file = run.path / "run.json"
    content = json.loads(file.read_text())
    content["experiment"]["regime"] = "all of it"
    file.write_text(json.dumps(content))
    with pytest.raises(CorruptRecords, match=r'run\.json was changed: .* take out its "checksum"'):
        run.run()
    del content["checksum"]
    file.write_text(json.dumps(content))
    assert run.run().experiment.regime == "all of it"
    assert "no checksums in run.json" in run.records().doubts[0]


def test_a_run_json_that_is_only_spaced_otherwise_is_the_same(run):
    file = run.path / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()), sort_keys=True))
    assert run.run().experiment == EXPERIMENT


def test_a_run_directory_that_is_a_link_and_folders_of_it_that_are_play_on(run, tmp_path):
    (tmp_path / "disk").mkdir()
    (run.path / "records").rmdir()
    (run.path / "records").symlink_to(tmp_path / "disk")
    (tmp_path / "link").symlink_to(run.path)
    linked = RunDirectory(tmp_path / "link")
    linked.open(EXPERIMENT, EPISODES)
    write(linked, "a.jsonl", [record(0)])
    assert linked.records().done() == {EPISODES[0].id}


def test_a_record_file_that_a_listing_misses_is_read_all_the_same(run, monkeypatch):
    write(run, "a.jsonl", [record(0)])
    file, reader, listdir = run.path / "records" / "b.jsonl", run.record_reader(), os.listdir
    theirs = RecordFile(file)
    theirs.append(record(1))
    reader.read()
    theirs.append(record(2))
    with monkeypatch.context() as once:  # as a file server does that is asked while the folder changes
        once.setattr(os, "listdir", lambda folder: [name for name in listdir(folder) if name != "b.jsonl"])
        assert len(reader.read()) == 3
    file.unlink()
    with pytest.raises(CorruptRecords, match=rf"{file} is gone"):
        reader.read()


def test_what_is_said_of_a_bad_line_holds_for_who_has_counted_those_before_it(run):
    file = write(run, "a.jsonl", [record(0)], b'{"episode":7}\n')
    reader = run.record_reader()
    with pytest.raises(CorruptRecords, match=rf"{file}:2: .*; restore the line, or cut the file off before it") as said:
        reader.read()
    assert "nothing was counted" not in str(said.value)


def test_a_plan_is_read_once_when_a_run_is_opened_again(run, monkeypatch):
    opened, seen = files.opened, list[str]()
    monkeypatch.setattr(files, "opened", lambda file: seen.append(file.parent.name) or opened(file))
    run.open(EXPERIMENT, EPISODES)
    assert seen.count("plan") == 1


def test_doubts_are_put_together_for_who_asks_and_not_at_each_reading(run):
    assert Records(doubts=lambda: pytest.fail("nobody asked")).all == []
    reader = run.record_reader()
    for number, name in enumerate("ab", start=1):
        (run.path / "records" / f"{name}.jsonl").write_bytes(msgspec.json.encode(record(number)) + b"\n")
        known = reader.read()
        assert f"{number} of records/" in known.doubts[0]


LATER = {**PLAIN, "language": "en", "more": 1, "suite": {**PLAIN["suite"], "split": "seen"}}
"""As a version after this one may write it."""


def test_what_a_later_version_says_of_an_experiment_is_kept_and_makes_it_another_one(run):
    (run.path / "run.json").write_text(json.dumps({"schema": 2, "experiment": LATER, "remark": "by a later version"}))
    later = run.run().experiment
    assert later.as_dict() == LATER
    assert list(later.as_dict()) == [*(name for name in EXPERIMENT.as_dict()), "language", "more"]
    with pytest.raises(
        RunMismatch, match=r"language: there 'en', here None; more: there 1.*suite\.split: there 'seen'"
    ):
        run.open(EXPERIMENT, EPISODES)
    run.open(later, EPISODES)
    assert later.digest != EXPERIMENT.digest


def test_an_experiment_whose_rubric_lacks_what_pages_show_is_refused_with_its_place(run):
    rubric = {"task": "fold", "title": "Fold", "success": "folded", "steps": [{"name": "one"}]}
    content = {"schema": 2, "experiment": {**PLAIN, "protocol": {"name": "trials", "rubrics": [rubric]}}}
    (run.path / "run.json").write_text(json.dumps(content))
    words = r"run\.json is not what this package writes: .*points - at \$\.experiment\.protocol\.rubrics\[0\]\.steps"
    with pytest.raises(CorruptRecords, match=words):
        run.run()
