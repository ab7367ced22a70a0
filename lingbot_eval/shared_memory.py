"""Observations come from the simulator's process to ours through shared memory.

The memory is anonymous: it has no name that a crash could leave behind or that somebody else's exit could unlink. Its
size is fixed before the simulator gets it: whoever reads beyond the end of memory that another process has cut is
killed (SIGBUS).
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lingbot_eval.types import EnvSpec, Image, Observation

PICTURE_BYTES = 4 << 20
"""The room for one ``render()`` picture behind the observation."""

MEMORY_BYTES = 64 << 20
"""The room for both; what is not written to takes no memory. The largest observation known is one of 0.7 MB."""


class SharedObservation:
    """One observation and one picture in memory that two processes share.

    Its bytes are the state (S float32), then each camera's picture (H, W, 3) uint8 in the order of the specification,
    then PICTURE_BYTES of room for the picture that ``render()`` draws.
    """

    def __init__(self, descriptor: int, spec: EnvSpec) -> None:
        """Lay an observation of ``spec`` out in the memory of ``descriptor``.

        Raises ValueError where it has no room.
        """
        cameras = spec.cameras
        sizes = [4 * len(spec.state), *(3 * height * width for height, width in cameras.values())]
        self._picture_at = sum(sizes)
        total = self._picture_at + PICTURE_BYTES
        if total > MEMORY_BYTES:
            raise ValueError(
                f"an observation needs {self._picture_at} bytes, and the shared memory has "
                f"{MEMORY_BYTES - PICTURE_BYTES} for it: ask for smaller pictures, or fewer cameras"
            )
        self._bytes = np.frombuffer(mmap.mmap(descriptor, total), np.uint8)
        self._state = self._bytes[: sizes[0]].view(np.float32)
        self._images, start = {}, sizes[0]
        for (name, (height, width)), size in zip(cameras.items(), sizes[1:], strict=True):
            self._images[name] = self._bytes[start : start + size].reshape(height, width, 3)
            start += size

    def write(self, observation: Observation) -> None:
        """Write the observation. Raises ValueError where it does not look as specified."""
        copy_look(observation, self._state, self._images)

    def read(self) -> Observation:
        """Return a copy of the observation, because the next command overwrites the memory."""
        return {"images": {name: image.copy() for name, image in self._images.items()}, "state": self._state.copy()}

    def write_picture(self, picture: Image) -> None:
        """Write an (H, W, 3) picture of bytes. Raises ValueError for another."""
        if not isinstance(picture, np.ndarray) or picture.ndim != 3:
            raise ValueError(f"picture: {_in_words(picture)}, not uint8 (height, width, 3)")
        _copy("picture", picture, self._picture((*picture.shape[:2], 3)))

    def read_picture(self, shape: tuple[int, ...]) -> Image:
        return self._picture(shape).copy()

    def _picture(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Return the room of a picture of ``shape``.

        Raises ValueError where it has none.
        """
        start, size = self._picture_at, math.prod(shape)
        if size > PICTURE_BYTES:
            raise ValueError(
                f"a picture of {shape} needs {size} bytes, and the shared memory has {PICTURE_BYTES} for it"
            )
        return self._bytes[start : start + size].reshape(shape)


def copy_look(look: Observation, state: npt.NDArray[np.float32], images: Mapping[str, npt.NDArray[np.uint8]]) -> None:
    """Copy an observation to its place in the memory.

    Raises ValueError for other pictures, shapes or types than there: numpy would stretch and cast them, and pictures
    between 0 and 1 would become black.
    """
    if look["images"].keys() != images.keys():
        raise ValueError(f"pictures of {list(look['images'])}, not of {list(images)}")
    _copy("state", look["state"], state)
    for name, image in look["images"].items():
        _copy(f"picture {name}", image, images[name])


def _copy(what: str, array: object, place: npt.NDArray[Any]) -> None:
    if not isinstance(array, np.ndarray) or array.shape != place.shape or array.dtype != place.dtype:
        raise ValueError(f"{what}: {_in_words(array)}, not {_in_words(place)}")
    place[:] = array


def _in_words(array: object) -> str:
    return f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__


def anonymous_memory() -> int:
    """Return a file descriptor of MEMORY_BYTES that vanish with their last user."""
    if hasattr(os, "memfd_create"):
        import fcntl

        descriptor = os.memfd_create("lingbot_eval", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, MEMORY_BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return descriptor
    with tempfile.TemporaryFile() as file:  # not Linux: a simulator could cut it
        os.ftruncate(file.fileno(), MEMORY_BYTES)
        return os.dup(file.fileno())
