"""How LingBot-VA's post-training reads an item, from its specification: numpy, no torch.

A segment's rows become actions of the shared thirty channels: stride = distance of the sampled frames; each of the F
latent frames has the 4 * stride commands before it, the first none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lingbot_eval.settings.lingbot_va import LingBotSettings

Array = npt.NDArray[np.float64]


def actions(rows: Array, frame_ids: Sequence[int], start: int, settings: LingBotSettings) -> Array:
    """(30, F, 4 * stride, 1) of ``rows`` (n, D), the commands from row ``start`` of the episode on."""
    stride, count = frame_ids[1] - frame_ids[0], (len(frame_ids) - 1) // 4 + 1
    rows = np.asarray(rows, np.float64)[frame_ids[0] - start :]
    if settings.layout == "tshape":
        rows = relative_to_the_first(rows)
    rows = np.concatenate([np.zeros((4 * stride, rows.shape[1])), rows])[: count * 4 * stride]
    low, high = np.array(settings.q01), np.array(settings.q99)
    full, mask = np.zeros((len(rows), len(low))), np.zeros(len(low))
    full[:, list(settings.channels)], mask[list(settings.channels)] = rows, 1
    scaled = np.clip((full - low) / (high - low + 1e-6) * 2 - 1, -1.5, 1.5) * mask
    return scaled.reshape(count, 4 * stride, -1).transpose(2, 0, 1)[..., None]


def relative_to_the_first(rows: Array) -> Array:
    """Per arm: the difference of positions, and first^-1 * rotation with the quaternion's numbers as scipy has them."""
    from scipy.spatial.transform import Rotation

    rows = rows.copy()
    for arm in (slice(0, 7), slice(8, 15)):
        pose = rows[:, arm].copy()
        turns = Rotation.from_quat(pose[:, 3:])
        rows[:, arm] = np.concatenate([pose[:, :3] - pose[0, :3], (turns[0].inv() * turns).as_quat()], axis=1)
    return rows
