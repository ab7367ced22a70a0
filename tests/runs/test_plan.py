"""Every episode is decided before anything runs: which, with what seed, state and sentence."""

from __future__ import annotations

import dataclasses
import itertools
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingbot_eval.envs.libero.tasks import SUITES
from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.runs.plan import plan_hash, remaining, shard, to_lines
from lingbot_eval.settings import Protocol, SuiteSettings
from lingbot_eval.suites import load_protocol, protocol_names
from lingbot_eval.types import Episode
from tests.planning import plan

PRESETS = protocol_names("libero")
NAMES = [*SUITES, "spatial", "object", "goal", "long", "10", "libero_long", "all"]
STORED = 50


def libero(
    *suites: str, tasks: tuple[str | int, ...] = (), episodes: int | None = None, seed: int | None = None
) -> SuiteSettings:
    return chosen("libero", suites or ("all",), tasks, episodes, seed)


def toy(tasks: tuple[str | int, ...] = (), episodes: int | None = None, seed: int | None = None) -> SuiteSettings:
    return chosen("toy", ("toy",), tasks, episodes, seed)


def chosen(
    name: str, suites: tuple[str, ...], tasks: tuple[str | int, ...], episodes: int | None, seed: int | None
) -> SuiteSettings:
    return SuiteSettings(
        name=name, suites=suites, tasks=tasks, settings=(), episodes=episodes, seed=seed, manifest=None
    )


def one_task(name: str, episodes: int, seed: int | None = None) -> list[Episode]:
    return plan(libero("spatial", tasks=(0,), episodes=episodes, seed=seed), load_protocol("libero", name))


protocols = st.sampled_from(PRESETS).map(lambda name: load_protocol("libero", name))
choices = st.builds(
    libero,
    st.sampled_from(NAMES),
    tasks=st.lists(st.integers(0, 9) | st.integers(0, 9).map(str), max_size=3).map(tuple),
    episodes=st.integers(1, 50),
    seed=st.none() | st.integers(0, 400_000),
)


@given(choices, protocols)
def test_ids_are_unique_and_the_plan_is_the_same_each_time(suite: SuiteSettings, protocol: Protocol):
    episodes = plan(suite, protocol)
    assert len({episode.id for episode in episodes}) == len(episodes) > 0
    assert plan(suite, protocol) == episodes


@pytest.mark.parametrize("name", PRESETS)
def test_a_whole_benchmark_is_two_thousand_episodes_of_forty_tasks(name):
    episodes = plan(libero(), load_protocol("libero", name))
    tasks = [(suite, task) for suite, names in SUITES.items() for task in names]
    assert [key for key, _ in itertools.groupby(episodes, lambda e: (e.suite, e.task))] == tasks
    assert len(episodes) == 2000
    assert len({episode.id for episode in episodes}) == 2000
    for _, of_task in itertools.groupby(episodes, lambda episode: episode.task):
        of_task = list(of_task)
        assert [episode.index for episode in of_task] == list(range(STORED))
        assert [episode.initial_state for episode in of_task] == list(range(STORED))


@pytest.mark.parametrize("name", PRESETS)
def test_fewer_episodes_are_the_first_of_more(name):
    assert one_task(name, 20)[:7] == one_task(name, 7)


@pytest.mark.parametrize("name", PRESETS)
def test_a_tasks_episodes_do_not_depend_on_the_tasks_beside_it(name):
    protocol = load_protocol("libero", name)
    alone = plan(libero("goal", tasks=(3,), episodes=5), protocol)
    assert alone == [e for e in plan(libero(episodes=5), protocol) if e.task == SUITES["libero_goal"][3]]


def test_strict_gives_blocks_of_seeds_that_other_base_seeds_do_not_touch():
    assert [episode.seed for episode in one_task("strict", 3)] == [0, 1, 2]
    assert [episode.seed for episode in one_task("strict", 3, seed=2)] == [20_000, 20_001, 20_002]


@pytest.mark.parametrize("name", ["openpi", "vla-eval"])
def test_openpi_and_vla_eval_give_every_episode_their_seed_seven(name):
    episodes = plan(libero(), load_protocol("libero", name))
    assert {episode.seed for episode in episodes} == {7}
    assert {episode.seed for episode in one_task(name, 5, seed=8)} == {8}
    assert len({episode.agent_seed for episode in episodes}) > 1990


def test_lerobot_gives_episode_k_the_seed_1000_plus_k():
    assert [episode.seed for episode in one_task("lerobot", 50)] == list(range(1000, 1050))
    assert [episode.seed for episode in one_task("lerobot", 3, seed=1001)] == [1001, 1002, 1003]


def test_lingbot_va_draws_a_seed_for_every_episode_and_other_ones_for_another_base_seed():
    episodes = plan(libero(), load_protocol("libero", "lingbot-va"))
    seeds = [episode.seed for episode in episodes]
    assert len(set(seeds)) > 1990
    assert max(seeds) > 2**29
    others = plan(libero(seed=1), load_protocol("libero", "lingbot-va"))
    assert not {episode.seed for episode in others} & set(seeds)


@pytest.mark.parametrize("seed", [-1, -7])
@pytest.mark.parametrize("name", PRESETS)
def test_a_negative_seed_is_refused(name, seed):
    with pytest.raises(BadInput, match=f"seed {seed}"):
        one_task(name, 3, seed=seed)


@pytest.mark.parametrize("name", ["strict", "lerobot", "openpi"])
def test_a_seed_too_large_for_numpy_is_refused(name):
    with pytest.raises(BadInput, match=r"numpy takes 0\.\.4294967295"):
        one_task(name, 3, seed=2**32)


@pytest.mark.parametrize("name", ["openpi", "vla-eval"])
def test_more_episodes_than_stored_states_are_refused_where_the_protocol_cannot_have_them(name):
    assert len(one_task(name, STORED)) == STORED
    with pytest.raises(BadInput, match=r"51 episodes per task: .*LIBERO stores 50 per task"):
        one_task(name, STORED + 1)


@pytest.mark.parametrize("name", ["strict", "lingbot-va", "lerobot"])
def test_after_the_last_stored_state_others_begin_again_with_other_seeds(name):
    episodes = one_task(name, 120)
    assert [episode.initial_state for episode in episodes] == [k % STORED for k in range(120)]
    assert len({episode.seed for episode in episodes}) == 120


def test_tasks_are_chosen_by_index_and_by_name_and_keep_the_benchmarks_order():
    names = SUITES["libero_goal"]
    chosen = plan(libero("goal", tasks=(names[7], 2, "0"), episodes=1), load_protocol("libero", "strict"))
    assert [episode.task for episode in chosen] == [names[0], names[2], names[7]]


def test_an_index_counts_within_each_suite():
    chosen = plan(libero("goal", "long", tasks=(1,), episodes=1), load_protocol("libero", "strict"))
    assert [e.task for e in chosen] == [SUITES["libero_goal"][1], SUITES["libero_10"][1]]


def test_a_suite_or_task_that_is_named_twice_is_played_once():
    chosen = plan(libero("goal", "all", "libero_goal", tasks=(1, "1"), episodes=2), load_protocol("libero", "strict"))
    assert len(chosen) == 4 * 2


@pytest.mark.parametrize("task", ["10", "-1", "turn_on_the_stov", "", "1.5", "²"])
def test_an_unknown_task_is_refused_on_one_line_with_the_known_ones(task):
    with pytest.raises(UnknownName, match=r"an index 0\.\.9 or a name.*turn_on_the_stove") as caught:
        plan(libero("goal", tasks=(task,)), load_protocol("libero", "strict"))
    assert "\n" not in str(caught.value)


def test_a_task_of_a_suite_that_was_not_chosen_is_refused():
    with pytest.raises(UnknownName, match="unknown task"):
        plan(libero("spatial", tasks=("turn_on_the_stove",)), load_protocol("libero", "strict"))


def test_an_unknown_suite_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'spatial'"):
        plan(libero("spatal"), load_protocol("libero", "strict"))


def test_a_plan_without_any_episode_is_refused():
    with pytest.raises(BadInput):
        plan(chosen("libero", (), (), 1, 0), load_protocol("libero", "strict"))


def test_the_toy_refuses_suites_that_it_does_not_have():
    with pytest.raises(UnknownName, match=r"unknown.*'spatial'.*toy"):
        plan(msgspec.structs.replace(toy(), suites=("spatial",)), load_protocol("toy", "toy"))


def test_the_instruction_is_the_benchmarks_sentence():
    protocol = load_protocol("libero", "strict")
    sentences = {e.task: e.instruction for e in plan(libero("long", episodes=1), protocol)}
    assert sentences["KITCHEN_SCENE8_put_both_moka_pots_on_the_stove"] == "put both moka pots on the stove"
    assert not any("SCENE" in sentence or "_" in sentence for sentence in sentences.values())


@given(st.integers(1, 30), st.sets(st.integers(0, 59)))
def test_what_remains_is_what_is_not_done_in_the_same_order(count, done):
    episodes = plan(toy(episodes=count), load_protocol("toy", "toy"))
    finished = {episode.id for number, episode in enumerate(episodes) if number in done}
    left = remaining(episodes, finished)
    assert left == [episode for episode in episodes if episode.id not in finished]
    assert remaining(episodes, {episode.id for episode in left} | finished) == []


def test_the_plan_as_lines_reads_back_and_every_change_moves_its_hash():
    protocol = load_protocol("libero", "strict")
    episodes = plan(libero("goal", episodes=2), protocol)
    assert [msgspec.json.decode(line, type=Episode) for line in to_lines(episodes).splitlines()] == episodes
    others = [
        plan(libero("goal", episodes=3), protocol),
        plan(libero("goal", episodes=2, seed=1), protocol),
        plan(libero("spatial", episodes=2), protocol),
        plan(libero("goal", episodes=2), load_protocol("libero", "openpi")),
        [*episodes[:-1], dataclasses.replace(episodes[-1], instruction="go")],
    ]
    assert len({plan_hash(other) for other in [episodes, *others]}) == 6


def test_a_plan_with_the_same_episode_twice_is_refused():
    protocol = msgspec.structs.replace(load_protocol("libero", "openpi"), initial_states="modulo")
    with pytest.raises(BadInput, match="fewer different ones"):
        plan(chosen("libero", ("libero_goal",), ("0",), 51, None), protocol)


@given(st.integers(0, 40), st.integers(1, 9))
def test_the_slices_of_a_plan_are_disjoint_and_together_the_plan_and_differ_by_one_episode_at_most(count, n):
    planned = [Episode("toy", "reach", seed, "") for seed in range(count)]
    slices = [shard(planned, f"{i}/{n}") for i in range(n)]
    assert sorted((episode for part in slices for episode in part), key=planned.index) == planned
    assert max(map(len, slices)) - min(map(len, slices)) <= 1


@pytest.mark.parametrize("text", ["", "1", "2/2", "-1/2", "0/0", "1/2/3", "a/b", " 0/2", "²/3"])
def test_a_slice_that_does_not_exist_is_refused(text):
    with pytest.raises(BadInput, match=r"i in 0\.\.n-1"):
        shard([], text)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("lerobot", "404c03d25000"),
        ("lingbot-va", "d7e0fced2f36"),
        ("openpi", "86b753ea91ad"),
        ("strict", "64ce3fdacd7f"),
        ("vla-eval", "86b753ea91ad"),  # openpi's very episodes
    ],
)
def test_a_whole_benchmarks_plan_is_the_one_that_it_always_was(name, known):
    """Every scene, seed, state and sentence of two thousand episodes: published numbers were made on these."""
    assert plan_hash(plan(libero(), load_protocol("libero", name))) == known


def test_the_seeds_that_are_drawn_are_these():
    """Of numpy's SeedSequence over base seed, CRC-32 of suite/task, and k."""
    drawn = plan(libero("long", tasks=(8,), episodes=3), load_protocol("libero", "lingbot-va"))
    assert [episode.seed for episode in drawn] == [116398181, 801389028, 203729033]


def test_an_episodes_id_and_the_seed_of_the_agents_noise_are_these():
    """CRC-32 of the id, 31 bits: another one would be other noise under the same record."""
    stored = Episode("libero_10", "KITCHEN_SCENE8_put_both_moka_pots_on_the_stove", 116398181, "", initial_state=0)
    assert stored.id == "libero_10/KITCHEN_SCENE8_put_both_moka_pots_on_the_stove/-/116398181/0"
    assert stored.agent_seed == 5887678
    scene = Episode("robotwin", "stack_blocks_two", 10_000, "", setting="hard", index=4)
    assert scene.id == "robotwin/stack_blocks_two/hard/10000/-"
    assert scene.agent_seed == zlib.crc32(b"robotwin/stack_blocks_two/hard/10000/-") % 2**31


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("file-name", "pick up the alphabet soup and place it in the basket"),
        ("bddl", "Pick the alphabet soup and place it in the basket"),
    ],
)
def test_the_sentence_is_the_file_names_or_the_one_that_is_written_in_it(prompt, sentence):
    """LIBERO @ 8f1084e, bddl_files/libero_object/pick_up_the_alphabet_soup_and_place_it_in_the_basket.bddl."""
    pytest.importorskip("bddl", reason="the libero extra is not installed")
    protocol = msgspec.structs.replace(load_protocol("libero", "strict"), prompt=prompt)
    (episode,) = plan(libero("object", tasks=(0,), episodes=1), protocol)
    assert episode.instruction == sentence
