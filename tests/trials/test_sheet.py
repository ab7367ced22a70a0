"""CSV import: all or nothing, and every bad row told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingbot_eval.errors import BadInput
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.trials.sheet import import_csv
from lingbot_eval.types import Outcome

HEAD = "task,method,setup,outcome,points,seconds,reason,interventions,note\n"


@pytest.fixture
def session(tmp_path):
    plan = TrialPlan((load_rubric("fold_pants"),), ("a", "b"), 2, "alternating", 0, "", "unstated")
    with TrialSession(tmp_path / "session", plan, operator="op") as session:
        yield session


def sheet(folder: Path, *rows: str, head: str = HEAD) -> Path:
    file = folder / "trials.csv"
    file.write_text(head + "".join(f"{row}\n" for row in rows))
    return file


def test_rows_become_records_in_any_order(session, tmp_path):
    rows = ("fold_pants,b,2,failure,1 1 0,31.5,dropped,1,by the sleeve", "fold_pants,a,1,success,,20,,,")
    assert import_csv(session, sheet(tmp_path, *rows)) == 2
    last, first = session.record(4), session.record(1)
    assert (last.outcome, last.progress, last.trial.reason, last.trial.interventions) == (
        Outcome.FAILURE,
        2,
        "dropped",
        1,
    )
    assert (first.outcome, first.progress, first.trial.operator) == (Outcome.SUCCESS, 3, "op")
    assert session.number == 2


def test_bad_rows_are_all_told_and_nothing_is_written(session, tmp_path):
    session.success()
    rows = (
        "fold_pants,a,2,success,,20,,,",
        "fold_pants,a,1,success,,20,,,",
        "fold_pant,a,1,success,,20,,,",
        "fold_pants,a,3,success,,20,,,",
        "fold_pants,b,1,won,,20,,,",
        "fold_pants,b,1,failure,1 1,20,dropped,,",
        "fold_pants,b,1,failure,1 0.5 0,20,dropped,,",
        "fold_pants,b,1,failure,,soon,dropped,,",
        "fold_pants,b,1,failure,,nan,dropped,,",
        "fold_pants,b,1,failure,,20,,,",
        "fold_pants,b,1,success,,20,,1,",
        "fold_pants,a,2,success,,20,,,",
        "fold_pants,b,1,success,,20,,,,extra",
    )
    with pytest.raises(BadInput) as told:
        import_csv(session, sheet(tmp_path, *rows))
    title, *lines = str(told.value).splitlines()
    assert "12 bad rows, nothing was imported" in title
    expected = (
        *("line 3: trial 1 is recorded", "line 4: unknown task", "line 5: setup '3'", "line 6: unknown outcome"),
        *(
            "line 7: points were given for 2 steps",
            "line 8: 0.5 points",
            "line 9: seconds must be a number",
            "line 10: seconds must be a number from 0 up",
        ),
        *("line 11: unknown reason", "line 12: a hand helped", "line 13: the same trial", "line 14: more cells"),
    )
    for line, words in zip(lines, expected, strict=True):
        assert words in line
    assert session.done == 1


def test_a_file_without_the_columns_or_the_videos_is_refused(session, tmp_path):
    head = "task,method,setup,outcome,points,seconds,videos\n"
    with pytest.raises(BadInput, match=r"line 2: there is no file gone\.mp4"):
        import_csv(session, sheet(tmp_path, "fold_pants,a,1,success,,20,gone.mp4", head=head))
    with pytest.raises(BadInput, match="lacks the columns points, seconds"):
        import_csv(session, sheet(tmp_path, head="task,method,setup,outcome\n"))
    with pytest.raises(BadInput, match="did you mean 'reason'"):
        import_csv(session, sheet(tmp_path, head="task,method,setup,outcome,points,seconds,reasons\n"))
    with pytest.raises(BadInput, match="cannot be read"):
        import_csv(session, tmp_path / "none.csv")


def test_what_guards_a_cell_from_spreadsheets_is_not_part_of_it(tmp_path):
    from lingbot_eval.plain import cell

    words = "=cmd|' /C calc'!A0"
    plan = TrialPlan((load_rubric("fold_pants"),), (words, "b"), 1, "alternating", 0, "", "unstated")
    row = ("fold_pants", words, "1", "failure", "1 1 0", "31.5", "dropped", "0", "-2+3")
    quoted = ",".join('"{}"'.format(str(cell(text)).replace('"', '""')) for text in row)
    assert "'=cmd" in quoted
    with TrialSession(tmp_path / "session", plan, operator="op") as session:
        assert import_csv(session, sheet(tmp_path, quoted)) == 1
        number = next(n for n, slot in enumerate(session.slots, start=1) if slot.method == words)
        assert session.record(number).trial.note == "-2+3"


def test_a_count_without_end_is_a_bad_row(session, tmp_path):
    with pytest.raises(BadInput, match="must be a whole number"):
        import_csv(session, sheet(tmp_path, f"fold_pants,b,2,failure,1 1 0,31.5,dropped,{'1' * 5000},"))


def test_a_date_where_seconds_should_be_is_a_bad_row_and_the_session_stays_readable(session, tmp_path):
    rows = ("fold_pants,a,1,failure,1 1 0,1795940000,dropped,,", "fold_pants,b,1,success,,20,,,")
    with pytest.raises(BadInput, match=r"line 2: 1795940000\.0 seconds cannot be a trial's length .*how long it took"):
        import_csv(session, sheet(tmp_path, *rows))
    session.read()
    assert session.done == 0
    assert import_csv(session, sheet(tmp_path, rows[1])) == 1
