"""Training's settings say what is learnt from what, how, and what is told meanwhile (``conf/train/*.yaml``).

A *micro-batch* is so many items of one length whose losses are computed at once; an *optimizer step* takes the mean
over several of them, whichever process computes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.noising import Noising
from lingbot_eval.settings.structs import Count, to_dict

Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
LARGEST = 1e38
"""float32 has hardly larger numbers; infinity is none that a checkpoint may hold."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=LARGEST)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=LARGEST)]
Whole = Annotated[int, msgspec.Meta(ge=0)]
Seed = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class Optimizer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AdamW, and how its rate goes. Schedules count optimizer steps."""

    rate: Positive
    beta1: Share
    beta2: Share
    eps: Positive
    weight_decay: NotNegative
    decays: Literal["all", "matrices"]
    """Which parameters decay. all: as the original, also biases, norms and tables. matrices: those with two dimensions
    or more, that is, tables too."""
    clip: Positive
    """The gradient's norm over all parameters is at most this."""
    warm_up: Whole
    """The rate grows linearly over so many steps, from 0 in the very first one, which only fills the moments."""
    schedule: Literal["constant", "cosine"]
    """What the rate does behind the warm-up."""
    floor: Share
    """cosine: this share of the rate is left at the last step."""
    average: Share | None
    """Decay of the exponential average of the weights, min(this, step / (step + 20)); None: none is kept."""


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Low-rank adapters are trained instead of the weights."""

    rank: Whole
    """0: there are none, and all weights are trained."""
    alpha: Count
    """The adapters' product counts alpha / rank times."""
    modules: tuple[str, ...]
    """The linear layers whose names end so."""
    merged: bool
    """The checkpoint has them added to its weights; where this is false, they are written by themselves, too, as peft
    reads them."""


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some episodes are never trained on, and their losses are told."""

    share: Share
    """Of every task's episodes; at least one where it is above 0 and the task has two."""
    every: Count
    """Optimizer steps between two looks at them."""
    most: Count
    """So many of their items are looked at, always the same ones under the same noise."""


class Play(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A suite is played while training goes on."""

    every: Whole
    """Optimizer steps between two times; 0: it is not played."""
    suite: str
    choices: Mapping[str, str | int]
    """These are flags of run-suite: agent, tasks, episodes, setting, workers ..."""
    settings: Mapping[str, str | int | float | bool | None]
    """These are other settings of the run, by dotted name, ``{"agent.lingbot.dtype": "float32"}``."""
    film: bool
    """Whether a held-out item is imagined, too, and shown above what was real."""


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One training."""

    APART: ClassVar[frozenset[str]] = frozenset(
        {"data", "checkpoint", "out", "robot", "attention", "compile", "recompute", "play", "save_every"}
        | {"lerobot", "device", "tracker"}
    )
    """These change nothing of what is learnt but its rounding. What ``data``, ``checkpoint`` and ``robot`` hold counts
    by content, not by place."""

    data: str
    """Folder of a LeRobot dataset with latents."""
    checkpoint: str
    """What is trained on, as ``agent.checkpoint``."""
    out: str
    robot: str
    """A name of ``conf/robot``, or a file."""
    seed: Seed
    steps: Count
    """Of the optimizer."""
    batch: Count
    """So many items are in a micro-batch."""
    micro_batches: Count
    """So many micro-batches make an optimizer step, over all processes."""
    balance: Annotated[float, msgspec.Meta(ge=0, le=2)]
    """An item of n latent frames is drawn in proportion to n to this power. 0: all items as often."""
    text_dropout: Share
    """The instruction is replaced by the empty one with this probability."""
    wordings: Literal["own", "any"]
    """own: an item is told by its own instruction. any: by any wording of it, drawn anew every time."""
    noising: Noising
    optimizer: Optimizer
    precision: Literal["float32", "bf16", "autocast"]
    """bf16: as the original, float32 weights and moments of which forwards have bfloat16 copies. autocast: products
    alone are bfloat16, which is fast on a CPU."""
    attention: Literal["dense", "flex", "chunks", "products"]
    compile: bool
    """Whether blocks are compiled, once for every shape that full micro-batches have; others are computed without."""
    recompute: bool
    """Whether blocks forget what they computed until the gradient needs it: less memory, a third more time."""
    lora: Lora
    held_out: HeldOut
    play: Play
    save_every: Count
    """Optimizer steps between two states from which training can go on."""
    dtype: Literal["bfloat16", "float32"]
    """Of the checkpoint that is written."""
    lerobot: bool
    """Whether it is written in LeRobot's layout as well."""
    device: str
    """cpu, cuda, or auto: cuda where there is one. With torchrun, every process has its own."""
    tracker: Literal["none", "tensorboard", "wandb"]

    def __post_init__(self) -> None:
        if self.optimizer.warm_up >= self.steps:
            found = f"warm_up={self.optimizer.warm_up}, steps={self.steps}"
            raise BadInput(f"training: {found}: the rate would never be reached; more steps, or a shorter warm_up")
        if self.compile and (problem := self._not_compiled()):
            raise BadInput(f"training: compile=true {problem}")

    def _not_compiled(self) -> str:
        """Say why blocks cannot be compiled as they are to be; nothing where they can."""
        if self.noising.chunk[0] != self.noising.chunk[1]:
            return f"is for one shape, and noising.chunk={list(self.noising.chunk)} draws several; choose one"
        if self.precision == "bf16" or self.recompute:
            return "is for precision=float32 or autocast, with recompute=false"
        return ""

    def identity(self) -> dict[str, Any]:
        """Return what makes two trainings the same, besides the content of data and checkpoint. With a constant rate,
        a training may be made longer."""
        said = {name: value for name, value in to_dict(self).items() if name not in self.APART}
        return {name: value for name, value in said.items() if name != "steps" or self.optimizer.schedule == "cosine"}
