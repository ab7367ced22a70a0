"""Makes weights of files: every tensor of the file has its place and every parameter its tensor, or nothing is
loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from lingbot_eval.errors import BadInput
from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint, Tensors, shards, understood
from lingbot_eval.models.lingbot_va.reading import BadCheckpoint, read_json, short, whole
from lingbot_eval.models.lingbot_va.transformer import Shape, VideoActionTransformer

UNUSED = ("condition_embedder_action.text_embedder.",)
"""These are in every checkpoint and read by nothing: both streams use the video stream's text embedder."""

SHARED = "shared.weight"
EMBEDDING = "encoder.embed_tokens.weight"

UMT5 = (
    *("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets"),
    *("relative_attention_max_distance", "dropout_rate", "layer_norm_epsilon", "initializer_factor"),
    *("feed_forward_proj", "is_encoder_decoder", "use_cache", "tie_word_embeddings", "pad_token_id", "eos_token_id"),
)
"""The encoder reads this of its configuration. Of what transformers reads besides, num_labels=10**9 makes so many
labels."""


def load_transformer(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> VideoActionTransformer:
    """Load the weights; parameters want gradients, as those of any new module."""
    file, tensors = checkpoint.transformer[0].parent / "config.json", Tensors(checkpoint.transformer, checkpoint.prefix)
    try:
        shape = Shape.from_config(checkpoint.config)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from None
    _require_layers(file, "num_layers", shape.num_layers, tensors)
    with understood(file), torch.device("meta"):
        model = VideoActionTransformer(shape)
    fill(model, tensors, dtype, device, unused=UNUSED, neighbours=neighbours(model))
    return model.eval()


def load_vae(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    folder = checkpoint.parts / "vae"
    file, tensors = folder / "config.json", Tensors(shards(folder))
    kind: Any = AutoencoderKLWan
    wanted = get_type_hints(kind.__init__)
    config = {name: value for name, value in read_json(file).items() if name in wanted}
    for name, value in config.items():  # some are first read while an episode plays
        try:
            msgspec.convert(value, wanted[name])
        except msgspec.ValidationError as error:
            raise BadCheckpoint(f"{file}: {name}: {error}") from None
        if type(value) is int:
            whole(config, name, file)
        if isinstance(value, list):
            _require_layers(file, f"the length of {name}", len(value), tensors)
    blocks = config.get("num_res_blocks", 1) * len(config.get("dim_mult", ()))
    _require_layers(file, "num_res_blocks x len(dim_mult)", blocks, tensors)
    with understood(file), torch.device("meta"):
        vae = kind.from_config(config)
    for name in ("latents_mean", "latents_std"):  # shorter ones would be broadcast
        if len(vae.config[name]) != vae.config.z_dim:
            raise BadCheckpoint(
                f"{file}: {name} has {len(vae.config[name])} values, and the VAE has {vae.config.z_dim} channels"
            )
    fill(vae, tensors, dtype, device)
    return vae.eval()


def _require_layers(file: Path, what: str, count: int, tensors: Tensors) -> None:
    """Raise BadCheckpoint for more layers than there are tensors: such a model is not made, even without memory."""
    if count > len(tensors.shapes):
        raise BadCheckpoint(f"{file}: {what} cannot be {count}, as the files hold only {len(tensors.shapes)} tensors")


def channels_last(vae: Any) -> None:
    """Lay out the convolutions' weights as GPUs want them; results are the same within rounding."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in vae.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])


def load_text_encoder(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    """Load UMT5, and prove that the embedding in use is the file's: transformers 5.0-5.2 leave it uninitialised
    memory."""
    folder = checkpoint.parts / "text_encoder"
    file, tensors = folder / "config.json", Tensors(shards(folder))
    config = {name: value for name, value in read_json(file).items() if name in UMT5}
    for name, value in config.items():
        if name.startswith(("d_", "num_", "vocab_")) and value is not None:
            whole(config, name, file)
        elif isinstance(value, (list, dict)) and name != "eos_token_id":
            raise BadCheckpoint(f"{file}: {name} is {short(value)}, not one value")
    _require_layers(file, "num_layers", config.get("num_layers") or 1, tensors)
    with understood(file), torch.device("meta"):
        encoder: Any = UMT5EncoderModel(UMT5Config(**config))
    fill(encoder, tensors, dtype, device, aliases={EMBEDDING: SHARED})
    prove_embedding(encoder, tensors.read(SHARED))
    return encoder.eval()


def prove_embedding(encoder: Any, shared: Tensor) -> None:
    """Compare what the encoder looks tokens up in with the file's ``shared.weight``.

    Raises BadCheckpoint.
    """
    used = encoder.encoder.embed_tokens.weight
    if not torch.equal(used.cpu(), shared.to(used.dtype)):
        raise BadCheckpoint(f"the text encoder looks tokens up in another table than the file's {SHARED}")


def fill(
    model: nn.Module,
    tensors: Tensors,
    dtype: torch.dtype,
    device: torch.device,
    *,
    unused: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    neighbours: Sequence[Sequence[str]] = (),
) -> None:
    """Give every parameter of ``model`` (made on the meta device) its tensor.

    unused: prefixes of tensors that a file may hold and the model has no place for. aliases: parameter -> the one whose
    tensor it shares. neighbours: as :func:`room` takes them.

    Raises BadCheckpoint that names every tensor which is missing, unexpected or of another shape.
    """
    aliases = aliases or {}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in aliases}
    held = {name: shape for name, shape in tensors.shapes.items() if not name.startswith(unused or ("\0",))}
    given = {name for name in held if aliases.get(name) is None}
    problems = [f"missing {name} {wanted[name]}" for name in sorted(wanted.keys() - given)]
    problems += [f"unexpected {name} {held[name]}" for name in sorted(given - wanted.keys())]
    problems += [f"unexpected {name}" for name in sorted(tensors.foreign)]
    problems += [
        f"{name} is {held[name]}, the configuration says {wanted[name]}"
        for name in sorted(given & wanted.keys())
        if held[name] != wanted[name]
    ]
    if problems:
        where = tensors.files[0].parent if tensors.files else "checkpoint"
        raise BadCheckpoint(f"{where}: {len(problems)} tensors do not fit: {'; '.join(problems)}")
    # Copied: memory mapped from a file lies wherever its header ends, and sums depend on alignment.
    state = room(wanted, dtype, device, neighbours)
    for name, place in state.items():
        place.copy_(tensors.read(name))
    state |= {alias: state[name] for alias, name in aliases.items()}
    model.load_state_dict(state, strict=False, assign=True)
    left = [name for name, value in _everything(model) if value.is_meta]
    if left:
        raise BadCheckpoint(f"no file of the checkpoint holds {', '.join(left)}")


def room(
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
    device: torch.device,
    neighbours: Sequence[Sequence[str]] = (),
) -> dict[str, Tensor]:
    """Return memory for tensors of these ``shapes``, by name. Those that are ``neighbours`` lie in one piece, one
    behind another, and differ in their first dimension alone."""
    alone = set(shapes).difference(*neighbours)
    found = {name: torch.empty(shapes[name], dtype=dtype, device=device) for name in alone}
    for names in neighbours:
        rows = [shapes[name][0] for name in names]
        whole = torch.empty(sum(rows), *shapes[names[0]][1:], dtype=dtype, device=device)
        found |= zip(names, whole.split(rows), strict=True)  # type: ignore[no-untyped-call]
    return found


def neighbours(model: VideoActionTransformer) -> list[list[str]]:
    """Return the weights that inference uses as one: where they are neighbours, it needs no copy of them."""
    return [[f"blocks.{layer}.attn1.to_{part}.weight" for part in "qkv"] for layer, _ in model.layers()]


def _everything(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
