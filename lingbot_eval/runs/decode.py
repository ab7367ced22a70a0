"""Decoders make records and episodes of lines of JSON, a million of them if need be: what many lines have in common is
decoded once and held once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator

import msgspec

from lingbot_eval.types import Episode, EpisodeRecord, Provenance


class _Line(EpisodeRecord):
    """It is an EpisodeRecord in all but this field, which msgspec reads from here; no dataclass of its own, whose slots
    would be others in Python 3.10, so that it could not become an EpisodeRecord."""

    __slots__ = ()
    provenance: msgspec.Raw  # type: ignore[assignment]
    """It is two thirds of a line, and the same in thousands."""


class RecordDecoder:
    """Decodes one run's records; those of an episode in ``plan`` share it."""

    def __init__(self, plan: Iterable[Episode] = ()) -> None:
        self._planned = {episode.id: episode for episode in plan}
        self._provenances: dict[bytes, Provenance | None] = {}
        self._texts: dict[str, str] = {}

    def decode(self, line: bytes) -> EpisodeRecord:
        """Raises msgspec.DecodeError."""
        record = _LINES.decode(line)
        raw = bytes(record.provenance) if record.provenance else b"null"
        if raw not in self._provenances:
            self._provenances[raw] = _PROVENANCES.decode(raw)
        _set(record, "provenance", self._provenances[raw])
        _set(record, "__class__", EpisodeRecord)
        planned = self._planned.get(record.episode.id)
        if planned == record.episode:
            _set(record, "episode", planned)
        else:
            _share(record.episode, self._texts)
        return record


class EpisodeDecoder:
    """Decodes one plan's episodes."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def decode(self, line: bytes) -> Episode:
        """Raises msgspec.DecodeError."""
        episode = _EPISODES.decode(line)
        _share(episode, self._texts)
        return episode


def _share(episode: Episode, texts: dict[str, str]) -> None:
    """Hold equal texts once."""
    once = texts.setdefault
    _set(episode, "suite", once(episode.suite, episode.suite))
    _set(episode, "task", once(episode.task, episode.task))
    _set(episode, "setting", once(episode.setting, episode.setting))
    _set(episode, "instruction", once(episode.instruction, episode.instruction))


_set = object.__setattr__
"""It sets a field of a record, which is frozen for everybody else; to make each anew would take as long as all the
rest."""


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Python's collector rests while many objects are made that stay: it would go through all of them again and again
    for rings that are not there, which takes twice as long as to make them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


_LINES = msgspec.json.Decoder(_Line)
_PROVENANCES = msgspec.json.Decoder(Provenance | None)
_EPISODES = msgspec.json.Decoder(Episode)
