"""Manifests: what is found once is kept, whatever crashes, and never mixed up."""

from __future__ import annotations

import pytest

from lingbot_eval.errors import BadInput, CorruptRecords, NotReady, Taken, UnknownName
from lingbot_eval.settings import SuiteSettings
from lingbot_eval.suites import load_protocol
from lingbot_eval.suites import manifest as seeds
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted, content_hash
from lingbot_eval.suites.scenes import episodes
from tests.planning import wanted_scenes

FACTS = {"sapien": "3.0.3", "planner": "mplib", "shader": "default"}
WANTED = Wanted("stack_blocks_two", "easy", first=10_000, count=4)


class Expert:
    """Solves even seeds, and counts what it is asked; dies at ``dies_at``."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.asked: list[int] = []
        self._dies_at = dies_at

    def __call__(self, seed: int) -> Audition:
        self.asked.append(seed)
        if seed == self._dies_at:
            raise KeyboardInterrupt
        if seed % 2:
            return Audition(seed, "unstable", "the block rolled away", {})
        return Audition(seed, "solved", "", {"seen": f"seen {seed}", "unseen": f"unseen {seed}"})


def never() -> bool:
    return False


def opened(folder) -> Manifest:
    manifest = Manifest(folder)
    assert manifest.open("robotwin", FACTS) == []
    return manifest


def test_seeds_are_tried_upwards_and_those_left_out_are_kept_with_the_reason(tmp_path):
    manifest = opened(tmp_path)
    manifest.extend(WANTED, Expert(), never)
    assert [scene.seed for scene in manifest.scenes(WANTED)] == [10_000, 10_002, 10_004, 10_006]
    unstable = Audition(10_001, "unstable", "the block rolled away", {})
    assert manifest.auditions("stack_blocks_two", "easy")[10_001] == unstable


def test_an_interrupted_search_goes_on_where_it_stopped(tmp_path):
    first, second = Expert(dies_at=10_003), Expert()
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path).extend(WANTED, first, never)
    file = tmp_path / "stack_blocks_two-easy.jsonl"
    file.write_bytes(file.read_bytes() + b'{"seed":10003,"outc')  # a crash while it wrote
    manifest = opened(tmp_path)
    manifest.extend(WANTED, second, never)
    assert first.asked == [10_000, 10_001, 10_002, 10_003]
    assert second.asked == [10_003, 10_004, 10_005, 10_006]
    assert len(manifest.scenes(WANTED)) == 4


def test_what_is_there_is_not_tried_again(tmp_path):
    manifest, expert = opened(tmp_path), Expert()
    manifest.extend(WANTED, Expert(), never)
    manifest.extend(Wanted("stack_blocks_two", "easy", 10_000, 3), expert, never)
    assert expert.asked == []


def test_protocols_that_start_elsewhere_share_a_manifest(tmp_path):
    manifest = opened(tmp_path)
    manifest.extend(WANTED, Expert(), never)
    elsewhere = Wanted("stack_blocks_two", "easy", 100_000, 1)
    manifest.extend(elsewhere, Expert(), never)
    assert [scene.seed for scene in manifest.scenes(elsewhere)] == [100_000]
    assert len(manifest.scenes(WANTED)) == 4


def test_a_task_that_its_expert_never_solves_ends_the_search(tmp_path):
    with pytest.raises(NotReady, match=rf"none of the last {seeds.HOPELESS} seeds \(the last: unsolved, too far\)"):
        opened(tmp_path).extend(WANTED, lambda seed: Audition(seed, "unsolved", "too far", {}), never)


def test_only_one_process_tries_seeds_of_a_task(tmp_path):
    manifest = opened(tmp_path)

    def meanwhile(seed: int) -> Audition:
        with pytest.raises(Taken, match="another process"):
            opened(tmp_path).extend(WANTED, Expert(), never)
        return Expert()(seed)

    manifest.extend(Wanted("stack_blocks_two", "easy", 10_000, 1), meanwhile, never)


def test_manifests_of_one_simulator_merge_and_hash_by_content(tmp_path):
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other")
    hard = Wanted("stack_blocks_two", "hard", 10_000, 1)
    one.extend(Wanted("stack_blocks_two", "easy", 10_000, 2), Expert(), never)
    other.extend(WANTED, Expert(), never)
    other.extend(hard, Expert(), never)
    assert one.merge(other) == 5  # seeds 10003 to 10006, and 10000 of hard
    assert one.merge(other) == 0
    assert content_hash(one, [WANTED, hard]) == content_hash(other, [WANTED, hard])
    assert content_hash(one, [WANTED]) != content_hash(one, [hard])


def test_manifests_of_different_simulators_do_not_merge(tmp_path):
    one, other = opened(tmp_path / "one"), Manifest(tmp_path / "other")
    other.open("robotwin", {**FACTS, "sapien": "3.0.0b1"})
    with pytest.raises(BadInput, match=r"sapien: there 3\.0\.3, here 3\.0\.0b1"):
        one.merge(other)
    one.extend(WANTED, Expert(), never)
    same = opened(tmp_path / "same")
    same.extend(WANTED, lambda seed: Audition(seed, "solved", "", {"seen": "", "unseen": ""}), never)
    with pytest.raises(BadInput, match="10000"):
        one.merge(same)


def test_a_manifest_holds_under_any_shader_and_any_driving_of_commands_and_says_what_else_differs(tmp_path):
    opened(tmp_path)
    assert Manifest(tmp_path).open("robotwin", {**FACTS, "shader": "rt"}) == []
    assert Manifest(tmp_path).open("robotwin", {**FACTS, "bimanual-commands": "2"}) == []
    assert seeds.default_folder("robotwin", {**FACTS, "bimanual-commands": "2"}) == seeds.default_folder(
        "robotwin", FACTS
    )
    assert Manifest(tmp_path).open("robotwin", {**FACTS, "planner": "curobo"}) == ["planner: there mplib, here curobo"]
    with pytest.raises(BadInput, match="a manifest of robotwin, not of tabletop"):
        Manifest(tmp_path).open("tabletop", FACTS)


def test_a_line_that_cannot_be_read_is_an_error(tmp_path):
    manifest = opened(tmp_path)
    manifest.extend(WANTED, Expert(), never)
    file = tmp_path / "stack_blocks_two-easy.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"solved"', b'"won"', 1))
    with pytest.raises(CorruptRecords, match="stack_blocks_two-easy"):
        manifest.scenes(WANTED)


@pytest.mark.parametrize(
    ("preset", "first", "easy", "hard"),
    [
        ("lingbot-va", 10_000, "seen", "seen"),
        ("robotwin-2eeec322", 100_000, "unseen", "unseen"),
        ("robotwin-main", 100_000, "seen", "unseen"),
    ],
)
def test_each_preset_starts_at_its_own_seed_and_takes_its_own_sentences(tmp_path, preset, first, easy, hard):
    protocol = load_protocol("robotwin", preset)
    suite = SuiteSettings("robotwin", ("robotwin",), ("stack_blocks_two",), ("easy", "hard"), 2, None, None)
    wanted = wanted_scenes(suite, protocol)
    manifest = opened(tmp_path)
    for want in wanted:
        manifest.extend(want, Expert(), never)
    planned = episodes(manifest, wanted, "robotwin", protocol)
    assert [episode.seed for episode in planned] == [first, first + 2] * 2
    assert [episode.instruction.split()[0] for episode in planned] == [easy, easy, hard, hard]
    assert [episode.index for episode in planned] == [0, 1, 0, 1]


def test_a_base_seed_moves_the_first_one_by_whole_blocks():
    suite = SuiteSettings("robotwin", ("robotwin",), ("0",), ("easy",), 5, 2, None)
    assert wanted_scenes(suite, load_protocol("robotwin", "lingbot-va")) == [Wanted("adjust_bottle", "easy", 30_000, 5)]


def test_a_run_is_not_planned_from_a_manifest_with_too_few(tmp_path):
    manifest = opened(tmp_path)
    with pytest.raises(NotReady, match="0 of 4 scenes of stack_blocks_two easy"):
        episodes(manifest, [WANTED], "robotwin", load_protocol("robotwin", "lingbot-va"))


def test_an_unknown_task_is_named():
    suite = SuiteSettings("robotwin", ("robotwin",), ("stack_block_two",), ("easy",), 1, None, None)
    with pytest.raises(UnknownName, match="did you mean 'stack_blocks_two'"):
        wanted_scenes(suite, load_protocol("robotwin", "lingbot-va"))
