"""Every command that is given a place it cannot use says so on one line, and ends with status 2."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from lingbot_eval.cli import run_suite
from lingbot_eval.cli.lingbot_eval import main
from tests.reports.folders import directory, many

PLACES = ("file", "inside a file", "unwritable", "no name", "long name", "NUL", "pipe", "no text", "folder")

READ = (
    ("report", "P"),
    ("report", "RUN", "P"),
    ("status", "P"),
    ("compare", "P", "OTHER"),
    ("compare", "RUN", "P"),
    ("diff", "P", "OTHER"),
    ("diff", "RUN", "P"),
    ("verify", "P"),
    ("view", "P"),
    ("plot", "P"),
    ("export", "P", "--to", "eval-info", "--out", "NEW"),
    ("export", "P", "--to", "parquet", "--out", "NEW"),
    ("trial", "P"),
    ("trial", "P", "--next"),
    ("trial", "P", "--table"),
    ("trial", "SESSION", "--import", "P"),
    ("run-suite", "toy", "--agent", "replay", "agent.path=P"),
    ("dataset", "check", "P", "--robot", "tabletop"),
    ("dataset", "stats", "P", "--robot", "tabletop"),
    ("latents", "P", "--robot", "tabletop", "--checkpoint", "NEW"),
    ("latents", "NEW", "--robot", "tabletop", "--checkpoint", "P"),
    ("make-base", "NEW", "--words", "SHEET", "--vae", "P"),
    ("train", "train=tabletop", "data=NEW", "checkpoint=P", "out=NEW"),
    ("train", "train=tabletop", "data=P", "checkpoint=NEW", "out=NEW"),
    ("card", "P"),
    ("card", "NEW", "P"),
    (
        "imagine",
        "--checkpoint",
        "P",
        "--prompt",
        "x",
        "--image",
        "main=PICTURE",
        "--image",
        "wrist=PICTURE",
        "--settings",
        "libero",
        "--out",
        "NEW",
    ),
    (
        "imagine",
        "--checkpoint",
        "NEW",
        "--prompt",
        "x",
        "--image",
        "main=P",
        "--image",
        "wrist=P",
        "--settings",
        "libero",
        "--out",
        "NEW",
    ),
)

WRITTEN = (
    ("make-tiny", "P"),
    ("make-base", "P", "--words", "SHEET"),
    ("collect", "toy", "--episodes", "1", "--out", "P"),
    ("train", "train=tabletop", "data=NEW", "checkpoint=NEW", "out=P"),
    ("run-suite", "toy", "--episodes", "1", "--out", "P"),
    ("export", "RUN", "--to", "parquet", "--out", "P"),
    ("trial", "P", "--rubric", "fold_pants", "--method", "a,b", "--import", "SHEET"),
    ("compare", "RUN", "OTHER", "--page", "P.html"),
    (
        "imagine",
        "--checkpoint",
        "NEW",
        "--prompt",
        "x",
        "--image",
        "main=PICTURE",
        "--image",
        "wrist=PICTURE",
        "--settings",
        "libero",
        "--out",
        "P",
    ),
)

LINGBOT = ("make-tiny", "imagine", "make-base", "latents", "train", "card")
"""These need torch."""


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> dict[str, str]:
    import numpy as np
    from PIL import Image

    from lingbot_eval.trials import TrialPlan, TrialSession, load_rubric

    here = tmp_path_factory.mktemp("places")
    for name, keep in (("run", 10), ("other", 8)):
        plan, records = many(2, 6)
        directory(here / name, plan, records[:keep])
    (here / "file").write_text("what\n")
    (here / "folder").mkdir()
    os.mkfifo(here / "pipe")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(here / "picture.png")
    with TrialSession(
        here / "session", TrialPlan((load_rubric("fold_pants"),), ("a", "b"), 1, "alternating", 3, "", "x")
    ):
        pass
    (here / "sheet.csv").write_text("task,method,setup,outcome,points,seconds\n")
    return {
        "file": str(here / "file"),
        "inside a file": str(here / "file" / "x"),
        "unwritable": "/proc/nobody/writes/here",
        "no name": "",
        "long name": str(here / ("x" * 300)),
        "NUL": str(here / "a\0b"),
        "pipe": str(here / "pipe"),
        "no text": str(here / os.fsdecode(b"\xff\xfe")),
        "folder": str(here / "folder"),
        "RUN": str(here / "run"),
        "OTHER": str(here / "other"),
        "PICTURE": str(here / "picture.png"),
        "SESSION": str(here / "session"),
        "SHEET": str(here / "sheet.csv"),
    }


def ended(command: tuple[str, ...], place: str, places: dict[str, str], tmp_path: Path) -> int:
    if command[0] in LINGBOT:
        pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
    if command[0] in (*LINGBOT[2:], "export", "collect", "dataset") and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed")
    known = {**places, "P": place, "P.html": f"{place}.html" if place else "", "NEW": str(tmp_path / "new")}
    words = []
    for word in command:
        key, equals, last = word.rpartition("=")
        words.append(f"{key}{equals}{known.get(last, last)}")
    return run_suite.main(words[1:]) if words[0] == "run-suite" else main(words)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", READ, ids=" ".join)
def test_what_cannot_be_read_is_said_on_one_line(command, place, places, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status = ended(command, places[place], places, tmp_path)
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1), said
    assert "Traceback" not in said


@pytest.mark.parametrize("place", [place for place in PLACES if place not in ("folder", "no text")])
@pytest.mark.parametrize("command", WRITTEN, ids=" ".join)
def test_what_cannot_be_written_is_said_on_one_line(command, place, places, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if command[0] == "compare" and place in ("file", "pipe"):
        pytest.skip("with .html behind it, a name like any other")
    if command[0] == "export" and place in ("file", "pipe"):
        pytest.skip("what an export finds there it replaces")
    status = ended(command, places[place], places, tmp_path)
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1), said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "command", [command for command in WRITTEN if command[0] in ("export", "trial", "compare")], ids=" ".join
)
def test_a_name_that_is_no_text_is_a_name_like_any_other(command, places, tmp_path, capsys):
    status = ended(command, str(tmp_path / os.fsdecode(b"caf\xe9")), places, tmp_path)
    said = capsys.readouterr().err
    assert (status, "Traceback" in said) == (0, False), said
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [command for command in WRITTEN[:5] if command[0] != "train"], ids=" ".join)
def test_what_others_must_be_told_the_name_of_is_refused_under_one_that_is_no_text(command, places, tmp_path, capsys):
    status = ended(command, str(tmp_path / os.fsdecode(b"caf\xe9")), places, tmp_path)
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1), said
    assert "not UTF-8" in said
