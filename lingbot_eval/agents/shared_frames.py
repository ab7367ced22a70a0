"""Observations on their way to an agent in another process, in memory that both share (``shared_memory.py``)."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from lingbot_eval.types import Observation


class Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an observation looks like."""

    state: int
    """S, its length."""
    cameras: dict[str, tuple[int, int]]
    """Height and width in pixels of each picture, in order."""

    @property
    def bytes(self) -> int:
        return 4 * self.state + sum(3 * height * width for height, width in self.cameras.values())


def layout_of(frame: Observation) -> Layout:
    """The layout of ``frame``."""
    height_width = {name: (image.shape[0], image.shape[1]) for name, image in frame["images"].items()}
    return Layout(len(frame["state"]), height_width)


class SharedFrames:
    """Room for ``count`` observations, one after another: of each the state (S float32), then its pictures."""

    def __init__(self, descriptor: int, layout: Layout) -> None:
        """Raises ValueError where there is no room for one."""
        self.layout, size = layout, os.fstat(descriptor).st_size
        self._step = 4 * math.ceil(layout.bytes / 4)  # so that every state begins where a float32 may
        self.count = size // self._step
        if not self.count:
            raise ValueError(f"an observation of {layout.bytes} bytes; there is room for {size}")
        self._bytes = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)

    def write(self, frames: Sequence[Observation]) -> None:
        """Raises ValueError for one of another layout, and where they are more than ``count``."""
        for number, frame in enumerate(frames):
            if layout_of(frame) != self.layout:
                raise ValueError(f"an observation of {layout_of(frame)} after some of {self.layout}")
            state, images = self._at(number)
            state[:] = frame["state"]
            for name, image in images.items():
                image[:] = frame["images"][name]

    def read(self, count: int) -> list[Observation]:
        """Copies of the first ``count``: the next ones overwrite them."""
        frames: list[Observation] = []
        for number in range(count):
            state, images = self._at(number)
            frames.append({"images": {name: image.copy() for name, image in images.items()}, "state": state.copy()})
        return frames

    def _at(self, number: int) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.uint8]]]:
        if not 0 <= number < self.count:
            raise ValueError(f"there is room for {self.count} observations")
        start = number * self._step
        end = start + 4 * self.layout.state
        state, images = self._bytes[start:end].view(np.float32), {}
        for name, (height, width) in self.layout.cameras.items():
            start, end = end, end + 3 * height * width
            images[name] = self._bytes[start:end].reshape(height, width, 3)
        return state, images
