"""A sheet in every format: ranks, marks, and words that a format would take for its own."""

from __future__ import annotations

import csv
import html.parser
import io
import shutil
import subprocess

import pytest

from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.reports import paper_tables as shapes
from lingbot_eval.reports.formats import as_csv, as_html, latex, markdown
from lingbot_eval.reports.methods import methods, published
from lingbot_eval.reports.sheet import Cell, Sheet
from tests.reports.method_runs import run

EVIL = 'a|b_c*d <script>x</script> 50% & $1 #{}~^\\ "q" `t` π 中\n[x](y)'

SHEET = Sheet(
    title="T",
    caption="C",
    groups=((Cell(""), 1), (Cell(EVIL, mark="a"), 2)),
    headings=(Cell("Task"), Cell("PS"), Cell("SR")),
    rows=(
        (Cell("reach"), Cell("91.5", "best", "=", 91.4999), Cell("–")),
        (Cell("return"), Cell("90.0", "second", "", 90.0), Cell("1.0 ± 0.1", value=1.0)),
    ),
    words=1,
    rules=frozenset({1}),
    notes=(("a", EVIL),),
)


def test_markdown_keeps_its_columns_and_escapes():
    text = markdown([SHEET])
    heading, sides, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert sides == "| --- | ---: | ---: |"
    assert rows == ["| reach | **91.5**<sup>=</sup> | – |", "| return | <u>90.0</u> | 1.0 ± 0.1 |"]
    assert heading.replace("\\|", "").count("|") == 4
    assert "<script>" not in text
    assert "\\[x\\](y)" in text


def test_csv_has_a_line_for_each_number_with_all_its_digits():
    read = list(csv.DictReader(io.StringIO(as_csv([SHEET]))))
    assert [(row["row"], row["column"], row["value"], row["rank"], row["mark"]) for row in read[:2]] == [
        ("reach", f"{EVIL} PS", "91.4999", "best", "="),
        ("reach", f"{EVIL} SR", "", "", ""),
    ]
    assert [row["text"] for row in read if row["column"] == "note"] == ["C", EVIL]


def test_html_is_one_page_that_loads_and_runs_nothing():
    tags: list[str] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append(tag)
            assert not {"src", "href"} & dict(attrs).keys()

    text = as_html([SHEET, SHEET])
    Reader().feed(text)
    assert tags.count("table") == 2
    assert tags.count("td") == 2 * 6
    assert "script" not in tags
    assert "<b>91.5</b><sup>=</sup>" in text


def test_latex_marks_best_and_second():
    text = latex([SHEET])
    assert r"reach & \textbf{91.5}\textsuperscript{=} & -- \\" in text
    assert r"return & \underline{90.0} & 1.0 $\pm$ 0.1 \\" in text
    assert r"\multicolumn{2}{c}{a\textbar{}b\_c" in text


@pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed (Debian: texlive-latex-recommended)"
)
def test_latex_compiles_with_plain_pdflatex(tmp_path):
    first = run({(part, task): (1, 2) for part in ("easy", "hard") for task in TASKS}, "robotwin", regime=EVIL)
    against = ["lingbot-va", "x-vla", "motus"]
    sheets = [
        SHEET,
        *shapes.sheets("robotwin", lambda file: [*methods([first]), *published(file, against, first)]),
        shapes.tasks(published("real", ["lingbot-va", "pi0.5"]), "Real robot"),
    ]
    (tmp_path / "paper.tex").write_text(latex(sheets), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n\\input{paper}\n\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "main.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
