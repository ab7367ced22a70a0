"""Other wordings of an instruction: ``meta/wordings.jsonl`` has the words, ``latents/wordings.safetensors`` what the
text encoder makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lingbot_eval.errors import BadInput
from lingbot_eval.files import bounded, write_whole


class Wordings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file."""

    text: str
    """The instruction, as segments have it."""
    others: tuple[str, ...]
    """It may be said so, too."""


def words_file(folder: Path) -> Path:
    return folder / "meta" / "wordings.jsonl"


def texts_file(folder: Path) -> Path:
    return folder / "latents" / "wordings.safetensors"


def read_words(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the other wordings by instruction; none where the dataset has no such file.

    Raises BadInput.
    """
    file = words_file(folder)
    try:
        lines = [line for line in bounded(file).splitlines() if line.strip()]
        read = [msgspec.json.decode(line, type=Wordings) for line in lines]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file}: {error}") from None
    return {one.text: tuple(other for other in dict.fromkeys(one.others) if other != one.text) for one in read}


def read_texts(folder: Path) -> dict[str, Tensor]:
    """Return (n, text_dim) of each wording that was encoded.

    Raises BadInput.
    """
    file = texts_file(folder)
    if not file.exists():
        return {}
    try:
        found: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{file} cannot be read: {error}") from None
    return found


def write_texts(folder: Path, texts: Mapping[str, Tensor]) -> None:
    """Raises OSError."""
    file = texts_file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, save({words: text.cpu().contiguous() for words, text in texts.items()}))
