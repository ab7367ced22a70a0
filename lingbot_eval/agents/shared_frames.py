"""Pass observations to an agent in another process through memory that both share (``shared_memory.py``)."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lingbot_eval.shared_memory import copy_look
from lingbot_eval.types import EnvSpec, Observation


class SharedFrames:
    """It has room for ``count`` observations of a specification, one after another. Each is the state (S float32), then
    its pictures in order, (H, W, 3) uint8."""

    def __init__(self, descriptor: int, spec: EnvSpec) -> None:
        """Lay them out in the memory of ``descriptor``.

        Raises ValueError where there is no room for one.
        """
        self._state, self._cameras = 4 * len(spec.state), spec.cameras
        size = self._state + sum(3 * height * width for height, width in spec.cameras.values())
        self._step = 4 * math.ceil(size / 4)  # so that every state begins where a float32 may
        room = os.fstat(descriptor).st_size
        self.count = room // max(1, self._step)
        if not self.count:
            raise ValueError(
                f"an observation needs {size} bytes, and the shared memory has {room}: give it smaller pictures, or "
                "fewer cameras"
            )
        self._bytes = np.frombuffer(mmap.mmap(descriptor, room), np.uint8)

    def write(self, frames: Sequence[Observation]) -> None:
        """Write the frames. Raises ValueError where they are more than ``count``, or do not look as specified."""
        for number, frame in enumerate(frames):
            state, images = self._at(number)
            copy_look(frame, state, images)

    def read(self, count: int) -> list[Observation]:
        """Return copies of the first ``count``: the next ones overwrite them."""
        frames: list[Observation] = []
        for number in range(count):
            state, images = self._at(number)
            frames.append({"images": {name: image.copy() for name, image in images.items()}, "state": state.copy()})
        return frames

    def _at(self, number: int) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.uint8]]]:
        """Return the arrays in the memory of one observation."""
        if number >= self.count:
            raise ValueError(f"observation {number}, counted from 0, has no room: the shared memory holds {self.count}")
        start = number * self._step
        end = start + self._state
        state, images = self._bytes[start:end].view(np.float32), {}
        for name, (height, width) in self._cameras.items():
            start, end = end, end + 3 * height * width
            images[name] = self._bytes[start:end].reshape(height, width, 3)
        return state, images
