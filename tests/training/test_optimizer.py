from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")

from lingbot_eval.settings.train import Optimizer
from lingbot_eval.training.optimizer import Average, adamw, rate, set_rate


def settings(**changes: object) -> Optimizer:
    """As the original, but for changes."""
    values: dict[str, object] = {
        **{"rate": 1e-5, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1, "decays": "all", "clip": 2.0},
        **{"warm_up": 10, "schedule": "constant", "floor": 0.0, "average": None},
    }
    return Optimizer(**{**values, **changes})  # type: ignore[arg-type]


def test_the_rate_grows_from_nothing_in_the_first_step_and_stays():
    rates = [rate(settings(), step, 100) for step in (0, 1, 5, 10, 11, 99)]
    assert rates == pytest.approx([0, 1e-6, 5e-6, 1e-5, 1e-5, 1e-5])


def test_a_cosine_falls_to_its_floor():
    chosen = settings(schedule="cosine", floor=0.02, warm_up=0)
    assert [rate(chosen, step, 100) for step in (0, 50, 100)] == pytest.approx([1e-5, 0.51e-5, 0.02e-5])


@pytest.mark.parametrize(("decays", "kept"), [("all", 0.9), ("matrices", 1.0)])
def test_vectors_decay_as_the_recipe_says(decays, kept):
    weights = {name: torch.nn.Parameter(torch.ones(shape)) for name, shape in (("matrix", (2, 2)), ("bias", (2,)))}
    optimizer = adamw(weights, settings(decays=decays))
    set_rate(optimizer, 1.0)
    for value in weights.values():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    assert weights["matrix"].flatten()[0].item() == pytest.approx(0.9)
    assert weights["bias"][0].item() == pytest.approx(kept)


def test_a_step_is_adams_with_decoupled_decay():
    weight = torch.nn.Parameter(torch.tensor([[2.0]]))
    optimizer = adamw({"weight": weight}, settings(eps=0.0))
    set_rate(optimizer, 0.5)
    weight.grad = torch.tensor([[3.0]])
    optimizer.step()
    assert weight.item() == pytest.approx(2.0 * (1 - 0.5 * 0.1) - 0.5)  # the first step's size is the rate


def test_the_average_follows_faster_while_it_is_young():
    weight = torch.nn.Parameter(torch.tensor([0.0]))
    average = Average({"weight": weight}, 0.995)
    weight.data.fill_(1.0)
    average.follow(1)
    assert average.values["weight"].item() == pytest.approx(1 - 1 / 21)
    average.follow(10**6)
    assert average.values["weight"].item() == pytest.approx(1 - 0.995 / 21)


def test_an_average_that_is_exchanged_twice_changes_nothing():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    average = Average({"weight": weight}, 0.5)
    weight.data.fill_(3.0)
    average.exchange()
    assert (weight.item(), average.values["weight"].item()) == (1.0, 3.0)
    average.exchange()
    assert (weight.item(), average.values["weight"].item()) == (3.0, 1.0)
