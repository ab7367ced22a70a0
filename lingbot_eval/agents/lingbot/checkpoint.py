"""Where the parts of a checkpoint lie, and what it says itself.  No torch here.

Two layouts are read. Upstream's: ``transformer/ vae/ text_encoder/ tokenizer/``, sharded or not. LeRobot's:
``model.safetensors`` and ``config.json`` (type ``lingbot_va``) with the transformer and its settings, and
``wan_pretrained_path`` naming where the rest lies.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lingbot_eval.agents.lingbot.hashes import sha256
from lingbot_eval.errors import BadInput, LingbotEvalError, NotReady


class BadCheckpoint(LingbotEvalError):
    """A file cannot be read, or tensors are missing, unexpected or of another shape than the configuration says."""


@dataclass(frozen=True)
class Checkpoint:
    """Where each part lies, and the settings that it brings."""

    transformer: tuple[Path, ...]
    """safetensors files."""
    prefix: str
    """Before every tensor's name."""
    config: Mapping[str, Any]
    """The transformer's."""
    parts: Path
    """Folder with ``vae``, ``text_encoder`` and ``tokenizer``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values of LingBotSettings that the checkpoint says itself."""

    def files(self) -> list[Path]:
        """Everything that decides what the model computes."""
        others = [
            *shards(self.parts / "vae"),
            *shards(self.parts / "text_encoder"),
            self.parts / "vae" / "config.json",
            self.parts / "text_encoder" / "config.json",
            self.parts / "tokenizer" / "tokenizer.json",
        ]
        return [*self.transformer, *others]

    def hash(self) -> str:
        """12 hex digits over the contents of all files and the checkpoint's own settings."""
        digest = hashlib.sha256(json.dumps([self.config, self.settings], sort_keys=True).encode())
        for path in self.files():
            digest.update(sha256(path))
        return digest.hexdigest()[:12]


def locate(name: str) -> Checkpoint:
    """The checkpoint in a folder, or of a hub id (``owner/name``), which is downloaded where the hub can be reached.

    Raises NotReady with what is missing and how to get it.
    """
    folder = _folder(name)
    if (folder / "transformer" / "config.json").is_file():
        _require_parts(folder, folder)
        config = _sized(folder / "transformer" / "config.json")
        return Checkpoint(tuple(shards(folder / "transformer")), "", config, folder)
    if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
        return _lerobot(folder, _sized(folder / "config.json"))
    raise NotReady(
        f"{folder} is no LingBot-VA checkpoint: neither transformer/config.json (upstream's layout) nor "
        f"model.safetensors beside config.json (LeRobot's) is there"
    )


class Tensors:
    """The tensors of one or more safetensors files, read when asked for; names without ``prefix``."""

    def __init__(self, files: Iterable[Path], prefix: str = "") -> None:
        self.files, self._prefix = tuple(files), prefix
        self._where: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.foreign: list[str] = []
        """Names that do not begin with ``prefix``."""
        for path in self.files:
            try:
                self._list(path)
            except SafetensorError as error:
                raise BadCheckpoint(_unreadable(path, error)) from None

    def _list(self, path: Path) -> None:
        with safe_open(path, "np") as file:
            for name in file.keys():  # noqa: SIM118  (not a dict)
                if not name.startswith(self._prefix):
                    self.foreign.append(name)
                    continue
                self._where[name.removeprefix(self._prefix)] = path
                self.shapes[name.removeprefix(self._prefix)] = tuple(file.get_slice(name).get_shape())

    def read(self, name: str) -> Any:
        """A torch tensor; torch is imported by who wants one."""
        with safe_open(self._where[name], "pt") as file:
            return file.get_tensor(self._prefix + name)

    def numbers(self, name: str) -> list[float]:
        with safe_open(self._where[name], "np") as file:
            numbers: list[float] = file.get_tensor(self._prefix + name).tolist()
        return numbers


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise NotReady(f"no checkpoint folder {name}; lingbot-eval make-tiny DIR writes a random one for a try")
    return _from_hub(name)


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        pass  # not in the cache: ask the hub
    try:
        return Path(snapshot_download(name, etag_timeout=5))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise NotReady(
            f"checkpoint {name} is neither a folder nor in the hub's cache, and the hub did not answer ({reason}). "
            f"On a machine that reaches it: `hf download {name} --local-dir DIR`; bring DIR here and say "
            f"agent.checkpoint=DIR (lingbot-eval make-tiny DIR writes a random one; --agent expert needs none)"
        ) from None


def _require_parts(parts: Path, checkpoint: Path) -> None:
    for name in ("vae/config.json", "text_encoder/config.json", "tokenizer/tokenizer.json"):
        if not (parts / name).is_file():
            raise NotReady(f"checkpoint {checkpoint} needs {parts / name}")


def shards(folder: Path) -> list[Path]:
    """The safetensors files of a folder; where there is an index, all those that it names.

    Raises NotReady for files that are not there, BadCheckpoint for an index that names none.
    """
    wanted = sorted(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        places = read_json(index).get("weight_map")
        if not isinstance(places, dict):
            raise BadCheckpoint(_unreadable(index, "no weight_map"))
        wanted = sorted({folder / str(name) for name in places.values()})
    missing = [path.name for path in wanted if not path.is_file()]
    if missing or not wanted:
        raise NotReady(f"{folder} lacks {', '.join(missing) or 'any *.safetensors'}")
    return wanted


def read_json(path: Path) -> dict[str, Any]:
    """Raises BadCheckpoint for a file that holds no JSON object."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadCheckpoint(_unreadable(path, error)) from None
    if not isinstance(data, dict):
        raise BadCheckpoint(_unreadable(path, "no JSON object"))
    return data


@contextlib.contextmanager
def understood(path: Path) -> Iterator[None]:
    """Around a library that is given what ``path`` holds: whatever it raises over that is a BadCheckpoint."""
    try:
        yield
    except LingbotEvalError:
        raise
    except Exception as error:  # tokenizers raises nothing narrower, transformers another type in every version
        raise BadCheckpoint(_unreadable(path, " ".join(str(error).split()))) from error


def _sized(path: Path) -> dict[str, Any]:
    """The transformer's configuration, which says how much memory is needed before anything else reads it."""
    config = read_json(path)
    for name in ("num_layers", "num_attention_heads", "attention_head_dim"):
        if type(config.get(name)) is not int:
            raise BadCheckpoint(f"{path}: {name} is {config.get(name)!r}, not a whole number")
    return config


def _unreadable(path: Path, why: object) -> str:
    return f"{path} cannot be read ({why}); was it copied whole, and not as a git-lfs pointer?"


def _lerobot(folder: Path, config: Mapping[str, Any]) -> Checkpoint:
    if config.get("type") != "lingbot_va":
        raise BadInput(f"{folder / 'config.json'}: type {config.get('type')!r} (valid: lingbot_va)")
    if "wan_pretrained_path" not in config:
        raise BadCheckpoint(f"{folder / 'config.json'} lacks wan_pretrained_path")
    named = str(config["wan_pretrained_path"])
    beside = folder / named
    parts = beside if beside.is_dir() else _folder(named)
    _require_parts(parts, folder)
    settings = _lerobot_settings(folder, config)
    return Checkpoint((folder / "model.safetensors",), "transformer.", config, parts, settings)


_LEROBOT = {
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
    own: dict[str, Any] = {name: config[theirs] for name, theirs in _LEROBOT.items() if theirs in config}
    layouts = {"width_concat": "width", "robotwin_tshape": "tshape"}
    if config.get("camera_layout", "width_concat") not in layouts:
        raise BadInput(f"camera_layout {config['camera_layout']!r} (valid: {', '.join(layouts)})")
    if "camera_layout" in config:
        own["layout"] = layouts[config["camera_layout"]]
    if "video_exec_step" in config:
        own["video_exec_step"] = None if config["video_exec_step"] == -1 else config["video_exec_step"]
    post = folder / "policy_postprocessor.json"
    if post.is_file():
        try:
            own |= _quantiles(folder, read_json(post), own["channels"], config["action_dim"])
        except (LookupError, TypeError, AttributeError) as error:
            raise BadCheckpoint(f"{post}, or config.json beside it, is not as LeRobot writes it ({error!r})") from None
    return own


def _quantiles(folder: Path, post: Mapping[str, Any], channels: list[int], count: int) -> dict[str, Any]:
    """q01 and q99 of the used channels, spread over all; the file is the one that the step names."""
    files = [step["state_file"] for step in post["steps"] if step.get("registry_name") == "unnormalizer_processor"]
    if len(files) != 1:
        raise BadInput(f"{folder / 'policy_postprocessor.json'} has {len(files)} unnormalizer steps; one was expected")
    if not (folder / files[0]).is_file():
        raise NotReady(f"{folder} lacks {files[0]}")
    tensors = Tensors([folder / files[0]])
    found: dict[str, Any] = {}
    for name in ("q01", "q99"):
        if tensors.shapes.get(f"action.{name}") != (len(channels),):
            shape = tensors.shapes.get(f"action.{name}")
            raise BadCheckpoint(f"{folder / files[0]}: action.{name} is {shape}, not ({len(channels)},)")
        values = [0.0] * count
        for channel, value in zip(channels, tensors.numbers(f"action.{name}"), strict=True):
            values[channel] = value
        found[name] = values
    return found
