"""How the scripted LIBERO expert moves: generators of commands that close a loop on simulator state.

A command is what LIBERO's OSC_POSE controller takes: (7,) in [-1, 1]. The first three displace the grip site
by up to 5 cm, the next three turn the hand by up to 0.5 rad (axis-angle), both in the world's axes, and the
last moves the fingers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from lingbot_eval.agents.experts.libero.scene import PALM_ABOVE, PALM_ALONG, TIP_BELOW, Array, Scene

Command = npt.NDArray[np.float32]
Commands = Generator[Command, None, None]

OPEN, CLOSE = -1.0, 1.0
UP = np.array([0.0, 0.0, 1.0])
METRES_PER_COMMAND = 0.05  # robosuite controllers/config/osc_pose.json: output_max
RADIANS_PER_COMMAND = 0.5
CLEARANCE = 0.025  # metres between what moves and what it passes over
ABOVE = 0.05  # metres above its target where the hand stops travelling and comes straight down
FINE = 0.02  # metres; nearer than this the error is also summed up, because a stretched arm strays
GAIN = 0.2  # of the error, per command
IMPATIENCE, PATIENCE = 4, 10  # stalled commands before giving up: far from the target, and near it
TOO_LOW, SLOPE = 0.06, 0.04  # metres below its height where travel starts to go sideways, and until full pace
STALLED = 0.001  # metres per command; slower than this while still commanded is pressing against something
FINGERS_SWITCH = 8  # commands from open to closed: 2 / (0.01 per physics step * 25), panda_gripper.py: speed
FINGERS_LIMIT = 16  # commands


def command(shift: Array, turn: Array, gripper: float) -> Command:
    """Return the command for ``shift`` (3,) metres and ``turn`` (3,) axis-angle, world axes, each cut to what one
    command can do."""
    linear, angular = shift / METRES_PER_COMMAND, turn / RADIANS_PER_COMMAND
    linear, angular = (v / max(1.0, float(np.abs(v).max())) for v in (linear, angular))
    return np.array([*linear, *angular, gripper], np.float32)


def shortened(vector: Array, length: float) -> Array:
    """Return ``vector``, scaled down to ``length`` if it is longer."""
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-9))


def pointing_along(pointing: Array, closing: Array) -> Array:
    """Return the hand orientation (3, 3) that points along ``pointing`` (3,) and closes along ``closing`` (3,)."""
    return np.column_stack([closing, np.cross(pointing, closing), pointing])


def downward(axis: Array) -> Array:
    """Return the hand orientation (3, 3) that points down and closes along ``axis`` (2,) of the world's xy."""
    return pointing_along(-UP, np.array([axis[0], axis[1], 0.0]) / np.linalg.norm(axis))


def nearest(scene: Scene, hand: Array) -> Array:
    """Return ``hand`` (3, 3) or its half turn about where it points, whichever is nearer: the fingers are twins."""
    twin = hand * np.array([-1.0, -1.0, 1.0])
    return min(hand, twin, key=lambda h: float(np.linalg.norm(h - scene.hand)))


def turn_to(scene: Scene, hand: Array) -> Array:
    """Return the rotation from the present orientation to ``hand`` (3, 3), axis-angle (3,) in the world's axes."""
    rotation = hand @ scene.hand.T
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    skew = rotation - rotation.T
    axis = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
    length = float(np.linalg.norm(axis))
    return axis * (angle / length) if length > 1e-6 else np.zeros(3)


def servo(
    scene: Scene,
    error: Callable[[], Array],
    gripper: float,
    *,
    hand: Array | None = None,
    near: float = 0.008,
    aligned: float = 0.08,
    limit: int = 60,
    until: Callable[[], bool] = lambda: False,
    press: bool = False,
) -> Commands:
    """Drive ``error`` (metres, (3,)) below ``near`` and the hand to within ``aligned`` radians of ``hand``.

    Ends early if ``until`` holds, after ``limit`` commands, or when the hand stalls but is not to ``press``.
    """
    stuck, last, droop = 0, scene.grip, np.zeros(3)
    for count in range(limit):
        shift = error()
        turn = np.zeros(3) if hand is None else turn_to(scene, hand)
        if until() or (np.linalg.norm(shift) < near and np.linalg.norm(turn) < aligned):
            return
        if np.linalg.norm(shift) < FINE:
            droop = shortened(droop + GAIN * shift, FINE)
        yield command(shift + droop, turn, gripper)
        moved, last = float(np.linalg.norm(scene.grip - last)), scene.grip
        stuck = stuck + 1 if moved < STALLED and count > 4 and np.linalg.norm(turn) < aligned else 0
        if stuck >= (PATIENCE if np.linalg.norm(shift) < FINE else IMPATIENCE) and not press:
            return


def reach(
    scene: Scene,
    point: Array,
    gripper: float,
    *,
    hand: Array | None = None,
    near: float = 0.008,
    limit: int = 60,
) -> Commands:
    """Bring the grip site to ``point`` (3,) in a straight line."""
    return servo(scene, lambda: point - scene.grip, gripper, hand=hand, near=near, limit=limit)


def travel(
    scene: Scene,
    error: Callable[[], Array],
    height: float,
    gripper: float,
    *,
    hand: Array,
    near: float,
    until: Callable[[], bool] = lambda: False,
    limit: int = 90,
) -> Commands:
    """Bring a horizontal ``error`` (metres, (2,)) to nought with the grip site at ``height``: go up, then across."""

    def shift() -> Array:
        rise = height - scene.grip[2]
        across = shortened(error(), METRES_PER_COMMAND)  # or nothing is left to hold the height
        return np.array([*across * np.clip((TOO_LOW - rise) / SLOPE, 0, 1), rise])

    return servo(scene, shift, gripper, hand=hand, near=near, limit=limit, until=until)


def fingers(scene: Scene, gripper: float) -> Commands:
    """Open or close until the fingers rest."""
    last = scene.opening
    for count in range(FINGERS_LIMIT):
        yield command(np.zeros(3), np.zeros(3), gripper)
        change, last = abs(scene.opening - last), scene.opening
        if count + 1 >= FINGERS_SWITCH and change < 0.0005:
            return


def cruise(scene: Scene, end: Array, hang: float = TIP_BELOW, ignore: int | None = None) -> float:
    """Return the height at which the grip site may go straight from here to over ``end`` (2,).

    What it carries (not counted: body ``ignore``) reaches ``hang`` metres below it and needs a lane of 12 cm;
    the palm, higher up, needs one of 22 cm and as much beyond both ends.
    """
    start = scene.grip[:2]
    length = float(np.linalg.norm(end - start))
    way = (end - start) / max(length, 1e-6)
    side = np.array([-way[1], way[0]])
    along = np.arange(-PALM_ALONG, length + PALM_ALONG, 0.015)
    lanes = np.linspace(-PALM_ALONG, PALM_ALONG, 9)
    grid = start + along[:, None, None] * way + lanes[None, :, None] * side
    heights = scene.heights(grid.reshape(-1, 2), ignore).reshape(grid.shape[:2])
    under = heights[(along > -0.02) & (along < length + 0.02)][:, np.abs(lanes) < 0.06]
    return CLEARANCE + max(float(under.max()) + hang, float(heights.max()) - PALM_ABOVE)
