"""``lingbot-eval diff``, as a user meets it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lingbot_eval.cli.lingbot_eval import main
from lingbot_eval.cli.run_suite import main as run_suite
from lingbot_eval.reports.differences import Difference, differences, facts, moves_a_score
from lingbot_eval.types import Provenance
from tests.experiments import experiment


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("diff")
    played = {
        "one": [],
        "patient": ["limits.command_seconds=50", "actions=false"],
        "seeded": ["--seed", "3"],
        "shorter": ["protocol.command_limit=30", "--agent", "random", "--tasks", "reach"],
    }
    for name, arguments in played.items():
        assert run_suite(["toy", "--episodes", "2", *arguments, "--out", str(folder / name)]) == 0
    return {name: folder / name for name in played}


def said(runs: dict[str, Path], a: str, b: str, capsys) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = main(["diff", str(runs[a]), str(runs[b])])
    return status, capsys.readouterr().out.splitlines()


def test_a_run_is_the_same_experiment_as_itself(runs, capsys):
    assert said(runs, "one", "one", capsys) == (
        0,
        [
            "The same experiment: nothing differs that can move a score.",
            "4 episodes were played by both and ended alike.",
        ],
    )


def test_settings_that_move_no_score_are_named_and_the_experiment_is_the_same(runs, capsys):
    status, lines = said(runs, "one", "patient", capsys)
    assert status == 0
    assert "  settings.limits.command_seconds: A 60.0, B 50.0" in lines
    assert lines.index("What moves none that we know of:") == 1


def test_what_can_move_a_score_comes_first_with_the_reason(runs, capsys):
    status, lines = said(runs, "one", "shorter", capsys)
    assert status == 1
    assert lines[0] == "What can move a score:"
    assert lines[1] == "  plan: only in A: toy/return/-/0/- and 1 more"
    assert (
        "  protocol.command_limit: A 60, B 30 (the benchmark's conventions; what each did to somebody's number: "
        + ("docs/pitfalls.md)")
        in lines
    )
    named = [line.split(":")[0].strip() for line in lines if ": A " in line]
    assert named.index("protocol.name") < named.index("protocol.command_limit")
    assert named.index("agent.name") < named.index("agent.looks")
    assert re.fullmatch(
        r"2 episodes were played by both, 2 ended otherwise; the first: toy/reach/-/0/-, A success, B failure\.",
        lines[-1],
    )


def test_another_seed_is_named_before_the_scenes_that_it_gives(runs, capsys):
    _, lines = said(runs, "one", "seeded", capsys)
    assert lines[1:4] == [
        "  suite.seed: A 0, B 3 (other scenes)",
        "  plan: only in A: toy/reach/-/0/- and 3 more",
        "  plan: only in B: toy/reach/-/30000/- and 3 more",
    ]


def test_no_consequence_is_named_beside_its_cause(runs, capsys):
    _, lines = said(runs, "one", "shorter", capsys)
    assert not any("protocol_hash" in line for line in lines)


def test_a_folder_that_is_no_run_is_refused(runs, tmp_path, capsys):
    assert main(["diff", str(runs["one"]), str(tmp_path)]) == 2
    assert "it has no run.json" in capsys.readouterr().err


EXPERIMENT = experiment(facts={"mujoco": "3.3.7"})


def who(host: str = "here", **versions: str) -> Provenance:
    return Provenance("expert", "", "toy", "a", versions, host)


def test_a_run_played_on_several_machines_has_the_values_of_all():
    known = facts(EXPERIMENT, [who("b", torch="2.4"), who("a", torch="2.5"), who("a", torch="2.4")], [])
    assert known["versions.torch"] == "2.4 and 2.5"
    assert known["versions.host"] == "a and b"


def test_a_simulators_version_is_named_once_with_its_own_reason():
    later = experiment(facts={"mujoco": "3.4.0"})
    a, b = facts(EXPERIMENT, [who(mujoco="3.3.7")], []), facts(later, [who(mujoco="3.4.0")], [])
    assert differences(a, b) == [Difference("facts.mujoco", "3.3.7", "3.4.0")]
    assert "lerobot#4390" in str(differences(a, b)[0])


def test_differences_stand_in_the_order_of_the_list():
    a = facts(EXPERIMENT, [who(torch="1", mystery="1", gl="egl")], [])
    b = facts(
        experiment(facts={"mujoco": "3.3.7"}, agent={"name": "idle"}), [who(torch="2", mystery="2", gl="osmesa")], []
    )
    assert [one.name for one in differences(a, b)] == [
        "agent.name",
        "versions.torch",
        "versions.gl",
        "versions.mystery",
    ]
    assert [bool(one.why) for one in differences(a, b)] == [True, True, True, False]


def test_what_only_one_run_has_recorded_is_said():
    assert str(Difference("versions.mystery", "1", "")) == "versions.mystery: A 1, B nothing"


def test_every_reason_is_one():
    assert all(moves_a_score().values())


def test_a_benchmarks_own_reasons_stand_behind_what_they_are_about():
    order = list(moves_a_score())
    assert order.index("facts") < order.index("facts.mujoco") < order.index("agent")
    assert order.index("regime") < order.index("settings.env.faults") < order.index("versions.lingbot_eval")
