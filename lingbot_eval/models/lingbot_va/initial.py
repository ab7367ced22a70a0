"""Writes a checkpoint to train from nothing: a transformer that begins as close to doing nothing as one can that still
learns, a random text encoder that knows the words, and a VAE that somebody has trained, or a random one."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lingbot_eval.errors import BadInput
from lingbot_eval.files import bounded, folder_whole
from lingbot_eval.models.lingbot_va import loading, tiny
from lingbot_eval.models.lingbot_va.checkpoint import locate, shards
from lingbot_eval.models.lingbot_va.reading import read_json, whole
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

ACTION_DIM = 30
"""Upstream's shared channels: two arms' poses and joints, two grippers."""

LATENT_CHANNELS = 48

OFFSETS = (-1, -2, 1, 2)
"""Words from a word to the neighbour that a head of the random text encoder looks at: two before it, two behind."""

LOUD = 12.0
"""Added to what a head thinks of that neighbour; what it thinks of the others by chance is within some 3 of 0."""


@dataclass(frozen=True)
class Sizes:
    """They are the transformer's, as its configuration names them."""

    num_attention_heads: int
    attention_head_dim: int
    num_layers: int
    ffn_dim: int
    freq_dim: int
    text_dim: int


def make_base(folder: Path, sizes: Sizes, words: Iterable[str], vae: Path | None = None, seed: int = 0) -> None:
    """Write ``folder``, in upstream's layout; the same seed writes the same weights. ``words``: the tokenizer has a
    token for each. ``vae``: a folder with a VAE, or with a checkpoint that has one; None: a random one.

    Raises BadInput for a folder that holds something already and for sizes that make no model, BadCheckpoint and
    NotReady for a VAE that cannot be loaded.
    """
    channels = LATENT_CHANNELS if vae is None else whole(read_json(_vae(vae) / "config.json"), "z_dim", vae)
    config = {
        **{"_class_name": "WanTransformer3DModel", "attn_mode": "torch", "cross_attn_norm": True, "eps": 1e-6},
        **{"action_dim": ACTION_DIM, "in_channels": channels, "out_channels": channels, "patch_size": [1, 2, 2]},
        **asdict(sizes),
    }
    transformer = VideoActionTransformer(Shape.from_config(config))
    if sizes.text_dim % tiny.TEXT_HEADS:
        raise BadInput(f"text_dim {sizes.text_dim} does not divide into the text encoder's {tiny.TEXT_HEADS} heads")
    generator = torch.Generator().manual_seed(seed)
    initialise(transformer, generator)
    with folder_whole(folder) as part:
        tiny.write_part(part / "transformer", "diffusion_pytorch_model", config, _with_unused(transformer))
        vocabulary = tiny.write_tokenizer(part / "tokenizer", sorted(set(words)))
        encoder, weights = tiny.random_text_encoder(sizes.text_dim, vocabulary, generator)
        tiny.write_part(part / "text_encoder", "model", encoder, weights | _neighbours(weights))
        if vae is None:
            tiny.write_part(part / "vae", "diffusion_pytorch_model", *tiny.random_vae(generator))
        else:
            _copy_vae(_vae(vae), part / "vae")
            loading.load_vae(locate(str(part)), torch.float32, torch.device("cpu"))


def _neighbours(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tables by which each head of a random text encoder looks at one neighbour of a word.

    A random one knows no order: a word was told as good as the same (3 %) wherever it stood, and with "put the red
    block on the green block" nobody could know which goes where.
    """
    found = {}
    for name, table in weights.items():
        if name.endswith("relative_attention_bias.weight"):
            found[name] = torch.zeros_like(table)
            for head, offset in enumerate(OFFSETS[: table.shape[1]]):
                found[name][_bucket(offset, len(table)), head] = LOUD
    return found


def _bucket(offset: int, buckets: int) -> int:
    """Return T5's row for a word ``offset`` words away, which is near."""
    return abs(offset) + (buckets // 2 if offset > 0 else 0)


@torch.no_grad()
def initialise(transformer: VideoActionTransformer, generator: torch.Generator) -> None:
    """Set every parameter.

    Matrices are normal with 1/sqrt(inputs), so that a layer keeps the size of what it gets. What is added to the
    residual stream is smaller by sqrt(3 layers), the number of additions, so that their sum keeps it, too. Gates are
    open: where they begin at 0, nothing in a block gets a gradient at first. Noise levels begin to modulate weakly.
    Output heads are 0: the first loss is the target's mean square, and the blocks learn from the second step on.
    """
    layers = transformer.shape.num_layers
    for name, parameter in transformer.named_parameters():
        if name.endswith("scale_shift_table"):
            nn.init.zeros_(parameter)
            if parameter.shape[1] == 6:
                parameter[:, [2, 5]] = 1.0  # the gates of attention and of the feed-forward
        elif parameter.dim() == 2:
            _matrix(name, parameter, layers, generator)
        else:
            nn.init.constant_(parameter, float(name.endswith("weight")))  # of norms; biases are 0


def _matrix(name: str, parameter: Tensor, layers: int, generator: torch.Generator) -> None:
    if name.endswith("proj_out.weight"):
        nn.init.zeros_(parameter)
        return
    scale = 1 / math.sqrt(parameter.shape[1])
    if "time_proj" in name:
        scale *= 0.1
    if "to_out" in name or "net.2" in name:
        scale /= math.sqrt(3 * layers)
    parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))


def words_of(sources: Iterable[Path]) -> set[str]:
    """Return the words in text files, and in the wordings, tasks and segments of datasets (their folders), as they are
    spelt.

    Raises BadInput for what cannot be read, and where there is no word; NotReady for a dataset without its files.
    """
    found = {word for source in sources for text in _texts(source) for word in WORD.findall(text)}
    if not found:
        raise BadInput("no word was found; give a file of words or sentences, or a dataset with sentences")
    return found


def _texts(source: Path) -> Iterator[str]:
    if (source / "meta" / "info.json").is_file():
        yield from _sentences(source)
    files = [source / "meta" / name for name in ("wordings.jsonl", "tasks.jsonl")] if source.is_dir() else [source]
    for file in files:
        if source.is_dir() and not file.exists():
            continue
        try:
            content = bounded(file).decode()
            yield from _strings([json.loads(line) for line in content.splitlines()]) if file != source else [content]
        except OSError as error:
            raise BadInput(f"{file} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{file} cannot be read: {error}") from None


def _sentences(dataset: Path) -> Iterator[str]:
    """Yield what the segments of a LeRobotDataset are called, in whichever version it says so."""
    from lingbot_eval.datasets.lerobot import LeRobot  # pyarrow

    for episode in LeRobot(dataset).episodes:
        for segment in episode.segments:
            yield segment.action_text


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in JSON, but no key."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _with_unused(transformer: VideoActionTransformer) -> dict[str, Tensor]:
    """Return the tensors with the action stream's text embedder, which is in every checkpoint and read by nothing."""
    tensors = {name: value.detach() for name, value in transformer.state_dict().items()}
    prefix = "condition_embedder."
    for name in [name for name in tensors if name.startswith(f"{prefix}text_embedder.")]:
        tensors[name.replace(prefix, "condition_embedder_action.", 1)] = tensors[name].clone()
    return tensors


def _vae(folder: Path) -> Path:
    return folder / "vae" if (folder / "vae" / "config.json").is_file() else folder


def _copy_vae(source: Path, target: Path) -> None:
    target.mkdir()
    for file in [source / "config.json", *shards(source), *source.glob("*.index.json")]:
        shutil.copyfile(file, target / file.name)
