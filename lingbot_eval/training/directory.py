"""The folder of a training holds one training, and nothing in between that a crash could lose.

train.json      what training this is; from the first step on, it is only read
curve.jsonl     what was learnt, step by step (curve.py)
state/          what it goes on from (state.py)
checkpoint/     what came out, in upstream's layout; beside it lerobot/ or adapter/ where they are asked for
plays/          runs that were played meanwhile, and films of what was imagined
MODEL_CARD.md
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lingbot_eval import files
from lingbot_eval.errors import BadInput, RunMismatch, Taken
from lingbot_eval.settings import to_dict
from lingbot_eval.settings.train import TrainSettings

SCHEMA = 1

ELSEWHERE = "choose another with out=DIR"


class Directory:
    """A folder with the layout above, whether or not it is there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.curve, self.state, self.plays = path / "curve.jsonl", path / "state", path / "plays"
        self.checkpoint, self.lerobot, self.adapter = path / "checkpoint", path / "lerobot", path / "adapter"

    def open(self, settings: TrainSettings, contents: Mapping[str, str]) -> None:
        """Make the folder this training's, or find that it is. ``contents``: hashes of what is learnt from.

        Raises RunMismatch with what differs where another training is here, NotReady where nothing can be written.
        """
        identity = json.loads(json.dumps({**settings.identity(), **contents}))  # as it is read back
        file = self.path / "train.json"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            content = {"schema": SCHEMA, "identity": identity, "settings": to_dict(settings)}
            if not self._begun():  # what was said here before was refused, and is forgotten
                files.write_whole(file, files.with_checksum(content))
        except OSError as error:
            raise files.unwritable(self.path, error, ELSEWHERE) from None
        known = files.parsed(files.read(file) or b"", file, SCHEMA)["identity"]
        if differences := list(_differences(known, identity)):
            raise RunMismatch(f"{self.path} holds another training: {'; '.join(differences)}; {ELSEWHERE}")

    def _begun(self) -> bool:
        """Whether anything is here that was learnt, besides what the training is."""
        return any(one.name != "train.json" for one in files.listed(self.path))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock. Raises BadInput for a folder of other things, which is left as it is, Taken where
        another process trains here, NotReady where there is no lock."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            ours = (self.path / "train.json").exists()
            if not ours and files.listed(self.path):
                raise BadInput(f"{self.path} has no train.json, and is not empty; {ELSEWHERE}")
        except OSError as error:
            raise files.unwritable(self.path, error, ELSEWHERE) from None
        taken = Taken(f"another process trains in {self.path}; wait for it, or {ELSEWHERE}")
        with files.alone(self.path / ".lock", taken, ELSEWHERE):
            yield


def _differences(known: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name in known.keys() | wanted.keys():
        was, here = known.get(name), wanted.get(name)
        if isinstance(was, Mapping) and isinstance(here, Mapping):
            yield from _differences(was, here, f"{path}{name}.")
        elif was != here:
            yield f"{path}{name} was {was}, and is {here}"
