"""Writes a transformer as a checkpoint, in upstream's layout or LeRobot's, with the settings that it was trained with.

What was trained is given as its ``state_dict``, whoever holds it: a module, an average of several, or FSDP's gathered
one. Everything else comes from the checkpoint that training began with, the *base*.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from lingbot_eval.errors import BadInput, NotReady
from lingbot_eval.files import as_any_new, folder_whole
from lingbot_eval.models.lingbot_va import lerobot_files
from lingbot_eval.models.lingbot_va.checkpoint import Checkpoint, Tensors
from lingbot_eval.models.lingbot_va.loading import UNUSED
from lingbot_eval.models.lingbot_va.own_file import NAME, OwnFile
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.trained import Training

PARTS = ("vae", "text_encoder", "tokenizer")

STREAM, ACTION_STREAM = "condition_embedder.", UNUSED[0].removesuffix("text_embedder.")
"""Prefixes of what embeds time, and in the video stream's case text."""

CONFIG = (
    *("_class_name", "_diffusers_version", "action_dim", "attention_head_dim", "attn_mode", "cross_attn_norm", "eps"),
    *("ffn_dim", "freq_dim", "in_channels", "num_attention_heads", "num_layers", "out_channels", "patch_size"),
    *("pos_embed_seq_len", "rope_max_seq_len", "text_dim"),
)
"""The transformer's own configuration has these; LeRobot's layout keeps them among others."""


def write_upstream(
    folder: Path,
    transformer: Mapping[str, Tensor],
    base: Checkpoint,
    settings: LingBotSettings,
    training: Training | None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write ``folder`` whole or not at all: ``transformer/`` in ``dtype``, copies of the base's other parts, and
    ``lingbot_eval.json``. A checkpoint that was written so before is replaced.

    Raises BadInput for weights that do not fit the base and for a folder of other things, NotReady for a full disk.
    """
    config = {
        "_class_name": "WanTransformer3DModel",
        **{name: base.config[name] for name in CONFIG if name in base.config},
    }
    with folder_whole(folder, NAME) as part:
        (part / "transformer").mkdir()
        (part / "transformer" / "config.json").write_text(json.dumps(config, indent=2))
        file = part / "transformer" / "diffusion_pytorch_model.safetensors"
        save_tensors(fitting(transformer, base, settings, dtype), file, {"format": "pt"})
        for name in PARTS:
            _copy(base.parts / name, part / name)
        (part / NAME).write_bytes(OwnFile(settings, training).content())


def write_lerobot(
    folder: Path,
    transformer: Mapping[str, Tensor],
    base: Checkpoint,
    settings: LingBotSettings,
    training: Training | None,
    dtype: torch.dtype = torch.float32,
    parts: Path | None = None,
) -> None:
    """Write ``folder`` as LeRobot's ``save_pretrained`` does, whole or not at all, with ``lingbot_eval.json`` beside.
    ``parts``: where VAE, text encoder and tokenizer lie (None: with the base); it is named relative to ``folder``.

    Raises as :func:`write_upstream`.
    """
    tensors = {f"transformer.{name}": value for name, value in fitting(transformer, base, settings, dtype).items()}
    named = os.path.relpath(base.parts if parts is None else parts, folder)
    with folder_whole(folder, NAME) as part:
        save_tensors(tensors, part / "model.safetensors", {"format": "pt"})
        for name, content in lerobot_files.documents(base.config, settings, dtype, named).items():
            (part / name).write_text(json.dumps(content, indent=2))
        quantiles = {
            f"action.{name}": torch.tensor(values) for name, values in lerobot_files.quantiles(settings).items()
        }
        for name in (lerobot_files.PRE_STATE, lerobot_files.POST_STATE):
            save_tensors(quantiles, part / name)
        (part / NAME).write_bytes(OwnFile(settings, training).content())


def fitting(
    transformer: Mapping[str, Tensor], base: Checkpoint, settings: LingBotSettings, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return every tensor of a checkpoint's transformer, in ``dtype`` on the CPU. The action stream's text embedder,
    which nothing reads and every published checkpoint has, is the base's, or the video stream's where it lacks one.

    Raises BadInput for names and shapes other than the base's, and for settings of another number of channels.
    """
    if len(settings.q01) != base.config.get("action_dim"):
        channels = base.config.get("action_dim")
        raise BadInput(f"the settings have quantiles for {len(settings.q01)} channels, the transformer has {channels}")
    held = Tensors(base.transformer, base.prefix)
    wanted = {name: shape for name, shape in held.shapes.items() if not name.startswith(UNUSED)}
    given = {name: tuple(value.shape) for name, value in transformer.items() if not name.startswith(UNUSED)}
    if other := sorted(name for name in {*wanted, *given} if wanted.get(name) != given.get(name)):
        raise BadInput(
            f"{len(other)} tensors are not as in the base, of which {other[0]}: {given.get(other[0])}, there "
            f"{wanted.get(other[0])}; give the state_dict of a transformer that was loaded from it"
        )
    tensors = {name: value.detach() for name, value in transformer.items() if name in wanted}
    tensors |= {name: held.read(name) for name in held.shapes if name not in wanted}
    for name in [name for name in wanted if name.startswith(f"{STREAM}text_embedder.")]:
        tensors.setdefault(name.replace(STREAM, ACTION_STREAM, 1), transformer[name].detach().clone())
    return {name: value.to("cpu", dtype).contiguous() for name, value in tensors.items()}


def save_tensors(tensors: dict[str, Tensor], file: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file. Raises NotReady where it cannot be written."""
    try:
        with as_any_new(file):
            save_file(tensors, file, metadata)
    except SafetensorError as error:  # of a full disk, too
        raise NotReady(f"cannot write {file.name}: {error}") from None


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a folder; a link, as the hub's cache has them, by its content."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file():
            shutil.copyfile(file, target / file.name)
