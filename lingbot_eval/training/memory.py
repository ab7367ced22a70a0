"""Says what a training occupies, and whether it fits, before anything is loaded."""

from __future__ import annotations

from lingbot_eval.errors import NotReady
from lingbot_eval.settings.train import TrainSettings

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
"""Products a second in bfloat16 without sparsity, by a word of the device's name (NVIDIA's data sheets)."""


def state_bytes(learnt: int, frozen: int, settings: TrainSettings, processes: int) -> float:
    """Return what a process holds of the weights: of each that is learnt the float32 master, two moments, a gradient
    and perhaps an average; of each of all a bfloat16 copy where forwards have one."""
    average = 4 if settings.optimizer.average is not None else 0
    half = 2 if settings.precision == "bf16" else 0
    return (learnt * (4 + 8 + 4 + average + half) + frozen * (4 + half)) / processes


def activation_bytes(tokens: int, layers: int, width: int, inner: int, settings: TrainSettings) -> float:
    """Return about what a micro-batch keeps until its gradient: some 20 values of the model's width and 2 of the feed
    forward's for each token and layer; with ``recompute`` the layers' inputs, and one layer's insides."""
    value = 2 if settings.precision == "bf16" else 4
    inside = tokens * (20 * width + 2 * inner) * value
    if settings.recompute:
        return tokens * width * value * layers + inside
    return float(inside * layers)


def require(held: float, kept: float, free: float, device: str, processes: int) -> None:
    """Compare what ``processes`` on one device's memory hold and keep with what is ``free``.

    Raises NotReady with the arithmetic.
    """
    needed = processes * (held + kept)
    if needed > free:
        each = f"{processes} x " if processes > 1 else ""
        raise NotReady(
            f"{device} has {_gigabytes(free)} free, and training needs about {each}({_gigabytes(held)} of weights, "
            f"moments and gradients + {_gigabytes(kept)} of activations): more processes, a smaller batch, "
            "recompute=true, lora=..., or a smaller model"
        )


def utilisation(name: str, parameters: int, tokens: float, seconds: float) -> float | None:
    """Return the share of a device's peak that training used, by 6 products a parameter and token; None where the
    device's peak is not known."""
    peaks = [peak for word, peak in PEAKS.items() if word in name]
    return 6 * parameters * tokens / seconds / peaks[0] if peaks else None


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.3g} GB"
