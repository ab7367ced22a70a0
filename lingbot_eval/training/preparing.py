"""Everything that is wrong is said before anything is loaded."""

from __future__ import annotations

import math
import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from lingbot_eval.agents.lingbot_va.memory import free_bytes
from lingbot_eval.datasets.items import Items, open_items
from lingbot_eval.datasets.made import encoders_hash, read_made
from lingbot_eval.datasets.robots import load_robot
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint, Tensors, locate
from lingbot_eval.models.lingbot_va.transformer import PATCH
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.train import TrainSettings
from lingbot_eval.training import lora, memory, playing
from lingbot_eval.training.order import held_out
from lingbot_eval.training.ranks import Ranks

MEANT = ("layout", "cameras", "height", "width", "commands_per_frame", "channels", "q01", "q99")
"""Settings in which a checkpoint's numbers have their meaning: the robot's must be the same."""


@dataclass(frozen=True)
class Prepared:
    """What a training needs, checked."""

    settings: TrainSettings
    base: Checkpoint
    items: Items
    model: LingBotSettings
    """What the trained model is played with."""

    def contents(self) -> dict[str, str]:
        """Return the hashes of what is learnt from."""
        return {"data content": self.items.hash(), "checkpoint content": self.base.hash()}

    def held_out(self) -> set[int]:
        """Return the items that are never trained on."""
        episodes = [(self.items.task(n), self.items.episode(n)) for n in range(len(self.items))]
        apart = held_out(episodes, self.settings.held_out.share, self.settings.seed)
        return {n for n, episode in enumerate(episodes) if episode in apart}


def prepare(settings: TrainSettings, ranks: Ranks) -> Prepared:
    """Find and check data and checkpoint. Raises BadInput, NotReady and UnknownName in one line."""
    if settings.micro_batches % ranks.count:
        raise BadInput(
            f"micro_batches={settings.micro_batches} cannot be shared by {ranks.count} processes; a multiple of it can"
        )
    if settings.play.every:
        playing.check(settings.play)
    if settings.lora.rank:
        lora.require_peft()
    if settings.compile:
        _require_compiler(ranks)
    base = locate(settings.checkpoint)
    items = open_items(Path(settings.data), load_robot(settings.robot))
    shifts = {name: getattr(settings.noising, name) for name in ("video_shift", "action_shift")}
    model = msgspec.structs.replace(items.settings, **shifts)
    if (longest := settings.noising.longest) is not None:  # nothing farther back was ever seen
        model = msgspec.structs.replace(model, window=2 * math.ceil(longest / model.frames))
    _require_same(base, model, settings)
    _require_fit(base, model, items, settings)
    _require_encoders(base, items, settings)
    if settings.attention == "flex" and ranks.device.type == "cpu":
        raise BadInput("attention=flex cannot be trained on a CPU: attention=chunks, or dense for short items")
    _require_memory(base, items, settings, ranks)
    return Prepared(settings, base, items, model)


def slow(settings: TrainSettings) -> str:
    """Return a line for a CPU that is to compute in bfloat16 and has no instructions for it; else nothing. Products
    of matrices took 45 times as long as in float32 on one of AMD's second generation (torch 2.13)."""
    on_cpu = settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())
    able = torch.cpu.get_capabilities()
    if settings.precision == "float32" or not on_cpu or able.get("architecture") not in (None, "x86_64"):
        return ""
    if able.get("avx512_bf16") or able.get("amx_bf16"):
        return ""
    words = "this CPU has no instructions for bfloat16, and is many times faster in float32"
    return f"precision={settings.precision}: {words}"


def _require_compiler(ranks: Ranks) -> None:
    if ranks.count > 1:
        raise BadInput(f"compile=true is for one process, and there are {ranks.count}; with compile=false they train")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if ranks.device.type == "cpu" and not (shutil.which(os.environ.get("CXX", "g++")) and header.exists()):
        raise NotReady(f"compile=true needs a C++ compiler (g++, or CXX) and {header}; install both, or compile=false")


def _require_same(base: Checkpoint, model: LingBotSettings, settings: TrainSettings) -> None:
    plain = msgspec.to_builtins(model)
    for name in MEANT:
        if name in base.settings and not _same(base.settings[name], plain[name]):
            raise BadInput(
                f"{settings.checkpoint} was trained with {name} {_short(base.settings[name])}, and robot="
                f"{settings.robot} says {_short(plain[name])}: choose its robot, or a base without settings of its own"
            )


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)):
        return len(theirs) == len(ours) and all(map(_same, theirs, ours))
    if isinstance(theirs, float) or isinstance(ours, float):
        return abs(float(theirs) - float(ours)) <= 1e-6 * max(1.0, abs(float(ours)))  # float32 in one, decimal in other
    return bool(theirs == ours)


def _require_fit(base: Checkpoint, model: LingBotSettings, items: Items, settings: TrainSettings) -> None:
    """Compare the shapes of the data with those of the checkpoint."""
    config = base.config
    if len(model.q01) != config.get("action_dim"):
        raise BadInput(
            f"robot={settings.robot} has {len(model.q01)} action channels, {settings.checkpoint} has "
            f"{config.get('action_dim')}"
        )
    if (width := items.empty.shape[-1]) != config.get("text_dim"):
        raise BadInput(
            f"the texts in {settings.data} are {width} wide, and {settings.checkpoint} reads {config.get('text_dim')}: "
            f"encode the data with this checkpoint's text encoder (lingbot-eval latents --checkpoint)"
        )
    channels, *_, rows, columns = items[0].latents.shape
    if channels != config.get("in_channels") or (rows, columns) != model.latent_size:
        raise BadInput(
            f"the latents in {settings.data} are {channels} x {rows} x {columns}; {settings.checkpoint} and robot="
            f"{settings.robot} want {config.get('in_channels')} x {' x '.join(map(str, model.latent_size))}"
        )


def _require_encoders(base: Checkpoint, items: Items, settings: TrainSettings) -> None:
    """Raise BadInput for latents that the base's own VAE and text encoder did not make: it would play others."""
    for folder in sorted({place.dataset.folder for place in items.places}):
        made = read_made(folder)
        if made is not None and made.encoders != encoders_hash(base):
            raise BadInput(
                f"the latents in {folder} were made by other encoders ({made.encoders}) than those of "
                f"{settings.checkpoint} ({encoders_hash(base)}): encode the data with this checkpoint (lingbot-eval "
                "latents --checkpoint)"
            )


def _require_memory(base: Checkpoint, items: Items, settings: TrainSettings, ranks: Ranks) -> None:
    config, shapes = base.config, Tensors(base.transformer, base.prefix).shapes
    weights = sum(_count(shape) for shape in shapes.values())
    learnt = weights
    if settings.lora.rank:
        ends = tuple(f".{name}.weight" for name in settings.lora.modules)
        learnt = sum(settings.lora.rank * sum(shape) for name, shape in shapes.items() if name.endswith(ends))
    held = memory.state_bytes(learnt, weights - learnt, settings, ranks.count)
    width = config["num_attention_heads"] * config["attention_head_dim"]
    longest = max(range(len(items)), key=items.frames)
    count = sequence(items, longest, settings) * settings.batch
    kept = memory.activation_bytes(count, config["num_layers"], width, config["ffn_dim"], settings)
    alone = ranks.device.type == "cuda"  # a GPU is one process's, the machine's memory is all processes'
    memory.require(held, kept, free_bytes(str(ranks.device)), str(ranks.device), 1 if alone else ranks.local)


def sequence(items: Items, longest: int, settings: TrainSettings) -> int:
    """Return about how many tokens an item's sequence has: its frames noisy, in copies, and clean."""
    rows, columns = items.settings.latent_size
    per_frame = rows // PATCH * (columns // PATCH) + items.settings.commands_per_frame
    frames = min(items.frames(longest), settings.noising.longest or items.frames(longest))
    return frames * per_frame * (settings.noising.copies + 1)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
