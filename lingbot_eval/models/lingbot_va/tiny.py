"""Writes a complete random checkpoint of upstream's layout, for tests, demos and benchmarks. It cannot win."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.saving import save_tensors
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer

Shapes = Iterable[tuple[str, tuple[int, ...]]]

WORDS = ("pick", "up", "the", "and", "place", "it", "in", "basket", "put", "on", "plate", "open", "drawer", "bowl")

TEXT_HEADS = 4


def make_tiny(folder: Path, *, mid: bool = False, seed: int = 0) -> None:
    """Write ``folder``; the same seed writes the same weights.

    mid: the transformer of a CPU benchmark (4 layers of width 768, about 250 MB) instead of a few MB.

    Raises BadInput for a folder that holds something already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput(f"{folder} is not empty; nothing is overwritten")
    except OSError as error:
        raise BadInput(f"cannot write to {folder}: {error.strerror}; name a new folder") from None
    generator = torch.Generator().manual_seed(seed)
    text_dim = 1024 if mid else 32
    write_part(folder / "transformer", "diffusion_pytorch_model", *_transformer(text_dim, generator, mid=mid))
    write_part(folder / "vae", "diffusion_pytorch_model", *random_vae(generator))
    vocabulary = write_tokenizer(folder / "tokenizer", WORDS)
    write_part(folder / "text_encoder", "model", *random_text_encoder(text_dim, vocabulary, generator))


def _transformer(text_dim: int, generator: torch.Generator, *, mid: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config = {
        "_class_name": "WanTransformer3DModel",
        "action_dim": 30,
        "attention_head_dim": 128 if mid else 32,
        "attn_mode": "flashattn",  # as published checkpoints may say; it is not read
        "cross_attn_norm": True,
        "eps": 1e-6,
        "ffn_dim": 3584 if mid else 160,
        "freq_dim": 256 if mid else 32,
        "in_channels": 48,
        "num_attention_heads": 6 if mid else 3,
        "num_layers": 4 if mid else 2,
        "out_channels": 48,
        "patch_size": [1, 2, 2],
        "text_dim": text_dim,
    }
    with torch.device("meta"):
        model = VideoActionTransformer(Shape.from_config(config))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in list(shapes):  # in every checkpoint, and read by nothing
        if name.startswith("condition_embedder.text_embedder."):
            shapes[name.replace("condition_embedder.", "condition_embedder_action.", 1)] = shapes[name]
    return config, _random(shapes.items(), generator)


def random_vae(generator: torch.Generator) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config = {
        "_class_name": "AutoencoderKLWan",
        "attn_scales": [],
        "base_dim": 8,
        "decoder_base_dim": 8,
        "dim_mult": [1, 2, 4, 4],
        "dropout": 0.0,
        "in_channels": 12,
        "is_residual": True,
        "latents_mean": [0.0] * 48,
        "latents_std": [1.0] * 48,
        "num_res_blocks": 1,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "scale_factor_temporal": 4,
        "temperal_downsample": [False, True, True],
        "z_dim": 48,
    }
    kind: Any = AutoencoderKLWan
    with torch.device("meta"):
        vae = kind.from_config(config)
    return config, _random(((name, tuple(value.shape)) for name, value in vae.state_dict().items()), generator)


def random_text_encoder(
    width: int, vocabulary: int, generator: torch.Generator
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    heads, layers, hidden = TEXT_HEADS, 2, 2 * width
    config = {
        "architectures": ["UMT5EncoderModel"],
        "model_type": "umt5",
        "d_ff": hidden,
        "d_kv": width // heads,
        "d_model": width,
        "dropout_rate": 0.1,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-6,
        "num_heads": heads,
        "num_layers": layers,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "vocab_size": vocabulary,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "shared.weight": (vocabulary, width),
        "encoder.final_layer_norm.weight": (width,),
    }
    for layer in range(layers):
        attention, feed = f"encoder.block.{layer}.layer.0", f"encoder.block.{layer}.layer.1"
        shapes |= {f"{attention}.SelfAttention.{part}.weight": (width, width) for part in "qkvo"}
        shapes[f"{attention}.SelfAttention.relative_attention_bias.weight"] = (32, heads)
        shapes |= {f"{part}.layer_norm.weight": (width,) for part in (attention, feed)}
        shapes |= {f"{feed}.DenseReluDense.{part}.weight": (hidden, width) for part in ("wi_0", "wi_1")}
        shapes[f"{feed}.DenseReluDense.wo.weight"] = (width, hidden)
    return config, _random(shapes.items(), generator)


def write_tokenizer(folder: Path, words: Iterable[str]) -> int:
    """Write a unigram tokenizer of single characters and ``words``; return the size of its vocabulary."""
    characters = string.ascii_letters + string.digits + string.punctuation
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in words] + [(character, -6.0) for character in characters]
    tokenizer: Any = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(pieces)


def _random(shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw norms near 1, biases and tables small, everything else so that a layer keeps the size of what it gets."""
    tensors = {}
    for name, shape in sorted(shapes):
        noise = torch.randn(shape, generator=generator)
        if name.endswith(("gamma", "layer_norm.weight")) or (".norm" in name and name.endswith("weight")):
            tensors[name] = 1 + 0.1 * noise
        elif len(shape) == 1 or name.endswith(("table", "shared.weight", "bias.weight")):
            tensors[name] = (1.0 if name == "shared.weight" else 0.1) * noise
        else:
            tensors[name] = noise / math.sqrt(math.prod(shape[1:]))
    return tensors


def write_part(folder: Path, name: str, config: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    save_tensors(tensors, folder / f"{name}.safetensors")
