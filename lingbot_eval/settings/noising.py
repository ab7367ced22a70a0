"""How items are noised for training; ``conf/train/*.yaml`` gives each value's source."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.structs import Count

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]
Range = tuple[Count, Count]
"""The least and the largest, both included."""


class Noising(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a training step is drawn, and from where. The original's values are named in each field's docstring.

    A *frame* here is a latent frame; *clean* is what stands for the past in the sequence, beside the noisy frames.
    """

    video_shift: float
    """Shift of the video's noise levels; the checkpoint is played with the same (original: 5)."""
    action_shift: float
    levels: Literal["per-batch", "per-sample"]
    """Whether the levels of the frames, and whether the past is noised, are drawn once for all samples (original) or
    for each."""
    weight_floor: Weight
    """Added to the bell over the levels that weights the loss, before its mean is made 1 (original: 0, which gives pure
    noise no weight)."""
    history_share: Share
    """So often the clean video is noised (original: 0.5); the actions never are."""
    history_from: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    """A noised past leaves out this share of the levels, the noisiest (original: 0.5)."""
    longest: Count | None
    """Frames that are read of an item, at most; of a longer one a stretch is drawn. None: all, as the original does."""
    chunk: Range
    """Frames per chunk (original: 1 to 4)."""
    window: Range | None
    """How far back is seen, counted in streams of chunks, which are two per chunk (original: 4 to 64). None:
    everything."""
    forward_dynamics_share: Share
    """So often the commands of a chunk come before its video, which is then what they lead to, and only the video is
    learnt (original: 0)."""
    copies: Count
    """So many noisy copies of an item share one clean one (original: 1)."""
    first_frame: Literal["denoised", "given"]
    """Whether the first frame is learnt as the others are (original), or is known, as it is in play."""
    first_actions: Literal["raw-zeros", "zeros"]
    """What stands for the commands before an item's first frame: zeros in robot units, normalised (original), or zeros
    of the normalised space, as in play."""
    video_weight: Weight
    """Of the video's loss in the sum (original: 1)."""
    action_weight: Weight

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise BadInput(f"noising: {problem}")

    def _problems(self) -> list[str]:
        found = []
        for name in ("video_shift", "action_shift"):
            if not 0 < getattr(self, name) < math.inf:
                found.append(f"{name}={getattr(self, name):g} is no shift of noise levels; it must be above 0")
        for name in ("chunk", "window"):
            low, high = getattr(self, name) or (1, 1)
            if low > high:
                found.append(f"{name}=[{low}, {high}] is no range; the first is the least")
        for name in ("weight_floor", "video_weight", "action_weight"):
            if not math.isfinite(getattr(self, name)):
                found.append(f"{name}={getattr(self, name):g} is no weight")
        return found
