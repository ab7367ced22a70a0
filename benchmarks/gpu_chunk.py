"""A closed-loop chunk of the full LingBot-VA (5 B, random bfloat16 weights) on a GPU: eager, with graphs, and plain.

    python -m benchmarks.gpu_chunk [--device cuda] [--chunks 6] [--rounds 3]
    python -m benchmarks.gpu_chunk --check    # tiny model and few steps on the CPU, eager and plain: does it run?

Prints milliseconds per chunk for the robotwin and libero settings with a history of ``--chunks``, the fraction of the
computed roofline (docs/performance.md), and the memory that was occupied at most. Never run on a GPU so far.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from benchmarks.agent_chunk import FEW, INSTRUCTION, chunk_tokens, executed, fill, noise, pictures, shorten, trim
from benchmarks.plain import PlainEpisode
from lingbot_eval.agents.lingbot_va.session import Session
from lingbot_eval.agents.lingbot_va.sessions import Sessions
from lingbot_eval.models.lingbot_va import loading
from lingbot_eval.models.lingbot_va.configuration import load_benchmark
from lingbot_eval.models.lingbot_va.model import LingBotVA
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer
from lingbot_eval.models.lingbot_va.vision import Vision
from lingbot_eval.settings.lingbot_va import IMAGES_PER_FRAME

FULL = Shape(24, 128, 30, 14336, 4096, 256, 30, 48, 48, 1e-6)
TINY = Shape(3, 32, 2, 160, 32, 32, 30, 48, 48, 1e-6)
"""Heads, their size, layers, feed-forward, text, time waves, action channels, latent channels in and out, epsilon."""

VAE = {
    "z_dim": 48,
    "dim_mult": [1, 2, 4, 4],
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
}
VAE |= {"scale_factor_spatial": 16, "attn_scales": [], "temperal_downsample": [False, True, True], "dropout": 0.0}
VAE |= {"latents_mean": [0.0] * 48, "latents_std": [1.0] * 48}
FULL_VAE = {"base_dim": 160, "decoder_base_dim": 256, "num_res_blocks": 2}
TINY_VAE = {"base_dim": 8, "decoder_base_dim": 8, "num_res_blocks": 1}

ROOFLINE = {"robotwin": 262.0, "libero": 175.0}
"""Milliseconds of the transformer on an H200 with six chunks of history; docs/performance.md."""


class Words:
    """Stands for the text encoder, which an episode asks once: 25 tokens of noise."""

    def __init__(self, model: VideoActionTransformer) -> None:
        self._like = model.proj_out.weight
        self._width = model.shape.text_dim

    def embed(self, text: str) -> Tensor:
        return self._like.new_empty(25 if text else 1, self._width).normal_()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--chunks", type=int, default=6, help="of history")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(argv)
    device = torch.device("cpu" if given.check else given.device)
    torch.manual_seed(0)
    shape, vae = (TINY, TINY_VAE) if given.check else (FULL, FULL_VAE)
    for name in ("robotwin", "libero"):
        ways = (False,) if given.check else (False, True)
        for graphs in ways:
            model = random_model(name, shape, vae, device, graphs=graphs)
            if given.check:
                shorten(model, FEW)
            keys = given.chunks * chunk_tokens(model.settings)
            how = "graphs" if graphs else "eager"
            session = Sessions(model, graphs=graphs).new(noise=partial(noise, model))
            report(name, how, timed(model, session, keys, given.rounds), device)
            del session
        plain = PlainEpisode(model, partial(noise, model))
        report(name, "plain", timed(model, plain, keys, 1), device)
        del model, plain
    return 0


def random_model(name: str, shape: Shape, vae: dict[str, int], device: torch.device, *, graphs: bool) -> LingBotVA:
    with torch.device("meta"):
        transformer = VideoActionTransformer(shape)
        kind: Any = AutoencoderKLWan
        codec = kind.from_config(VAE | vae)
    shapes = {name: tuple(value.shape) for name, value in transformer.state_dict().items()}
    transformer.load_state_dict(
        loading.room(shapes, torch.bfloat16, device, loading.neighbours(transformer)), assign=True
    )
    codec.to(torch.bfloat16).to_empty(device=device)
    for part in (transformer, codec):
        part.eval().requires_grad_(False)
        for parameter in part.parameters():
            parameter.normal_(0, 0.02)
    if graphs:
        loading.channels_last(codec)
    settings = load_benchmark(name)
    vision, words = Vision(codec, settings, torch.bfloat16, device), Words(transformer)
    return LingBotVA(settings, transformer, vision, words, torch.bfloat16, device)  # type: ignore[arg-type]


def timed(model: LingBotVA, episode: Session | PlainEpisode, keys: int, rounds: int) -> list[float]:
    """Milliseconds of each chunk after one for warming up."""
    reset: Callable[..., None] = episode.reset
    reset(INSTRUCTION, **({"seed": 0} if isinstance(episode, Session) else {}))
    fill(episode, model, keys)
    images = pictures(model.settings, IMAGES_PER_FRAME * model.settings.frames)
    taken = []
    for _ in range(rounds + 1):
        trim(model, keys, *([episode.state.cache] if isinstance(episode, Session) else episode.layers))
        wait(model.device)
        start = time.perf_counter()
        episode.feedback(images, executed(model, 0))
        episode.infer()  # its commands are on the host: the device has finished
        taken.append(1000 * (time.perf_counter() - start))
    return taken[1:]


def report(name: str, how: str, taken: list[float], device: torch.device) -> None:
    middle, line = statistics.median(taken), f"{name:9} {how:7}"
    if device.type == "cuda":
        held = torch.cuda.max_memory_allocated(device) / 1e9
        line += f" {ROOFLINE[name] / middle:5.0%} of an H200's roofline, at most {held:.1f} GB,"
        torch.cuda.reset_peak_memory_stats(device)
    print(f"{line} {middle:9.1f} ms per chunk ({', '.join(f'{one:.1f}' for one in taken)})", flush=True)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())
