"""Observations from the simulator's process to ours, through shared memory.

The memory is anonymous: it has no name that a crash could leave behind or that somebody else's exit could unlink.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np
import numpy.typing as npt

from lingbot_eval.types import Image, Observation

PICTURE_BYTES = 4 << 20
"""Room for one ``render()`` picture behind the observation."""


class Frame:
    """One observation and one picture in shared memory.

    Bytes: state (S float32), then each camera's (H, W, 3) uint8 in order, then room for a picture.
    """

    def __init__(self, descriptor: int, state: int, cameras: dict[str, tuple[int, int]]) -> None:
        self._cameras = cameras
        sizes = [4 * state, *(3 * height * width for height, width in cameras.values())]
        self._picture_at = sum(sizes)
        total = self._picture_at + PICTURE_BYTES
        if os.fstat(descriptor).st_size < total:
            os.ftruncate(descriptor, total)
        self._bytes = np.frombuffer(mmap.mmap(descriptor, total), np.uint8)
        self._state = self._bytes[: sizes[0]].view(np.float32)
        self._images, start = {}, sizes[0]
        for (name, (height, width)), size in zip(cameras.items(), sizes[1:], strict=True):
            self._images[name] = self._bytes[start : start + size].reshape(height, width, 3)
            start += size

    def write(self, observation: Observation) -> None:
        self._state[:] = observation["state"]
        for name, image in self._images.items():
            image[:] = observation["images"][name]

    def read(self) -> Observation:
        """A copy: the next command overwrites the memory."""
        return {"images": {name: image.copy() for name, image in self._images.items()}, "state": self._state.copy()}

    def write_picture(self, picture: Image) -> None:
        if picture.nbytes > PICTURE_BYTES:
            raise ValueError(f"a picture of {picture.shape} does not fit {PICTURE_BYTES} bytes")
        self._picture(picture.shape)[:] = picture

    def read_picture(self, shape: tuple[int, ...]) -> Image:
        return self._picture(shape).copy()

    def _picture(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        start = self._picture_at
        return self._bytes[start : start + int(np.prod(shape))].reshape(shape)


def anonymous_memory() -> int:
    """A file descriptor of memory that vanishes with its last user."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lingbot_eval")
    with tempfile.TemporaryFile() as file:  # not Linux
        return os.dup(file.fileno())
