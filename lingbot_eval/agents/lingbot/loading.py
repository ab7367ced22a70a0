"""Files to weights: every tensor of the file has its place and every parameter its tensor, or nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from lingbot_eval.agents.lingbot.checkpoint import BadCheckpoint, Checkpoint, Tensors, read_json, shards, understood
from lingbot_eval.agents.lingbot.transformer import Shape, VideoActionTransformer

UNUSED = ("condition_embedder_action.text_embedder.",)
"""In every checkpoint, read by nothing: both streams use the video stream's text embedder."""

SHARED = "shared.weight"
EMBEDDING = "encoder.embed_tokens.weight"


def load_transformer(
    checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device, *, exact: bool
) -> VideoActionTransformer:
    with torch.device("meta"):
        model = VideoActionTransformer(Shape.from_config(checkpoint.config), exact=exact)
    tensors = Tensors(checkpoint.transformer, checkpoint.prefix)
    fill(model, tensors, dtype, device, unused=UNUSED)
    model.fuse()
    return model.eval().requires_grad_(False)


def load_vae(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    folder = checkpoint.parts / "vae"
    kind: Any = AutoencoderKLWan
    config = read_json(folder / "config.json")
    wanted = get_type_hints(kind.__init__)
    for name in config.keys() & wanted.keys():  # some are first read while an episode plays
        try:
            msgspec.convert(config[name], wanted[name])
        except msgspec.ValidationError as error:
            raise BadCheckpoint(f"{folder / 'config.json'}: {name}: {error}") from None
    with understood(folder / "config.json"), torch.device("meta"):
        vae = kind.from_config(config)
    for name in ("latents_mean", "latents_std"):  # shorter ones would be broadcast
        if len(vae.config[name]) != vae.config.z_dim:
            raise BadCheckpoint(
                f"{folder / 'config.json'}: {len(vae.config[name])} {name} for {vae.config.z_dim} channels"
            )
    fill(vae, Tensors(shards(folder)), dtype, device)
    return vae.eval().requires_grad_(False)


def channels_last(vae: Any) -> None:
    """Lay out the convolutions' weights as GPUs want them; results are the same within rounding."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in vae.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])


def load_text_encoder(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    """UMT5, with proof that the embedding in use is the file's: transformers 5.0-5.2 leave it uninitialised memory."""
    folder = checkpoint.parts / "text_encoder"
    tensors = Tensors(shards(folder))
    with understood(folder / "config.json"), torch.device("meta"):
        encoder: Any = UMT5EncoderModel(UMT5Config(**read_json(folder / "config.json")))
    fill(encoder, tensors, dtype, device, aliases={EMBEDDING: SHARED})
    prove_embedding(encoder, tensors.read(SHARED))
    return encoder.eval().requires_grad_(False)


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
) -> None:
    """Give every parameter of ``model`` (made on the meta device) its tensor.

    unused: prefixes of tensors that a file may hold and the model has no place for. aliases: parameter -> the one whose
    tensor it shares.

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
    state = {name: tensors.read(name).to(device, dtype, copy=True) for name in wanted}
    state |= {alias: state[name] for alias, name in aliases.items()}
    model.load_state_dict(state, strict=False, assign=True)
    left = [name for name, value in _everything(model) if value.is_meta]
    if left:
        raise BadCheckpoint(f"no file says what {', '.join(left)} are")


def _everything(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
