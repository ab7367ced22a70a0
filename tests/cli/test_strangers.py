"""A run directory whose every name was chosen by somebody who wants more than to be read."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.screen import Screen
from lingbot_eval.plain import FORMULA, UNSEEN
from lingbot_eval.runs.directory import RunDirectory
from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric
from lingbot_eval.types import Episode, EpisodeRecord, Outcome, Provenance
from tests.reports.folders import directory

EVIL = "[red]x[/red]\x1b[2J\x9b1m\u202e|`*</script><b>&\\ $x^$"
FORMULA_NAME = '=HYPERLINK("http://x","[link](http://x)")\x1b[31m'


def hostile(path: Path, success: int, seed: int) -> RunDirectory:
    tasks = [f"{FORMULA_NAME}{number}" for number in range(2)] + [EVIL]
    plan = [Episode(f"={EVIL}", task, seed, f"@{EVIL}\n") for task in tasks for seed in range(4)]
    origin = Provenance(f"={EVIL}", f"+{EVIL}{seed}", EVIL, "0123456789ab", {EVIL: EVIL}, EVIL)
    records = [
        EpisodeRecord(e, Outcome.SUCCESS if e.seed < success else Outcome.FAILURE, 5, 1.0, provenance=origin)
        for e in plan[:-1]
    ]
    records.append(EpisodeRecord(plan[-1], Outcome.ERROR, 5, 1.0, error=f"Trace\n{EVIL}", provenance=origin))
    words: dict[str, Any] = {
        "agent": {"name": f"={EVIL}"},
        "checkpoint": f"+{EVIL}{seed}",
        "regime": f"-{EVIL}",
        "protocol": {"name": f"@{EVIL}"},
        "facts": {EVIL: EVIL},
        "suite": {"name": "toy", "seed": seed},
    }
    return directory(path, plan, records, **words)


@pytest.fixture
def runs(tmp_path) -> list[str]:
    return [
        str(hostile(tmp_path / f"[b]{name}[/b]\x1b[5m", success, success).path)
        for name, success in (("a", 1), ("b", 3))
    ]


def shown(text: str) -> str:
    assert not UNSEEN.search(text), repr(text)
    return text


@pytest.mark.parametrize(
    ("status", "command"),
    [
        (0, ["report", "A"]),
        (0, ["report", "A", "B"]),
        (0, ["status", "A"]),
        (0, ["status", "A", "--watch"]),
        (0, ["compare", "A", "B"]),
        (0, ["compare", "A", "B", "--sequential"]),
        (0, ["compare", "A", "--power", "10"]),
        (0, ["plot", "A"]),
        (1, ["diff", "A", "B"]),
        (2, ["compare", "A", "B", "--spread"]),
        (0, ["compare", "A", "--published", "40"]),
        (2, ["compare", "A", "--published", EVIL]),
        (2, ["verify", "A"]),
        (2, ["report", "A/none"]),
        (2, ["report", "A", "--against", EVIL]),
        (2, ["export", "A", "--to", "parquet", EVIL]),
        (2, ["ls", EVIL]),
        (2, [EVIL]),
    ],
)
def test_no_command_lets_a_name_act_on_the_terminal(runs, status, command, capsys):
    places = {"A": runs[0], "B": runs[1]}
    ended = main([re.sub("^(A|B)(?=$|/)", lambda found: places[found[0]], word) for word in command])
    said = capsys.readouterr()
    assert ended == status, said.err
    shown(said.out + said.err)
    assert "Traceback" not in said.err
    assert said.out + said.err
    if status == 0 and command[0] in ("report", "compare"):
        assert "[red]x[/red]\\x1b[2J" in said.out + said.err  # as they are, not as markup


def test_no_file_of_a_report_lets_a_name_act(runs, capsys):
    assert main(["report", *runs]) == 0, capsys.readouterr().err
    assert main(["report", runs[0]]) == 0
    folder = Path(runs[0]) / "report"
    for file in sorted(folder.glob("*.csv")):
        cells = [cell for row in csv.reader(io.StringIO(file.read_text(), newline="")) for cell in row]
        assert len(cells) > 20
        for cell in cells:
            shown(cell)
            if FORMULA.match(cell):
                float(cell)
    for file in sorted(folder.glob("*.md")):
        text = shown(file.read_text())
        for line in text.splitlines():
            assert "<b>" not in line
            assert not re.search(r"(?<!\\)\]\(", line)
        tables = [block for block in text.split("\n\n") if block.lstrip().startswith("|")]
        for block in tables:
            bars = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
            assert len(bars) == 1, block
    latex = (folder / "paper.tex").read_text()
    assert "\x1b" not in latex
    assert "\\textless{}b\\textgreater{}" in latex
    assert "<b>" not in shown((folder / "paper.html").read_text())
    page = (folder / "index.html").read_text()
    assert page.count("</script>") == html.unescape(page).count("</script>") == 2
    data = re.search(r"<script[^>]*json[^>]*>(.*?)</script>", page, re.DOTALL)
    assert data
    assert EVIL in {line["task"] for line in json.loads(data[1])["episodes"]}


def test_a_trials_names_are_words_on_the_screen(tmp_path, capsys):
    plan = TrialPlan((load_rubric("fold_pants"),), (f"={EVIL}", "[bold]b"), 1, "alternating", 3, "", EVIL)
    with TrialSession(tmp_path / "session", plan, operator=EVIL) as session:
        for _ in range(2):
            session.note(EVIL)
            session.failure("dropped")
    for command in ([], ["--table"], ["--next"]):
        main(["trial", str(tmp_path / "session"), *command])
        said = capsys.readouterr()
        shown(said.out + said.err)
        assert said.out + said.err


def test_a_style_is_what_our_own_words_say(capsys):
    Screen(force_terminal=True, color_system="standard").print(Text("[red]\x1b[2J", style="bold"))
    assert capsys.readouterr().out == "\x1b[1m[red]\\x1b[2J\x1b[0m\n"
