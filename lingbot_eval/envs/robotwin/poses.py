"""Bimanual commands relative to the episode's first pose are composed exactly as LingBot-VA's client does it.

A command is (16,): per arm, left first, xyz in metres, four quaternion numbers, gripper 0 closed .. 1 open. An absolute
command's quaternion is RoboTwin's: world frame, w first. A relative command's quaternion is *four raw numbers*, not w
first: LingBot-VA's client and its training data multiply them in scipy's algebra, whose scalar comes last, with the raw
numbers of the w-first initial pose on the left (Robbyant/lingbot-va @ 6f092cb, evaluation/robotwin/
eval_polict_client_openpi.py:415-425, 571-579). Both sides make the same relabelling, so it cancels. Who reorders the
numbers here, as seems right, leaves the hand about 28 degrees off after a relative rotation of 20. Don't.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lingbot_eval.errors import BadAction

Array = npt.NDArray[np.float64]

SCORE_VERSION = "2"
"""The version of how a command reaches the simulator of RoboTwin and tabletop. It is in the protocol hash, and not
among what decides which scenes their experts solve. Raise it with every change here or in ``relative.py`` that can move
a score. 1 rounded the first pose and the composed command to float32; it had no name among the facts."""

ARMS = (slice(0, 8), slice(8, 16))
"""Columns of the left and the right arm in a command."""

STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
"""The relative pose that asks for no motion: the algebra's identity is (0, 0, 0, 1)."""


def absolute(initial: npt.ArrayLike, relative: npt.ArrayLike) -> Array:
    """Return (..., 16) absolute commands for ``relative`` ones (..., 16) and the ``initial`` pose (16,).

    Translations add up in world axes, quaternions multiply (initial on the left) and are normalised, grippers stay; all
    in float64, whatever came. Raises BadAction for a quaternion of length zero.
    """
    first, command = np.asarray(initial, np.float64), np.array(relative, np.float64)
    for arm in ARMS:
        here, turn = first[arm], command[..., arm]
        turn[..., :3] += here[:3]
        # Once more than needed: scipy normalises the product and the client does so again, so the bits are theirs.
        turn[..., 3:7] = unit(unit(product(unit(here[3:7]), unit(turn[..., 3:7]))))
    return command


def relative(initial: npt.ArrayLike, wanted: npt.ArrayLike) -> Array:
    """Return (..., 16): what :func:`absolute` turns into ``wanted`` (..., 16) again."""
    first, command = np.asarray(initial, np.float64), np.array(wanted, np.float64)
    for arm in ARMS:
        here, there = first[arm], command[..., arm]
        there[..., :3] -= here[:3]
        there[..., 3:7] = product(unit(here[3:7]) * (-1, -1, -1, 1), unit(there[..., 3:7]))
    return command


def product(left: Array, right: Array) -> Array:
    """Return (..., 4): Hamilton's product of raw numbers whose last is the scalar, summed in scipy's order."""
    a, b = np.broadcast_arrays(left, right)
    vector = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    scalar = a[..., 3] * b[..., 3] - a[..., 0] * b[..., 0] - a[..., 1] * b[..., 1] - a[..., 2] * b[..., 2]
    return np.concatenate([vector, scalar[..., None]], axis=-1)


def unit(quaternion: Array) -> Array:
    """Return the quaternions (..., 4) at length one.

    Raises BadAction as :func:`require_orientation`.
    """
    require_orientation(quaternion)
    return np.asarray(quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True))


def require_orientation(quaternion: Array) -> None:
    """Raise BadAction where one of (..., 4) has length zero."""
    if len(bad := quaternion[np.linalg.norm(quaternion, axis=-1) < 1e-8]):
        raise BadAction(f"a quaternion of length zero is no orientation: {bad.reshape(-1, 4)[0].tolist()}")
