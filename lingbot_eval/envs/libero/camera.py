"""Pictures are drawn only where somebody looks, and are identical to those of drawing after every command.

robosuite samples its camera observables inside a command, before its last physics step; drawing after the command
shows another instant (1 % of the pixels differ). So this hangs in as one more observable, which robosuite calls at the
very moment it would draw, and decides there whether to draw.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image as Pillow

from lingbot_eval.settings.libero import LiberoProtocol
from lingbot_eval.types import Image


class Camera:
    """It draws ``cameras`` (LIBERO's name by ours) of ``domain`` at its sampling instant, when :attr:`wanted`."""

    def __init__(self, domain: Any, cameras: Mapping[str, str], protocol: LiberoProtocol) -> None:
        from robosuite.utils.observables import Observable, sensor

        self._domain, self._cameras, self._protocol = domain, cameras, protocol
        self.wanted = False
        self.keeps = False
        """Whether an instant that is not wanted is kept, so that :meth:`draw_late` can still show it."""
        self._pictures: dict[str, Image] = {}
        self._kept: Any = None  # mujoco.MjData

        @sensor(modality="lingbot_eval")  # type: ignore[untyped-decorator]
        def shutter(cache: Any) -> float:
            if self.wanted:
                self._draw()
            elif self.keeps:
                self._kept = copy.copy(self._domain.sim.data._data)
            return 0.0

        domain.add_observable(Observable("shutter", shutter, sampling_rate=domain.control_freq, active=False))

    def pictures(self) -> dict[str, Image]:
        """Return the last drawn pictures as the protocol shows them, (size, size, 3) RGB each."""
        return {name: developed(picture, self._protocol) for name, picture in self._pictures.items()}

    def draw_late(self) -> None:
        """Draw the last kept instant, for a command that turned out to be the episode's last."""
        if self._kept is None:
            raise AssertionError("no instant was kept: set keeps before the command")
        simulation = self._domain.sim.data
        now, simulation._data = simulation._data, self._kept
        self._draw()
        simulation._data = now

    def _draw(self) -> None:
        size = self._protocol.render_size
        for name, theirs in self._cameras.items():
            self._pictures[name] = self._domain.sim.render(size, size, camera_name=theirs)


def developed(picture: Image, protocol: LiberoProtocol) -> Image:
    """Return LIBERO's ``picture``, turned and then resized as the protocol says."""
    if protocol.flip == "vertical":
        picture = picture[::-1]
    elif protocol.flip == "rotate180":
        picture = picture[::-1, ::-1]
    size = protocol.resize
    if size is not None and size != len(picture):
        picture = np.asarray(Pillow.fromarray(picture).resize((size, size), Pillow.Resampling.BILINEAR))
    return np.ascontiguousarray(picture)
