"""``lingbot-eval make-base DIR``: a LingBot-VA checkpoint to train from nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from lingbot_eval.agents.lingbot_va.kind import require_lingbot
from lingbot_eval.cli.latents import require_pyarrow
from lingbot_eval.cli.places import content, text_place
from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.plain import say

SIZES = {
    "heads": ("num_attention_heads", 8),
    "head-dim": ("attention_head_dim", 32),
    "layers": ("num_layers", 4),
    "ffn": ("ffn_dim", 512),
    "freq": ("freq_dim", 64),
    "text-dim": ("text_dim", 32),
}
"""By flag: the size, as the transformer's configuration names it, and that of a model for a CPU (4.3 M parameters).
Its width, heads x head-dim, is above the 192 numbers of a video token, whose noise has to pass it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", type=text_place, help="a new folder, for the checkpoint")
    for flag, (name, value) in SIZES.items():
        parser.add_argument(f"--{flag}", type=int, default=value, dest=name, help=f"{name} (default: %(default)s)")
    words = "a file of words or sentences, or a dataset: what the tokenizer knows as one token each; may be repeated"
    parser.add_argument("--words", metavar="PLACE", type=content, action="append", required=True, help=words)
    parser.add_argument(
        "--vae", metavar="DIR", type=content, help="a trained VAE, or a checkpoint that has one (default: random)"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(given: argparse.Namespace) -> int:
    """Raises BadInput, NotReady, BadCheckpoint."""
    require_lingbot()
    from lingbot_eval.models.lingbot_va.initial import Sizes, make_base, words_of

    folder = Path(given.folder)
    values = {name: getattr(given, name) for name, _ in SIZES.values()}
    if small := [name for name, value in values.items() if not 1 <= value <= 1_000_000]:
        raise BadInput(f"{small[0]} is {values[small[0]]}; a size is in 1..1000000")
    _require_memory(values)
    if any((Path(place) / "meta" / "info.json").is_file() for place in given.words):
        require_pyarrow()
    words = words_of(map(Path, given.words))
    make_base(folder, Sizes(**values), words, Path(given.vae) if given.vae else None, given.seed)
    say(f"{folder}: an untrained checkpoint that knows {len(words)} words; lingbot-eval train checkpoint={folder}")
    return 0


def _require_memory(sizes: Mapping[str, int]) -> None:
    """Raise NotReady for sizes whose large matrices alone do not fit, before anything is made."""
    from lingbot_eval.agents.lingbot_va.memory import free_bytes

    width, text = sizes["num_attention_heads"] * sizes["attention_head_dim"], sizes["text_dim"]
    transformer = sizes["num_layers"] * (8 * width**2 + 2 * width * sizes["ffn_dim"])
    needed, free = 4 * (transformer + text * (width + text)), free_bytes("cpu")
    if needed > free:
        raise NotReady(f"such a model has {needed / 1e9:.3g} GB of weights, and {free / 1e9:.3g} GB are free")
