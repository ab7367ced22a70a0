"""Published numbers: whole, sourced, and known where they do not add up."""

from __future__ import annotations

import csv
import math
from collections import Counter
from importlib import resources

import pytest

from lingbot_eval.envs.robotwin.tasks import TASKS
from lingbot_eval.reports.published import REGIMES, averages_that_do_not_follow, benchmarks, claims, columns, names
from lingbot_eval.suites import protocol_names


@pytest.mark.parametrize("name", names())
def test_every_row_has_numbers_a_source_and_known_words(name):
    for claim in claims(name):
        assert claim.percents, claim
        assert all(0 <= percent <= 100 for percent in claim.percents.values()), claim
        assert claim.source, claim
        assert claim.kind in ("reported", "quoted", "re-run"), claim
        assert claim.regime in ("", *REGIMES), claim
        assert claim.protocol in ("", *protocol_names("libero"), *protocol_names("robotwin")), claim


def test_what_is_published_follows_from_the_files():
    assert benchmarks() == ["robotwin", "libero", "real"]
    assert {name: columns(name) for name in names()} == {
        "libero": ["spatial", "object", "goal", "long", "average"],
        "real": ["progress", "success"],
        "robotwin": ["easy", "hard"],
        "robotwin_tasks": ["easy", "hard"],
    }


def test_a_table_of_robotwin_has_its_fifty_tasks_once():
    tables = Counter((claim.method, claim.regime, claim.source) for claim in claims("robotwin_tasks"))
    assert Counter(tables.values()) == {50: 19, 48: 1}  # StarVLA-OFT's fifty-demonstrations column leaves two out
    assert {claim.task for claim in claims("robotwin_tasks")} == set(TASKS)


def test_the_averages_that_do_not_follow_from_their_own_numbers_are_these():
    found = {(claim.method, sentence.partition(" (")[0]) for claim, sentence in averages_that_do_not_follow()}
    assert found == {
        ("LingBot-VA", "stated easy 92.93"),
        ("LingBot-VA", "stated hard 91.55"),
        ("LingBot-VA", "stated hard 91.6"),
        ("X-VLA", "stated easy 72.80"),
        ("MolmoAct", "stated average 86.6"),
    }


def test_real_success_rates_can_come_from_their_trials():
    for claim in claims("real"):
        assert claim.trials == 20
        assert math.isclose(float(claim.percents["success"]) * 20 / 100 % 1, 0, abs_tol=1e-9)


def test_real_tasks_have_the_readmes_category():
    """Robbyant/lingbot-va @ 6f092cb, README.md:214-215."""
    text = (resources.files("lingbot_eval.reports.published") / "real.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    assert {row["task"]: row["category"] for row in rows} == {
        "make_breakfast": "long-horizon",
        "pick_screws": "long-horizon",
        "insert_tube": "precision",
        "unpack_delivery": "precision",
        "fold_clothes": "deformable",
        "fold_pants": "deformable",
    }


def test_where_sources_disagree_both_are_there():
    motus = [claim.percents.get("easy") for claim in claims("robotwin") if claim.method == "Motus"]
    assert [str(easy) for easy in motus[:2]] == ["88.66", "88.52"]
