"""The numbers a LingBot-VA checkpoint is played with.  No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Literal

import msgspec
import yaml

from lingbot_eval.errors import BadInput, UnknownName
from lingbot_eval.settings import Count, as_struct

IMAGES_PER_FRAME = 4
"""The VAE makes one latent frame of four pictures (and one of the very first alone)."""

PIXELS_PER_LATENT = 16

Quantiles = Annotated[tuple[float, ...], msgspec.Meta(min_length=1)]


class LingBotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of upstream's configuration; ``conf/agent/lingbot-va/*.yaml`` gives each value's source.

    A *frame* here is a latent frame: four looks of the environment.
    """

    layout: Literal["width", "tshape"]
    """How cameras share one latent picture. width: side by side. tshape: two wrists side by side on top, at half
    size, and the head below."""
    cameras: Mapping[str, str]
    """Our name of each camera -> the key it has in upstream's data; in the order of the layout (tshape: head, left,
    right)."""
    height: Count
    """Pixels of one camera after resizing (tshape: of the head)."""
    width: Count
    frames: Count
    """Latent frames per chunk."""
    commands_per_frame: Count
    window: Count
    """Upstream's attn_window: groups (video or action) kept; half as many chunks."""
    video_steps: Count
    action_steps: Count
    video_exec_step: Count | None
    """Stop denoising the video after so many forwards; None: all of them."""
    video_guidance: float
    """Weight of classifier-free guidance; 1 or less: none."""
    action_guidance: float
    video_shift: float
    """Shift of the noise schedule."""
    action_shift: float
    channels: tuple[int, ...]
    """Which shared action channel each command column is."""
    q01: Quantiles
    """1 % quantile of each shared channel, in robot units; what -1 stands for."""
    q99: Quantiles
    """99 % quantile; what +1 stands for."""

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
        if len(self.q01) != len(self.q99):
            found.append(f"{len(self.q01)} values in q01, {len(self.q99)} in q99")
        bad = [c for c in self.channels if not 0 <= c < len(self.q01)]
        if bad or len(set(self.channels)) != len(self.channels):
            found.append(f"channels {self.channels} must be distinct and within 0..{len(self.q01) - 1}")
        return found + self._picture_problems()

    def _picture_problems(self) -> list[str]:
        size = f"height={self.height}, width={self.width}"
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
        """Rows and columns of one latent frame."""
        rows, columns = self.height // PIXELS_PER_LATENT, self.width // PIXELS_PER_LATENT
        return (3 * rows // 2, columns) if self.layout == "tshape" else (rows, len(self.cameras) * columns)

    @property
    def video_tokens_per_frame(self) -> int:
        rows, columns = self.latent_size
        return rows // 2 * (columns // 2)

    @property
    def slots(self) -> int:
        """Tokens that the attention cache holds."""
        return self.window // 2 * self.frames * (self.video_tokens_per_frame + self.commands_per_frame)

    @property
    def rows(self) -> int:
        """Batch rows of a forward: the prompt, and the negative prompt where guidance needs it."""
        return 2 if max(self.video_guidance, self.action_guidance) > 1 else 1

    @property
    def commands_per_look(self) -> int:
        return self.commands_per_frame // IMAGES_PER_FRAME


def benchmark_names() -> list[str]:
    folder = resources.files("lingbot_eval") / "conf" / "agent" / "lingbot-va"
    return sorted(entry.name[: -len(".yaml")] for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_benchmark(name: str) -> LingBotSettings:
    """The settings shipped for a benchmark.

    Raises UnknownName.
    """
    if name not in benchmark_names():
        raise UnknownName("LingBot-VA benchmark", name, benchmark_names())
    text = (resources.files("lingbot_eval") / "conf" / "agent" / "lingbot-va" / f"{name}.yaml").read_text()
    settings: LingBotSettings = as_struct(yaml.safe_load(text), LingBotSettings)
    return settings


def overridden(settings: LingBotSettings, own: Mapping[str, Any]) -> tuple[LingBotSettings, list[str]]:
    """``settings`` with the values that a checkpoint brings, and one line for each that was another one before."""
    merged = msgspec.to_builtins(settings) | own
    lines = [
        f"{name}: the checkpoint says {_short(value)}, the settings {_short(getattr(settings, name))}"
        for name, value in own.items()
        if not _same(msgspec.to_builtins(getattr(settings, name)), value)
    ]
    result: LingBotSettings = as_struct(merged, LingBotSettings)
    return result, lines


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(_same(a, b) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, float) and isinstance(theirs, (int, float)):
        return math.isclose(mine, theirs, rel_tol=1e-6, abs_tol=1e-12)  # float32 in one file, decimal in the other
    return bool(mine == theirs)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def from_upstream(config: Mapping[str, Any], cameras: Mapping[str, str] | None = None) -> LingBotSettings:
    """Settings from a configuration with upstream's names; ``cameras`` maps our names to its keys (default: the keys).

    Raises BadInput for what upstream can say and this implementation does not do.
    """
    if config.get("action_norm_method", "quantiles") != "quantiles":
        raise BadInput(f"action_norm_method {config['action_norm_method']!r} (valid: quantiles)")
    layouts = {"none": "width", "robotwin_tshape": "tshape"}
    if config["env_type"] not in layouts:
        raise UnknownName("env_type", config["env_type"], layouts)
    exec_step = config["video_exec_step"]
    keys = config["obs_cam_keys"]
    settings: LingBotSettings = as_struct(
        {
            "layout": layouts[config["env_type"]],
            "cameras": cameras or {key: key for key in keys},
            "height": config["height"],
            "width": config["width"],
            "frames": config["frame_chunk_size"],
            "commands_per_frame": config["action_per_frame"],
            "window": config["attn_window"],
            "video_steps": config["num_inference_steps"],
            "action_steps": config["action_num_inference_steps"],
            "video_exec_step": None if exec_step == -1 else exec_step,
            "video_guidance": config["guidance_scale"],
            "action_guidance": config["action_guidance_scale"],
            "video_shift": config["snr_shift"],
            "action_shift": config["action_snr_shift"],
            "channels": config["used_action_channel_ids"],
            "q01": config["norm_stat"]["q01"],
            "q99": config["norm_stat"]["q99"],
        },
        LingBotSettings,
    )
    return settings
