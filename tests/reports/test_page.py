"""The page of a run: what is in the file. What a browser makes of it is in test_page_in_browser.py."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.errors import BadInput
from lingbot_eval.reports import page
from lingbot_eval.reports.stats import wilson
from lingbot_eval.reports.stats.intervals import Count, stratified
from lingbot_eval.runs import contents
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Spent
from tests.reports.folders import add, directory, film, many

HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><!-- {{SCRIPT}}"
)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def data(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_a_run_ends_with_a_page_that_shows_every_episode(tmp_path):
    assert run_suite(["toy", "--episodes", "2", "--video", "on", "--out", str(tmp_path / "run")]) == 0
    shown = data((tmp_path / "run" / "report" / "index.html").read_text())
    assert [(line["task"], line["successes"]) for line in shown["tasks"]] == [("reach", 2), ("return", 2), ("", 4)]
    assert len(shown["episodes"]) == 4
    assert all((tmp_path / "run" / "report" / episode["video"]).is_file() for episode in shown["episodes"])


def test_a_line_has_the_rate_its_interval_and_how_soon_successes_came(tmp_path):
    plan, records = many(1, 10)
    line = page.read(directory(tmp_path, plan, records)).tasks[0]
    assert (line.successes, line.trials, line.planned, line.errors) == (8, 9, 10, 1)
    assert line.interval == pytest.approx(wilson(8, 9))
    assert line.commands == sum(10 + seed for seed in range(2, 10)) / 8


def test_a_suite_has_a_stratified_interval_and_with_enough_tasks_one_on_new_tasks(tmp_path):
    total = page.read(directory(tmp_path / "few", *many(4, 10))).tasks[-1]
    assert (total.task, total.interval) == ("", stratified([Count(8, 9)] * 4))
    assert total.interval_on_new_tasks is None
    assert page.read(directory(tmp_path / "enough", *many(5, 10))).tasks[-1].interval_on_new_tasks is not None


def test_few_trials_are_pointed_out_with_an_interval(tmp_path):
    said = page.read(directory(tmp_path / "few", *many(1, 20))).precision
    assert "16 of 18 (task_00) is what true rates anywhere from 67 to 97 % give" in said
    assert page.read(directory(tmp_path / "many", *many(1, 100))).precision == ""


def test_what_a_person_noted_and_corrected_reaches_the_page(tmp_path):
    film = tmp_path / "trial.mp4"
    film.write_bytes(b"")
    plan = TrialPlan((load_rubric("fold_pants"),), ("a",), 2, "alternating", 7, "", "unstated")
    with TrialSession(tmp_path / "session", plan, operator="me") as session:
        session.void("a cable came off")
        session.step_reached(2)
        session.note("slipped")
        session.attach(film)
        session.failure("dropped")
        session.correct(1, who="you", why="seen again", points=(1, 1, 0))
        shown = page.read(RunDirectory(session.run_folder("a")))
    line = shown.episodes[0]
    assert (line.outcome, line.reason, line.note, line.operator) == ("failure", "dropped", "slipped", "me")
    assert line.steps == "step 1: 1 of 1, step 2: 1 of 1, step 3: 0 of 1"
    assert line.correction == "you: seen again"
    assert line.before == ["attempt 1: error, 0 of 3, a cable came off", "attempt 2: failure, 1 of 3, dropped"]
    assert (line.files, line.video) == ([str(film)], "../videos/fold_pants/7000-failure.mp4")
    assert "Fold Pants: step 1 (1)" in dict(shown.facts)["Rubrics"]


def test_a_run_that_goes_on_shows_what_was_not_played_and_what_is_torn(tmp_path):
    plan, records = many(1, 10)
    folder = directory(tmp_path, plan, records[:3])
    with (tmp_path / "records" / "first.jsonl").open("ab") as file:
        file.write(b'{"episode":')
    shown = page.read(folder)
    assert [episode.outcome for episode in shown.episodes] == ["failure", "error", "success", *[""] * 7]
    assert "torn" in shown.warnings[0]


def test_records_outside_the_plan_are_warned_about(tmp_path):
    plan, records = many(1, 10)
    stranger = EpisodeRecord(Episode("toy", "elsewhere", 1, ""), Outcome.SUCCESS, 1, 1.0)
    shown = page.read(directory(tmp_path, plan, [*records, stranger]))
    assert shown.warnings == ["1 episodes in records/ are not in the plan and count nowhere"]


def test_a_task_that_the_training_data_lacks_is_marked_and_said_above(tmp_path):
    plan, records = many(2, 2)
    known = {plan[0].suite: {plan[0].task: {"": 3}}}
    shown = page.read(directory(tmp_path, plan, records, trained={"regime": "toys", "tasks": known}))
    lacking = next(episode.task for episode in plan if episode.task != plan[0].task)
    assert [line.task for line in shown.tasks if line.unseen] == [lacking]
    assert f"† The training data does not contain {lacking}." in shown.warnings


def test_the_version_changes_with_the_records(tmp_path):
    plan, records = many(1, 10)
    folder = directory(tmp_path, plan, records[:3])
    before = contents.version(folder)
    assert page.read(folder).version == contents.version(folder) == before
    add(folder, "second", records[3:4])
    assert contents.version(folder) != before


def test_timings_and_videos_reach_the_page(tmp_path):
    episode = Episode("toy", "reach", 7, "Go.", initial_state=3)
    record = EpisodeRecord(episode, Outcome.FAILURE, 5, 2.5, spent=Spent(model=1.0, simulator=1.25, waiting=0.25))
    folder = directory(tmp_path, [episode], [record])
    film(folder, "reach/7-state03-failure.mp4")
    line = page.read(folder).episodes[0]
    assert (line.model, line.simulator, line.waiting, line.state) == (1.0, 1.25, 0.25, 3)
    assert line.video == "../videos/reach/7-state03-failure.mp4"


def test_the_file_loads_nothing_and_runs_nothing_but_its_own_script(tmp_path):
    plan, records = many(1, 10)
    elements = Elements(page.html(page.read(directory(tmp_path, plan, records)))).found
    links = [attributes[name] for _, attributes in elements for name in ("src", "href") if name in attributes]
    assert links == ["data:,"]
    (policy,) = (attributes["content"] for _, attributes in elements if "http-equiv" in attributes)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_page_of_many_episodes_keeps_them_in_parts_beside_it(tmp_path):
    plan, records = many(3, 1000)
    folder = directory(tmp_path, plan, records)
    file = page.write(folder)
    shown = data(file.read_text())
    assert shown["episodes"] == []
    assert re.fullmatch(r"parts/[0-9a-f]+-[0-9a-f]+/", shown["parts"])
    assert file.stat().st_size < 100_000
    read = [part(file.parent / shown["parts"] / name) for name in ("0.js", "1.js")]
    assert {version for version, _ in read} == {shown["version"]}
    listed = [line for _, lines in read for line in lines]
    ranks = [page.RANKS.index(line["outcome"]) for line in listed]
    assert ranks == sorted(ranks)
    assert [line["id"] for line in listed if line["outcome"] == "error"] == [e.id for e in plan if e.seed % 10 == 1]
    assert sorted(line["id"] for line in listed) == sorted(episode.id for episode in plan)
    assert [group["counts"] for group in shown["groups"]] == [[100, 100, 800, 0]] * 3


def part(file: Path) -> tuple[str, list[dict]]:
    """Version and lines of a part's file."""
    version, lines = re.fullmatch(r'part\("(\w+)", \d+, (.*)\);\n', file.read_text(), re.DOTALL).groups()
    return version, json.loads(lines)


def test_a_page_in_parts_allows_its_own_script_to_load_them_and_nothing_else(tmp_path):
    text = page.write(directory(tmp_path, *many(3, 1000))).read_text()
    (policy,) = (attributes["content"] for _, attributes in Elements(text).found if "http-equiv" in attributes)
    scripts = next(rule.split() for rule in policy.split("; ") if rule.startswith("script-src"))
    assert [source[:8] for source in scripts[1:]] == ["'sha256-", "'strict-"]
    small = page.html(page.read(directory(tmp_path / "small", *many(1, 10))))
    assert "strict-dynamic" not in next(a["content"] for _, a in Elements(small).found if "http-equiv" in a)


def test_nothing_that_a_run_says_leaves_the_data_of_a_part(tmp_path):
    plan = [Episode("toy", HOSTILE, seed, HOSTILE) for seed in range(2001)]
    page.write(directory(tmp_path, plan, [EpisodeRecord(plan[0], Outcome.ERROR, 0, 0.0, error=HOSTILE)]))
    (first,) = tmp_path.glob("report/parts/*/0.js")
    assert "<" not in first.read_text()
    assert part(first)[1][0]["error"] == HOSTILE


def whole(file: Path) -> bool:
    """Whether all parts that a page names are there, and no others."""
    shown = data(file.read_text())
    folder = file.parent / shown["parts"]
    versions = [part(folder / name)[0] for name in ("0.js", "1.js")]
    return versions == [shown["version"]] * 2 and list(folder.parent.iterdir()) == [folder]


class Killed(BaseException):
    pass


def test_a_writer_that_is_killed_leaves_the_page_that_was(tmp_path):
    plan, records = many(3, 1000)
    folder = directory(tmp_path, plan, records[:-1])
    file = page.write(folder)
    add(folder, "second", records[-1:])
    book = page.Book(contents.read(folder))
    made = iter([book.part(0)])
    book.part = lambda number: next(made, None) or _die()
    with pytest.raises(Killed):
        book.write(file.parent)
    shown = data(file.read_text())
    assert {part(file.parent / shown["parts"] / name)[0] for name in ("0.js", "1.js")} == {shown["version"]}
    (left,) = (each for each in (file.parent / "parts").iterdir() if each.name != Path(shown["parts"]).name)
    page.write(folder)
    assert left.exists()  # it could be another writer's, at work
    os.utime(left, (0, 0))
    page.write(folder)
    assert whole(file)


def _die() -> str:
    raise Killed


def test_of_two_that_write_a_page_at_once_one_has_written_it(tmp_path):
    plan, records = many(3, 1000)
    folder = directory(tmp_path, plan, records[:-1])
    first = page.Book(contents.read(folder))
    add(folder, "second", records[-1:])
    second = page.Book(contents.read(folder))
    file, part_of = tmp_path / "report" / "index.html", first.part

    def slowly(number: int) -> str:
        if number == 1:
            second.write(file.parent)
            assert data(file.read_text())["version"] == second.page.version
        return part_of(number)

    first.part = slowly
    first.write(file.parent)
    assert data(file.read_text())["version"] == first.page.version
    assert whole(file)


def test_a_page_that_fits_into_one_file_again_leaves_no_parts(tmp_path):
    file = page.write(directory(tmp_path / "many", *many(3, 1000)))
    assert whole(file)
    page.Book(contents.read(directory(tmp_path / "few", *many(1, 10)))).write(file.parent)
    assert sorted(each.name for each in file.parent.iterdir()) == ["index.html"]


def test_what_else_lies_among_the_parts_stays(tmp_path):
    folder = directory(tmp_path, *many(3, 1000))
    file = page.write(folder)
    (file.parent / "parts" / "mine").mkdir()
    os.utime(file.parent / "parts" / "mine", (0, 0))
    page.write(folder)
    assert len(list((file.parent / "parts").iterdir())) == 2


def test_a_folder_whose_name_is_no_text_has_a_page(tmp_path):
    folder = directory(tmp_path / os.fsdecode(b"caf\xe9"), *many(1, 10))
    shown = data(page.write(folder).read_text())
    assert shown["title"] == "caf\\udce9"


def test_nothing_that_a_run_says_becomes_markup(tmp_path):
    episode = Episode("toy", HOSTILE, 0, HOSTILE)
    record = EpisodeRecord(episode, Outcome.ERROR, 0, 0.0, error=HOSTILE)
    text = page.html(page.read(directory(tmp_path / HOSTILE.replace("/", "|"), [episode], [record], regime=HOSTILE)))
    assert [tag for tag, _ in Elements(text).found].count("script") == 2
    assert data(text)["episodes"][0]["error"] == HOSTILE


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BadInput, match="is not a run directory"):
        page.write(RunDirectory(tmp_path))
