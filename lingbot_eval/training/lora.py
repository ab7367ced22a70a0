"""Low-rank adapters, as peft makes them, in place of the weights; and the weights with them added."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import write_whole
from lingbot_eval.models.lingbot_va.transformer import VideoActionTransformer
from lingbot_eval.settings.train import Lora

BASE = ".base_layer."
DOWN, UP = ".lora_A.default.weight", ".lora_B.default.weight"


def require_peft() -> None:
    if importlib.util.find_spec("peft") is None:
        raise NotReady("lora needs peft: pip install 'lingbot_eval[train]'")


def adapt(transformer: VideoActionTransformer, settings: Lora, seed: int) -> None:
    """Put adapters beside the linear layers that ``settings`` names; they alone are learnt. Raises BadInput."""
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear)]
    for ending in settings.modules:
        if not any(name == ending or name.endswith(f".{ending}") for name in names):
            known = sorted({name.split(".", 2)[-1] for name in names if name.startswith("blocks.")})
            raise BadInput(f"lora.modules: no linear layer's name ends in {ending!r} (a block has {', '.join(known)})")
    transformer.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # peft draws from the global generator
        inject_adapter_in_model(
            LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.modules)), transformer
        )


def merged(weights: Mapping[str, Tensor], settings: Lora) -> dict[str, Tensor]:
    """Return the checkpoint's weights of adapted ones: W + alpha / rank * B A, in float32."""
    found = {}
    for name, value in weights.items():
        if ".lora_" in name:
            continue
        start = name.removesuffix("weight").removesuffix(BASE)
        if BASE in name and name.endswith("weight"):
            value = value + settings.alpha / settings.rank * (weights[start + UP] @ weights[start + DOWN])
        found[name.replace(BASE, ".")] = value
    return found


def write_adapter(folder: Path, weights: Mapping[str, Tensor], settings: Lora, base: str) -> None:
    """Write the adapters alone, in the layout of peft's ``save_pretrained``; ``base`` says what they belong to."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"base_model.model.{name.replace('.default.', '.')}": value.contiguous()
        for name, value in weights.items()
        if ".lora_" in name
    }
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "target_modules": list(settings.modules),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    write_whole(folder / "adapter_model.safetensors", save(tensors))
    write_whole(folder / "adapter_config.json", json.dumps(config, indent=2).encode())
