"""LingBot-VA's settings are the numbers that a checkpoint is played with, and the agent's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from lingbot_eval.errors import BadInput
from lingbot_eval.settings.agent import AgentSettings
from lingbot_eval.settings.structs import to_dict

Size = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
"""A size of a model, or of its input: a larger one is from a damaged file, and would be allocated."""

IMAGES_PER_FRAME = 4
"""The VAE makes one latent frame of four pictures (and one of the very first alone)."""

PIXELS_PER_LATENT = 16

Quantiles = Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class LingBotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of upstream's configuration; ``conf/agent/lingbot-va/*.yaml`` gives each value's source.

    A *frame* here is a latent frame: four looks of the environment.
    """

    layout: Literal["width", "tshape"]
    """How cameras share one latent picture. width: they are side by side. tshape: two wrists are side by side on top,
    at half size, and the head is below."""
    cameras: Mapping[str, str]
    """The key that each camera has in upstream's data, by our name of it, in the order of the layout (tshape: head,
    left, right)."""
    height: Size
    """Pixels of one camera after resizing (tshape: of the head)."""
    width: Size
    frames: Size
    """Latent frames per chunk."""
    commands_per_frame: Size
    window: Size
    """Upstream's attn_window: so many groups (video or action) are kept, which are half as many chunks."""
    video_steps: Size
    action_steps: Size
    video_exec_step: Size | None
    """Denoising the video stops after so many forwards; None: after all of them."""
    video_guidance: float
    """Weight of classifier-free guidance; 1 or less: none."""
    action_guidance: float
    video_shift: float
    """Shift of the noise schedule."""
    action_shift: float
    channels: tuple[int, ...]
    """The shared action channel of each command column."""
    q01: Quantiles
    """1 % quantile of each shared channel, in robot units; -1 stands for it."""
    q99: Quantiles
    """99 % quantile of each shared channel, in robot units; +1 stands for it."""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise BadInput(f"LingBot-VA settings: {problem}")

    def _problems(self) -> list[str]:
        found = []
        if self.commands_per_frame % IMAGES_PER_FRAME:
            found.append(f"commands_per_frame={self.commands_per_frame} is not a multiple of 4 (looks per frame)")
        if self.action_guidance > 1 >= self.video_guidance:
            found.append(
                f"action_guidance={self.action_guidance:g} needs the negative prompt, which only exists with "
                f"video_guidance > 1 (here {self.video_guidance:g})"
            )
        if self.video_exec_step is not None and self.video_exec_step > self.video_steps:
            found.append(f"video_exec_step={self.video_exec_step} is beyond the schedule of {self.video_steps} steps")
        if self.window < 2:
            found.append(f"window={self.window} holds no chunk; 2 is the least (one video group, one action group)")
        for name in ("video_shift", "action_shift"):
            if not 0 < getattr(self, name) < math.inf:
                found.append(f"{name}={getattr(self, name):g} is no shift of noise levels; it must be above 0")
        for name in ("video_guidance", "action_guidance"):
            if not math.isfinite(getattr(self, name)):
                found.append(f"{name}={getattr(self, name):g} is no weight")
        if len(self.q01) != len(self.q99):
            found.append(f"{len(self.q01)} values in q01, {len(self.q99)} in q99")
        for name in ("q01", "q99"):
            if not all(map(math.isfinite, getattr(self, name))):
                found.append(f"{name} holds what is no number")
        bad = [c for c in self.channels if not 0 <= c < len(self.q01)]
        if bad or len(set(self.channels)) != len(self.channels):
            found.append(f"channels {self.channels} must be distinct and within 0..{len(self.q01) - 1}")
        return found + self._picture_problems()

    def _picture_problems(self) -> list[str]:
        size = f"height={self.height}, width={self.width}"
        if not self.cameras:
            return ["cameras names none"]
        if self.layout == "tshape":
            if len(self.cameras) != 3:
                return [f"layout tshape takes three cameras (head, left, right), not {', '.join(self.cameras)}"]
            return [f"{size}: tshape needs height % 64 == 0 and width % 32 == 0"] * bool(
                self.height % 64 or self.width % 32
            )
        bad = self.height % 32 or self.width % 16 or len(self.cameras) * self.width % 32
        return [f"{size}, {len(self.cameras)} cameras: latents must divide into 2 x 2 patches (32 pixels)"] * bool(bad)

    @property
    def latent_size(self) -> tuple[int, int]:
        """Return the rows and columns of one latent frame."""
        rows, columns = self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT
        return (3 * rows // 2, columns) if self.layout == "tshape" else (rows, len(self.cameras) * columns)

    @property
    def video_tokens_per_frame(self) -> int:
        rows, columns = self.latent_size
        return rows // 2 * (columns // 2)

    @property
    def slots(self) -> int:
        """Return how many tokens the key-value cache holds."""
        return self.window // 2 * self.frames * (self.video_tokens_per_frame + self.commands_per_frame)

    @property
    def rows(self) -> int:
        """Return the batch rows of a forward: one for the prompt, and one for the negative prompt where guidance needs
        it."""
        return 2 if max(self.video_guidance, self.action_guidance) > 1 else 1

    @property
    def commands_per_look(self) -> int:
        return self.commands_per_frame // IMAGES_PER_FRAME


class LingBotAgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """These settings say how the agent lingbot-va runs on this machine, and what it plays with."""

    dtype: Literal["bfloat16", "float32"]
    device: str
    """cpu, cuda, cuda:N, or auto: the first CUDA device, else the CPU where the model is small enough for it."""
    text_device: str | None
    """The device of the text encoder; None: ``device``."""
    vae_device: str | None
    parts: str | None
    """Folder, or ``owner/name@COMMIT`` of the hub, that has vae, text_encoder and tokenizer for a checkpoint in
    LeRobot's layout; None: they are where its own configuration says, without asking the hub."""
    exact: bool
    """Whether the original's shapes and order of operations are kept, instead of the fast path."""
    graphs: bool
    """Whether CUDA graphs and a channels-last VAE are used; on a GPU only."""
    settings: LingBotSettings
    """The numbers of the benchmark; those that a checkpoint says of itself win."""


class LingBotVASettings(AgentSettings, frozen=True, forbid_unknown_fields=True, tag="lingbot-va"):
    """These settings say which checkpoint LingBot-VA plays with, and how."""

    APART: ClassVar[frozenset[str]] = AgentSettings.APART | {"checkpoint"}
    APART_WITHIN: ClassVar[frozenset[str]] = frozenset({"parts", "device", "text_device", "vae_device", "graphs"})
    """A run may be continued with other values of these fields of ``lingbot``."""

    checkpoint: str | None
    """A folder, a repository that is in the hub's cache, or ``owner/name@COMMIT``, which is downloaded."""
    lingbot: LingBotAgentSettings

    @property
    def imagines(self) -> bool:
        return True

    @property
    def devices(self) -> tuple[str, ...]:
        named = (self.lingbot.device, self.lingbot.text_device, self.lingbot.vae_device)
        return tuple(device for device in named if device)

    def identity(self) -> dict[str, Any]:
        within = to_dict(self.lingbot).items()
        kept = {name: value for name, value in within if name not in self.APART_WITHIN}
        return {**AgentSettings.identity(self), "lingbot": kept}
