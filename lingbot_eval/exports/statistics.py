"""Statistics as LeRobot keeps them of every column of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lingbot_eval.types import Image

Statistics = dict[str, list[Any]]
"""``min``, ``max``, ``mean``, ``std``, ``count``; of pictures (3, 1, 1) per colour, in [0, 1]."""


def of_rows(values: npt.NDArray[Any]) -> Statistics:
    """Compute statistics over rows."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {**{what: value.tolist() for what, value in found.items()}, "count": [len(rows)]}


def histogram(image: Image) -> npt.NDArray[np.int64]:
    """Count how many pixels have which value, per colour: (3, 256)."""
    return np.stack([np.bincount(image[..., colour].ravel(), minlength=256) for colour in range(3)])


def of_pixels(counts: npt.NDArray[np.int64], pictures: int) -> Statistics:
    """Compute statistics of all pixels from their :func:`histogram`; ``count`` is the number of pictures."""
    values, pixels = np.arange(256) / 255, counts[0].sum()
    mean = counts @ values / pixels
    found = {
        "min": values[(counts > 0).argmax(1)],
        "max": values[255 - (counts[:, ::-1] > 0).argmax(1)],
        "mean": mean,
        "std": np.sqrt((counts * (values - mean[:, None]) ** 2).sum(1) / pixels),
    }
    return {**{what: value.reshape(3, 1, 1).tolist() for what, value in found.items()}, "count": [pictures]}


def together(episodes: Sequence[dict[str, Statistics]]) -> dict[str, Statistics]:
    """Compute statistics of all episodes' rows from those of each episode."""
    found = {}
    for key in episodes[0]:
        parts = [{what: np.array(value) for what, value in episode[key].items()} for episode in episodes]
        weights = np.array([part["count"][0] for part in parts], np.float64)
        mean = np.average([part["mean"] for part in parts], axis=0, weights=weights)
        squares = [part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts]
        found[key] = {
            "min": np.min([part["min"] for part in parts], axis=0).tolist(),
            "max": np.max([part["max"] for part in parts], axis=0).tolist(),
            "mean": mean.tolist(),
            "std": np.sqrt(np.average(squares, axis=0, weights=weights)).tolist(),
            "count": [int(weights.sum())],
        }
    return found
