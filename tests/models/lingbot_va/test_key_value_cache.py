"""The cache keeps what an ordered list of groups would keep, wherever the tokens lie."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from hypothesis import given
from hypothesis import strategies as st

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.key_value_cache import KeyValueCache, SlottedCache

SLOTS = 12


def cache(kind: type[KeyValueCache] = KeyValueCache, slots: int = SLOTS, rows: int = 1) -> KeyValueCache:
    return kind(2, rows, slots, 1, 1, torch.float64, torch.device("cpu"))


def write(into: KeyValueCache, values: list[float], rows: int = 1) -> list[float]:
    """The values that a forward with these own values attends to, sorted."""
    content = torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1).expand(rows, -1, -1, -1)
    for layer in range(2):
        keys, seen = into.write(layer, content, -content)
        assert torch.equal(keys, -seen)
    return sorted(keys[0, :, 0, 0].tolist())


steps = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["drop", "predicted", "real", "clear predictions"])))


@pytest.mark.parametrize("kind", [KeyValueCache, SlottedCache])
@given(steps=steps)
def test_it_is_a_list_of_groups_that_loses_its_oldest_tokens_first(kind, steps):
    ours = cache(kind)
    model: list[tuple[bool, list[float]]] = []  # (real, values), oldest first
    count = 0.0
    for tokens, what in steps:
        if what == "clear predictions":
            ours.drop_predictions()
            model = [group for group in model if group[0]]
            continue
        missing = max(0, sum(len(values) for _, values in model) + tokens - SLOTS)
        assert ours.make_room(tokens) == missing
        while missing:
            part = min(missing, len(model[0][1]))
            model[0] = (model[0][0], model[0][1][part:])
            missing -= part
            model = [group for group in model if group[1]]
        own = [count + i for i in range(tokens)]
        count += tokens
        held = [value for _, values in model for value in values]
        assert write(ours, own) == sorted(held + own)
        if what != "drop":
            ours.commit(f"at {own[0]}", tokens, real=what == "real", rows=1)
            assert ours.newest(1, tokens, 1)[0][0, :, 0, 0].tolist() == own
            model.append((what == "real", own))
        assert [count for _, count in ours.attended()] == [len(values) for _, values in model]
        assert ours.contents(1)[0][0, :, 0, 0].tolist() == [value for _, values in model for value in values]


def test_a_group_is_evicted_in_part_its_earliest_tokens_first():
    ours = cache(slots=6)
    for name, values in (("a", [1.0, 2.0, 3.0]), ("b", [4.0, 5.0])):
        ours.make_room(len(values))
        write(ours, values)
        ours.commit(name, len(values), real=True, rows=1)
    assert ours.make_room(3) == 2
    assert ours.tokens() == [("a", 2, True), ("b", 0, True), ("b", 1, True)]
    assert write(ours, [6.0, 7.0, 8.0]) == [3.0, 4.0, 5.0, 6.0, 7.0, 8.0]


def test_the_exact_cache_fills_holes_from_the_front_and_attends_in_the_order_of_slots():
    ours = cache(SlottedCache, slots=6)
    for values in ([1.0, 2.0, 3.0], [4.0, 5.0]):
        ours.make_room(len(values))
        write(ours, values)
        ours.commit(f"{values}", len(values), real=True, rows=1)
    assert ours.make_room(3) == 2
    own = torch.tensor([6.0, 7.0, 8.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert ours.write(0, own, own)[0].flatten().tolist() == [6.0, 7.0, 3.0, 4.0, 5.0, 8.0]


def test_a_forward_larger_than_the_cache_is_refused():
    with pytest.raises(BadInput, match="13 tokens of one forward do not fit into a key-value cache of 12"):
        cache().make_room(13)


def test_a_row_that_was_never_written_cannot_be_read():
    ours = cache(rows=2)
    ours.make_room(2)
    write(ours, [1.0, 2.0])
    ours.commit("one row", 2, real=False, rows=1)
    ours.check_rows(1)
    with pytest.raises(AssertionError, match="one row"):
        ours.check_rows(2)
