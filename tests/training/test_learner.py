"""What one optimizer step does, and which items it may see."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.models.lingbot_va.initial import initialise
from lingbot_eval.models.lingbot_va.noising import Batch, Noised, noised
from lingbot_eval.models.lingbot_va.training import Trainable
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer
from lingbot_eval.runs.compose import training_settings
from lingbot_eval.training.batches import Batches
from lingbot_eval.training.learner import Learner
from lingbot_eval.training.loop import split
from lingbot_eval.training.preparing import prepare
from lingbot_eval.training.ranks import Ranks
from tests.training.runs import words

ALONE = Ranks(0, 1, 1, torch.device("cpu"))
SMALL = Shape(2, 12, 1, 24, 8, 8, 30, 48, 48, 1e-6)


def settings(*more: str, data: Path = Path("a"), tiny: Path = Path("b")):
    return training_settings(words(data, tiny, Path("c"), *more))


def micro_batch(chosen, seed: int, items: int = 2, texts: tuple[int, ...] = (3, 3)) -> Noised:
    """``texts``: how many tokens each item's has."""
    dice = torch.Generator().manual_seed(seed)
    actions = torch.randn(items, 30, 2, 4, 1, generator=dice)
    latents = torch.randn(items, 48, 2, 2, 2, generator=dice)
    words = tuple(torch.randn(count + seed, 8, generator=dice) for count in texts[:items])
    return noised(Batch(latents, actions, torch.ones_like(actions, dtype=torch.bool), words), chosen.noising, dice)


def gradients(transformer: VideoActionTransformer, batches: list[Noised], clip: float) -> tuple[dict, float]:
    """Of the mean over the batches' losses, by name and clipped, and their norm before."""
    trainable = Trainable(copy.deepcopy(transformer), "dense")
    torch.stack([trainable(batch).total for batch in batches]).mean().backward()
    found = {name: value.grad for name, value in trainable.transformer.named_parameters()}
    norm = torch.stack([value.square().sum() for value in found.values()]).sum().sqrt()
    return {name: value * min(1.0, clip / norm.item()) for name, value in found.items()}, norm.item()


def test_a_step_is_adams_on_the_clipped_mean_over_micro_batches_and_the_first_only_fills_the_moments():
    chosen = settings("optimizer.clip=0.01", "optimizer.weight_decay=0", "optimizer.eps=1e-12", "optimizer.average=0.5")
    transformer = VideoActionTransformer(SMALL)
    initialise(transformer, torch.Generator().manual_seed(0))
    batches = [micro_batch(chosen, seed) for seed in range(2)]
    wanted, norm = gradients(transformer, batches, 0.01)
    before = copy.deepcopy(transformer.state_dict())
    learner = Learner(Trainable(transformer, "dense"), chosen, ALONE)
    _, size, rate = learner.learn(0, batches)
    assert (rate, size > 0.02) == (0.0, True)
    assert size == pytest.approx(norm)
    state = copy.deepcopy(learner.tensors())
    for name, gradient in wanted.items():
        assert torch.equal(state[f"weights.{name}"], before[name])
        torch.testing.assert_close(state[f"first.{name}"], 0.1 * gradient)
        torch.testing.assert_close(state[f"second.{name}"], 0.05 * gradient.square())
    _, size, rate = learner.learn(1, batches)  # the same gradient once more, and alone; half of the warm-up
    assert (size, rate) == (pytest.approx(norm), pytest.approx(0.5 * 1.5e-3))
    state = learner.tensors()
    for name, gradient in wanted.items():
        torch.testing.assert_close(state[f"first.{name}"], (0.9 * 0.1 + 0.1) * gradient)
        moved = state[f"weights.{name}"] - before[name]
        assert moved.abs().max().item() == pytest.approx(rate if gradient.abs().max() > 1e-6 else 0.0, rel=1e-2)
        averaged = state[f"average.{name}"] - before[name]
        torch.testing.assert_close(averaged, (1 - 2 / 22) * moved, rtol=1e-3, atol=1e-7)


def test_episodes_that_are_held_out_are_never_trained_on_and_looked_at_in_full(data, tiny):
    prepared = prepare(settings("held_out.share=0.3", "batch=3", data=data, tiny=tiny), ALONE)
    order, looked_at = split(prepared)
    learnt = {n for number in range(3 * order.per_epoch) for n in order.items(number)}
    apart = {n for batch in looked_at for n in batch}
    assert len(apart) == 4  # of two tasks with four episodes each
    assert learnt | apart == set(range(8))
    assert not learnt & apart


def test_texts_are_dropped_and_worded_otherwise_as_often_as_asked(data, tiny):
    def texts(*more: str) -> list[torch.Tensor]:
        prepared = prepare(settings(*more, data=data, tiny=tiny), ALONE)
        batches, items = Batches(prepared.items, prepared.settings), prepared.items
        found = [text for number in range(60) for text in batches.drawn([0], number).texts]
        kinds = [items.empty, *items[0].texts]
        return [sum(torch.equal(text, kind) for text in found) for kind in kinds]

    empty, own, other = texts("text_dropout=0.2", "wordings=any")
    assert 5 <= empty <= 20
    assert min(own, other) >= 15
    assert texts("text_dropout=0", "wordings=own") == [0, 60, 0]


@pytest.mark.filterwarnings("ignore:::torch.*", "ignore:The .grad attribute")  # of what the compiler does itself
def test_compiled_blocks_learn_what_others_do_and_micro_batches_that_are_not_full_are_not_compiled(monkeypatch):
    """Without making machine code of the graph, which takes a minute."""
    compile = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compile(self, backend="eager", **how))
    torch._dynamo.reset()  # other tests' graphs are counted as well: FlexAttention has some on a CPU
    torch._dynamo.utils.counters.clear()
    fast = ("compile=true", "precision=autocast", "attention=products")
    losses = {}
    for more in ((), fast):
        chosen = settings("optimizer.warm_up=0", *more)
        transformer = VideoActionTransformer(SMALL)
        initialise(transformer, torch.Generator().manual_seed(0))
        learner = Learner(Trainable(transformer, chosen.attention, chosen.compile), chosen, ALONE)
        told = [learner.learn(step, [micro_batch(chosen, seed=step, texts=(3, 5))]) for step in range(3)]
        losses[more] = [(sums.video, sums.action, norm) for sums, norm, _ in told]
        counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        learner.look([(micro_batch(chosen, 0), True)])  # nor is what is only looked at
        learner.learn(3, [micro_batch(chosen, 0, items=1)])
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == counted
    assert counted == 1
    torch.testing.assert_close(torch.tensor(losses[fast]), torch.tensor(losses[()]), rtol=0.05, atol=0)
