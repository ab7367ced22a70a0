"""Finds where the parts of a checkpoint lie, and what it says itself, without torch.

Two layouts are read. Upstream's: ``transformer/ vae/ text_encoder/ tokenizer/``, sharded or not. LeRobot's:
``model.safetensors`` and ``config.json`` (type ``lingbot_va``) with the transformer and its settings, and
``wan_pretrained_path`` naming where the rest lies. Either may have a ``lingbot_eval.json`` besides (``own_file.py``).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from safetensors import SafetensorError, safe_open

from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady, UnknownName
from lingbot_eval.hashes import sha256
from lingbot_eval.models.lingbot_va.builtin import PREFIX, builtin_folder
from lingbot_eval.models.lingbot_va.own_file import read_own
from lingbot_eval.models.lingbot_va.reading import BadCheckpoint, read_json, short, unreadable, whole
from lingbot_eval.settings.lingbot_va import LingBotSettings
from lingbot_eval.settings.trained import Training

COMMIT = re.compile(r"[0-9a-f]{40}")
"""The hub names a commit so. Its content is the same whenever it is downloaded; a branch does not promise that."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[^@/\s]*)?", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """Says where each part lies, and which settings it brings."""

    transformer: tuple[Path, ...]
    """These are safetensors files."""
    prefix: str
    """This stands before every tensor's name."""
    config: Mapping[str, Any]
    """The transformer's configuration."""
    parts: Path
    """The folder with ``vae``, ``text_encoder`` and ``tokenizer``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The checkpoint itself says these values of LingBotSettings, and wins."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """It proposes these values of the others: they hold where nobody says anything else."""
    training: Training | None = None
    """None: the checkpoint does not say what it was trained on."""

    def files(self) -> list[Path]:
        """Return everything that decides what the model computes."""
        others = [
            *shards(self.parts / "vae"),
            *shards(self.parts / "text_encoder"),
            self.parts / "vae" / "config.json",
            self.parts / "text_encoder" / "config.json",
            self.parts / "tokenizer" / "tokenizer.json",
        ]
        return [*self.transformer, *others]

    def hash(self, fresh: bool = False) -> str:
        """Return 12 hex digits over the contents of all files and the checkpoint's own settings. ``fresh``: every file
        is read again, whatever is remembered of it.

        Raises NotReady for a file that cannot be read, or is being written.
        """
        said: list[Any] = [self.config, self.settings]
        said += [self.sampling] if self.sampling else []
        said += [self.training.identity()] if self.training else []
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
        for path in self.files():
            try:
                digest.update(sha256(path, fresh))
            except OSError as error:
                raise NotReady(f"cannot read {path}: {error.strerror}") from None
        return digest.hexdigest()[:12]


def locate(name: str, parts: str | None = None) -> Checkpoint:
    """Find the checkpoint in a folder, or of a hub id: ``owner/name`` as the hub's cache has it, or
    ``owner/name@COMMIT``, which is downloaded where the cache lacks it; ``builtin:NAME`` is shipped here. ``parts``:
    the same for what LeRobot's layout keeps elsewhere, in place of what its configuration names, which alone is never
    asked of the hub.

    Raises NotReady with what is missing and how to get it, BadCheckpoint and BadInput for what it says.
    """
    folder = _folder(name, "agent.checkpoint")
    if os.path.isfile(folder / "transformer" / "config.json"):
        if parts is not None:
            raise BadInput(
                f"{folder} has its own vae, text_encoder and tokenizer: agent.lingbot.parts is for LeRobot's"
            )
        _require_parts(folder, folder)
        config = _sized(folder / "transformer" / "config.json")
        return _with_own_file(Checkpoint(tuple(shards(folder / "transformer")), "", config, folder), folder)
    if os.path.isfile(folder / "model.safetensors") and os.path.isfile(folder / "config.json"):
        return _with_own_file(_lerobot(folder, _sized(folder / "config.json"), parts), folder)
    raise NotReady(
        f"{folder} is no LingBot-VA checkpoint: neither transformer/config.json (upstream's layout) nor "
        f"model.safetensors beside config.json (LeRobot's) is there"
    )


def _with_own_file(found: Checkpoint, folder: Path) -> Checkpoint:
    """Return ``found`` with what ``lingbot_eval.json`` says, which says everything; as it is where there is none."""
    if (own := read_own(folder)) is None:
        return found
    return replace(found, settings=own.fixed, sampling=own.sampling, training=own.training)


class Tensors:
    """Reads the tensors of one or more safetensors files when asked for them; names are without ``prefix``."""

    def __init__(self, files: Iterable[Path], prefix: str = "") -> None:
        self.files, self._prefix = tuple(files), prefix
        self._where: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.foreign: list[str] = []
        """Names that do not begin with ``prefix``."""
        for path in self.files:
            try:
                self._list(path)
            except (SafetensorError, OSError) as error:
                raise BadCheckpoint(unreadable(path, error)) from None

    def _list(self, path: Path) -> None:
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118  (not a dict)
                if not name.startswith(self._prefix):
                    self.foreign.append(name)
                    continue
                self._where[name.removeprefix(self._prefix)] = path
                self.shapes[name.removeprefix(self._prefix)] = tuple(file.get_slice(name).get_shape())

    def read(self, name: str) -> Any:
        """Return a torch tensor; torch is imported by who wants one."""
        with safe_open(self._where[name], "pt") as file:
            return file.get_tensor(self._prefix + name)

    def numbers(self, name: str) -> list[float]:
        with safe_open(self._where[name], "np") as file:
            numbers: list[float] = file.get_tensor(self._prefix + name).tolist()
        return numbers


def _folder(name: str, setting: str) -> Path:
    if name.startswith(PREFIX):
        return builtin_folder(name)
    if os.path.isdir(name):
        return Path(name)
    if not HUB_ID.fullmatch(name):
        raise NotReady(f"no checkpoint folder {name}; lingbot-eval make-tiny DIR writes a random one for a try")
    return _from_hub(name, setting)


def _cached(repository: str, commit: str | None = None) -> Path | None:
    """Ask the hub's cache, and nothing else."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=commit, local_files_only=True))
    except (OSError, ValueError):
        return None


def _from_hub(name: str, setting: str) -> Path:
    """Return the snapshot of ``owner/name[@COMMIT]``; it is downloaded only where a commit is given, and so asked
    for."""
    repository, _, commit = name.partition("@")
    if "@" in name and not COMMIT.fullmatch(commit):
        raise BadInput(f"{setting}={name}: a commit of the hub is 40 of 0-9, a-f, not {commit!r}")
    if (known := _cached(repository, commit or None)) is not None:
        return known
    by_hand = (
        f"On a machine that reaches it: `hf download {repository} --revision {commit or 'COMMIT'} --local-dir DIR`; "
        f"bring DIR here and say {setting}=DIR (lingbot-eval make-tiny DIR writes a random one; --agent expert needs "
        "none)"
    )
    if not commit:
        raise NotReady(
            f"checkpoint {name} is neither a folder nor in the hub's cache, and the hub is asked only for a commit "
            f"that is named: {setting}={name}@COMMIT. {by_hand}"
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=commit, etag_timeout=5))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotReady(
            f"checkpoint {name} is not in the hub's cache, and the hub did not answer ({reason}). {by_hand}"
        ) from None


def _require_parts(parts: Path, checkpoint: Path) -> None:
    for name in ("vae/config.json", "text_encoder/config.json", "tokenizer/tokenizer.json"):
        if not os.path.isfile(parts / name):
            raise NotReady(f"checkpoint {checkpoint} lacks its {name}, which was looked for at {parts / name}")


def shards(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder; where there is an index, all those that it names.

    Raises NotReady for files that are not there, BadCheckpoint for an index that names none.
    """
    wanted = sorted(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict):
            raise BadCheckpoint(f"{index} needs a weight_map that says in which file each tensor lies")
        wanted = sorted({_beside(index, "weight_map", name) for name in places.values()})
    missing = [path.name for path in wanted if not os.path.isfile(path)]
    if missing or not wanted:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise NotReady(f"{folder} lacks {', '.join(missing[:5]) or 'any *.safetensors'}{more}")
    return wanted


def _beside(file: Path, key: str, name: object) -> Path:
    """Return the file in the same folder that ``key`` of ``file`` names. Raises BadCheckpoint."""
    if not isinstance(name, str) or not re.fullmatch(r"[^/\0]+\.safetensors", name):
        raise BadCheckpoint(f"{file}: {key} names {short(name)}, which is no safetensors file beside it")
    return file.parent / name


@contextlib.contextmanager
def understood(path: Path) -> Iterator[None]:
    """Make whatever a library raises over what ``path`` holds a BadCheckpoint."""
    try:
        yield
    except LingbotEvalError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower, transformers another type in every version
        words = " ".join(str(error).split())
        raise BadCheckpoint(unreadable(path, words if len(words) <= 500 else f"{words[:497]}...")) from error


def _sized(path: Path) -> dict[str, Any]:
    """Read the transformer's configuration, which says how much memory is needed before anything else reads it."""
    config = read_json(path)
    for name in ("num_layers", "num_attention_heads", "attention_head_dim"):
        whole(config, name, path)
    keys = config.get("obs_cam_keys", [])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise BadCheckpoint(f"{path}: obs_cam_keys is {short(keys)}, not a list of names")
    return config


def _lerobot(folder: Path, config: Mapping[str, Any], parts: str | None) -> Checkpoint:
    if config.get("type") != "lingbot_va":
        raise BadInput(f"{folder / 'config.json'}: type {short(config.get('type'))} (valid: lingbot_va)")
    rest = _lerobot_parts(folder, config) if parts is None else _folder(parts, "agent.lingbot.parts")
    _require_parts(rest, folder)
    settings = _lerobot_settings(folder, config)
    return Checkpoint((folder / "model.safetensors",), "transformer.", config, rest, settings)


def _lerobot_parts(folder: Path, config: Mapping[str, Any]) -> Path:
    """Return where ``wan_pretrained_path`` leads without a network: a folder, or the hub's cache."""
    file = folder / "config.json"
    if "wan_pretrained_path" not in config:
        raise BadCheckpoint(f"{file} lacks wan_pretrained_path")
    named = config["wan_pretrained_path"]
    if not isinstance(named, str) or not named:
        raise BadCheckpoint(f"{file}: wan_pretrained_path is {short(named)}, not a path")
    for place in (folder / named, Path(named)):
        if os.path.isdir(place):
            return place
    elsewhere = "say where with agent.lingbot.parts=DIR"
    if not HUB_ID.fullmatch(named):
        raise NotReady(f"{file}: wan_pretrained_path={named!r} is no folder here; {elsewhere}")
    repository, _, commit = named.partition("@")
    if (known := _cached(repository, commit or None)) is not None:
        return known
    raise NotReady(
        f"{file}: wan_pretrained_path={named!r} is neither a folder nor in the hub's cache, and the hub is not asked "
        f"for what a file names; {elsewhere}, or have it downloaded: agent.lingbot.parts={repository}@COMMIT"
    )


LEROBOT = {
    "height": "height",
    "width": "width",
    "frames": "frame_chunk_size",
    "commands_per_frame": "action_per_frame",
    "window": "attn_window",
    "video_steps": "num_inference_steps",
    "action_steps": "action_num_inference_steps",
    "video_guidance": "guidance_scale",
    "action_guidance": "action_guidance_scale",
    "video_shift": "snr_shift",
    "action_shift": "action_snr_shift",
    "channels": "used_action_channel_ids",
}
"""Our name -> LeRobot's, where the values mean the same."""


def _lerobot_settings(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {name: config[theirs] for name, theirs in LEROBOT.items() if theirs in config}
    kinds = get_type_hints(LingBotSettings, include_extras=True)
    for name, value in own.items():
        try:
            msgspec.convert(value, kinds[name])
        except msgspec.ValidationError as error:
            raise BadCheckpoint(f"{folder / 'config.json'}: {LEROBOT[name]}: {error}") from None
    layouts = {"width_concat": "width", "robotwin_tshape": "tshape"}
    if "camera_layout" in config:
        if str(config["camera_layout"]) not in layouts:
            raise UnknownName(f"camera_layout of {folder / 'config.json'}:", config["camera_layout"], layouts)
        own["layout"] = layouts[config["camera_layout"]]
    if "video_exec_step" in config:
        stop = config["video_exec_step"]
        own["video_exec_step"] = None if stop == -1 else whole(config, "video_exec_step", folder / "config.json")
    post = folder / "policy_postprocessor.json"
    if os.path.isfile(post):
        count = whole(config, "action_dim", folder / "config.json", 4096)
        channels = own.get("channels")
        if (
            not isinstance(channels, list)
            or not all(type(c) is int and 0 <= c < count for c in channels)
            or len(set(channels)) < len(channels)
        ):
            raise BadCheckpoint(
                f"{folder / 'config.json'}: used_action_channel_ids is {short(channels)}, not distinct channels in "
                f"0..{count - 1}"
            )
        own |= _quantiles(post, channels, count)
    return own


def _quantiles(post: Path, channels: list[int], count: int) -> dict[str, Any]:
    """Return q01 and q99 of the used channels, spread over all; the file is the one that the step names."""
    steps = read_json(post).get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise BadCheckpoint(f"{post}: steps is {short(steps)}, not a list of objects as LeRobot writes it")
    files = [step.get("state_file") for step in steps if step.get("registry_name") == "unnormalizer_processor"]
    if len(files) != 1:
        raise BadInput(f"{post} has {len(files)} unnormalizer steps; one was expected")
    file = _beside(post, "state_file", files[0])
    if not os.path.isfile(file):
        raise NotReady(f"{post.parent} lacks {file.name}")
    tensors = Tensors([file])
    found: dict[str, Any] = {}
    for name in ("q01", "q99"):
        if tensors.shapes.get(f"action.{name}") != (len(channels),):
            shape = tensors.shapes.get(f"action.{name}")
            raise BadCheckpoint(f"{file}: action.{name} is {shape}, not ({len(channels)},)")
        with understood(file):
            numbers = tensors.numbers(f"action.{name}")
        values = [0.0] * count
        for channel, value in zip(channels, numbers, strict=True):
            values[channel] = value
        found[name] = values
    return found
