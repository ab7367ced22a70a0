"""No scene is both trained on and evaluated."""

from __future__ import annotations

import msgspec
import pytest

from lingbot_eval.cli.run_suite import main
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import Protocol, SceneProtocol, SuiteSettings
from lingbot_eval.suites import suite_named, training
from lingbot_eval.suites.scenes import wanted_scenes
from lingbot_eval.suites.suite import Asked
from lingbot_eval.types import Episode

SEEDED = [(suite, name) for suite in ("tabletop", "robotwin", "toy") for name in suite_named(suite).protocol_names()]


def first_seed(protocol: Protocol, base: int) -> int:
    """The smallest seed of an episode under a base seed."""
    return protocol.seed_block * (base + isinstance(protocol, SceneProtocol))


@pytest.mark.parametrize(("suite", "name"), SEEDED)
def test_blocks_of_training_scenes_begin_where_evaluation_ends_and_do_not_overlap(suite, name):
    protocol = suite_named(suite).load_protocol(name)
    starts = [first_seed(protocol, training.base_seed(protocol, block)) for block in range(4)]
    assert starts[0] >= training.FIRST_SEED > starts[0] - protocol.seed_block
    assert starts == [starts[0] + block * protocol.seed_block for block in range(4)]


@pytest.mark.parametrize("base", [0, 1, 7, 100_000, 107_373, 107_374, 200_000])
def test_whatever_its_base_seed_an_evaluation_plays_no_training_scene(base):
    suite = suite_named("toy")
    settings = SuiteSettings("toy", ("toy",), (), (), 3, base, None)
    planned = suite.plan(suite, Asked(settings, suite.load_protocol("toy")))
    collected = {episode.seed for episode in planned if training.trained_on(episode)}
    if collected:
        assert base >= training.base_seed(suite.load_protocol("toy"), 0)
        with pytest.raises(BadInput, match="scenes from seed 1073741824 on are for training"):
            training.refuse_mixture(planned, expert=False)
        training.refuse_evaluated(planned)
    else:
        training.refuse_mixture(planned, expert=False)
        with pytest.raises(BadInput, match="may be evaluated"):
            training.refuse_evaluated(planned)


def test_run_suite_refuses_an_agent_in_training_scenes(tmp_path, capsys):
    evaluated = ["toy", "--episodes", "1", "--tasks", "reach", "--out", str(tmp_path / "run"), "--seed", "107375"]
    assert main([*evaluated, "--agent", "random"]) == 2
    assert "toy/reach/-/1073750000/-: scenes from seed 1073741824 on are for training" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_stored_scene_is_never_trained_on():
    with pytest.raises(BadInput, match="a stored scene may be evaluated"):
        training.refuse_evaluated([Episode("libero_goal", "open", training.FIRST_SEED, "open it", initial_state=3)])
    suite = suite_named("libero")
    assert suite.to_collect["protocol.initial_states"] == "sampled"
    protocol = msgspec.structs.replace(suite.load_protocol("openpi"), initial_states="sampled", seeding="per-episode")
    protocol = msgspec.structs.replace(protocol, seed_block=10_000)
    settings = SuiteSettings("libero", ("libero_goal",), (0,), (), 60, training.base_seed(protocol, 0), None)
    planned = suite.plan(suite, Asked(settings, protocol))
    assert {episode.initial_state for episode in planned} == {None}
    training.refuse_evaluated(planned)


def test_scenes_that_an_expert_chooses_start_at_the_block():
    suite = suite_named("tabletop")
    protocol = suite.load_protocol("tabletop")
    base = training.base_seed(protocol, 1)
    (want,) = wanted_scenes(
        suite, Asked(SuiteSettings("tabletop", ("tabletop",), (0,), ("hard",), 2, base, None), protocol)
    )
    assert want.first == first_seed(protocol, base) >= training.FIRST_SEED
    with pytest.raises(BadInput, match="numbered from 0"):
        training.base_seed(protocol, -1)
