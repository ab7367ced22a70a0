"""A model card says what was trained on what, and how well it plays, with intervals and the rules of play."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.exports.model_card import model_card, rates_of
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.checkpoint import locate
from lingbot_eval.models.lingbot_va.saving import write_upstream
from lingbot_eval.settings.trained import Rate
from lingbot_eval.types import Outcome
from tests.models.lingbot_va.test_saving import SETTINGS, TRAINING
from tests.reports.folders import directory
from tests.reports.method_runs import run

RATES = (
    Rate("tabletop", "lift_block", "easy", 8, 10, "tabletop", "0123456789ab"),
    Rate("tabletop", "push|*x*", "easy", 0, 10, "tabletop", "0123456789ab"),
)


def test_the_card_has_every_rate_with_its_interval_and_marks_what_was_not_trained():
    card = model_card("it", "ab12", SETTINGS, msgspec.structs.replace(TRAINING, rates=RATES))
    lines = card.splitlines()
    assert lines[0] == "---"
    assert "| tabletop easy | lift\\_block | 8/10 | 80.0 | 49.0–94.3 | tabletop `0123456789ab` |" in lines
    assert "| tabletop easy | push\\|\\*x\\* † | 0/10 | 0.0 | 0.0–27.8 | tabletop `0123456789ab` |" in lines
    assert any(line.startswith("| tabletop easy | **all tasks** | 8/20 | 40.0 | ") for line in lines)
    assert "| tabletop | lift\\_block | 3 easy |" in lines
    assert "A checkpoint of LingBot-VA, trained on 3 episodes of lift\\_block. " in card
    assert {"| Content | `ab12` |", "| Optimizer steps | 200 |", "| Loss of the last step, video | 0.5 |"} <= set(lines)
    assert "| Computed with | torch 2.10 |" in lines
    assert json.loads(card.split("```json\n")[1].split("```")[0]) == TRAINING.recipe


def test_a_card_without_rates_says_so():
    card = model_card("it", "ab12", SETTINGS, msgspec.structs.replace(TRAINING, tasks={}))
    assert "It was not evaluated." in card
    assert "The data does not say which tasks" in card


def test_the_rates_of_a_run_are_those_of_its_trials():
    one = run({("easy", "lift"): (1, 3), ("hard", "lift"): (2, 2)}, "robotwin")
    lost = next(id for id, record in one.final.items() if record.outcome is Outcome.FAILURE)
    final = {**one.final, lost: replace(one.final[lost], outcome=Outcome.ERROR)}
    rates = rates_of(one.experiment, one.plan, final)
    assert [(rate.part, rate.task, rate.setting, rate.successes, rate.trials) for rate in rates] == [
        ("robotwin", "lift", "easy", 1, 2),
        ("robotwin", "lift", "hard", 2, 2),
    ]


def test_a_checkpoint_is_given_the_rates_of_its_own_runs_and_stays_the_same_one(tiny, tmp_path, capsys):
    base, it = locate(str(tiny)), tmp_path / "it"
    state = loading.load_transformer(base, torch.float32, torch.device("cpu")).state_dict()
    write_upstream(it, state, base, SETTINGS, TRAINING)
    hash = locate(str(it)).hash()
    one = run({("easy", "lift_block"): (1, 2)}, "tabletop", checkpoint=hash)
    records = [replace(record, progress=0.0) for record in one.final.values()]

    def played(name: str, **changes: Any) -> str:
        known = {"checkpoint": hash, **changes}
        given = {"suite": {"name": "tabletop", "seed": 0}, "protocol": {"name": "mine"}, **known}
        return str(directory(tmp_path / name, one.plan, records, **given).path)

    mine, other = played("mine"), played("other", checkpoint="0123456789ab")
    assert main(["card", str(it), other]) == 2
    assert f"is a run of the checkpoint 0123456789ab, not of {it}, which is {hash}" in capsys.readouterr().err
    quick = played("quick", agent={"name": "lingbot-va", "lingbot": {"settings": {"video_steps": 1}}})
    assert main(["card", str(it), quick]) == 2
    assert (
        f"was played with video_steps=1, and the checkpoint proposes {SETTINGS.video_steps}" in capsys.readouterr().err
    )
    for _ in range(2):  # the second time, the same rates again
        assert main(["card", str(it), mine]) == 0
        assert len(locate(str(it)).training.rates) == 1
    assert locate(str(it)).hash() == hash
    assert "| tabletop easy | lift\\_block | 1/2 | 50.0 |" in Path(it / "MODEL_CARD.md").read_text()
    assert main(["card", str(tiny)]) == 2
    assert "does not say what it was trained on" in capsys.readouterr().err
