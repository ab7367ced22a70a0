from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingbot_eval.training.draws import generator
from lingbot_eval.training.order import Order, evenly, held_out

LENGTHS = {0: 2, 1: 3, 2: 2, 3: 2, 5: 3, 8: 2, 9: 7}


def epoch(order: Order, number: int) -> list[list[int]]:
    return [order.items(n) for n in range(number * order.per_epoch, (number + 1) * order.per_epoch)]


@given(st.dictionaries(st.integers(0, 50), st.integers(2, 5), min_size=1), st.integers(1, 5), st.integers(0, 9))
def test_every_item_is_in_one_micro_batch_of_an_epoch_with_others_of_its_length(lengths, batch, seed):
    order = Order(lengths, batch, seed)
    for number in (0, 3):
        batches = epoch(order, number)
        assert sorted(item for items in batches for item in items) == sorted(lengths)
        assert all(len({lengths[item] for item in items}) == 1 and len(items) <= batch for items in batches)


def test_items_of_which_equally_much_is_read_are_together():
    batches = epoch(Order(LENGTHS, 4, 0, longest=3), 0)
    assert sorted(map(sorted, batches)) == [[0, 2, 3, 8], [1, 5, 9]]


def test_another_epoch_or_seed_has_another_order():
    order = Order(LENGTHS, 2, 0)
    assert epoch(order, 0) != epoch(order, 1)
    assert epoch(order, 0) != epoch(Order(LENGTHS, 2, 1), 0)


def test_a_micro_batch_does_not_depend_on_which_were_asked_for_before():
    order = Order(LENGTHS, 2, 0)
    late = order.items(17)
    order.items(2)
    assert order.items(17) == late == Order(LENGTHS, 2, 0).items(17)


def test_of_each_task_a_share_of_the_episodes_is_held_out_but_never_all():
    episodes = [("a", str(n)) for n in range(10)] + [("b", str(n)) for n in range(2)] + [("c", "0")]
    chosen = held_out(episodes, 0.3, 0)
    assert [sum(task == name for task, _ in chosen) for name in "abc"] == [3, 1, 0]
    assert held_out(episodes, 0.0, 0) == set()
    assert held_out(episodes[::-1], 0.3, 0) == chosen
    assert held_out(episodes, 0.3, 1) != chosen


def test_chance_depends_on_seed_and_purpose_alone():
    def draw(*purpose: object) -> float:
        return generator(*purpose).initial_seed()

    assert draw(0, "noise", 3) == draw(0, "noise", 3)
    assert len({draw(0, "noise", 3), draw(0, "noise", 4), draw(1, "noise", 3), draw(0, "text", 3)}) == 4


def test_with_balance_longer_items_are_drawn_oftener():
    order = Order({0: 2, 1: 4, 2: 8}, 1, 0, balance=1.0)
    drawn = [item for items in epoch(order, 0) for item in items]
    assert [drawn.count(item) for item in range(3)] == [1, 2, 4]


def test_what_is_looked_at_is_from_the_beginning_to_the_end():
    assert evenly(range(100), 64)[::21] == [0, 32, 65, 98]
    assert evenly([3, 5], 64) == [3, 5]
    assert evenly([], 64) == []
