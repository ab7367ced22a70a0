"""Give every episode the scene that its protocol gives it, whatever was played before in this process.

A stored initial state does not restore the fixtures (cabinet, stove, microwave): LIBERO draws their poses at reset, and
other draws move them by 1-2 cm, which is 11 % of the pixels. Two things decide the draws:

- the state of numpy's global generator, and
- how often this environment was hard-reset before: every model load appends to ``object_property_initializers``
  (hf-libero 0.1.4, ``bddl_base_domain.py``), and every entry takes one draw before the placements. Only the tasks whose
  initial conditions open or turn on something have any: one of libero_spatial, three of libero_10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lingbot_eval.settings.libero import LiberoProtocol


class Seeding:
    """It resets ``domain`` for episode k of its task, in any order, as the protocol's upstream would in order.

    ``seeding: per-task`` (openpi, vla-eval) seeds once and never again, so the generator's state before the k-th reset
    is found by doing the resets before it, once per process; commands draw nothing (tested).
    """

    def __init__(self, protocol: LiberoProtocol, domain: Any, reset: Callable[[], None]) -> None:
        self._protocol, self._domain, self._reset = protocol, domain, reset
        self._fresh = list(domain.object_property_initializers)
        self._seed: int | None = None
        self._before: list[Any] = []
        """The generator's state before the k-th reset, as far as it is known; it is used for per-task seeding only."""

    def reset(self, seed: int, k: int) -> None:
        if self._protocol.seeding != "per-task":  # a drawn seed is an ordinary one once it stands in the plan
            np.random.seed(seed)
            self._reset_as(k)
            return
        if seed != self._seed:
            np.random.seed(seed)
            self._seed, self._before = seed, [np.random.get_state()]
        for earlier in range(min(k, len(self._before) - 1), k + 1):
            np.random.set_state(self._before[earlier])
            self._reset_as(earlier)
            if len(self._before) == earlier + 1:
                self._before.append(np.random.get_state())

    def _reset_as(self, k: int) -> None:
        """Reset with the initializers that k episodes before this one have left; soft resets leave none."""
        behind = {"per-episode": 0, "per-task": k, "per-task-after-reset": k + 1}[self._protocol.environment]
        hard_resets = behind if self._protocol.reset == "hard" else 0
        self._domain.object_property_initializers[:] = self._fresh * (1 + hard_resets)
        self._reset()
