"""Drawers, doors, knobs and plates: what the scripted LIBERO expert drags instead of carrying.

Everything with a joint is moved alike: the hand takes hold of a point (or leans on it), and the point's path
follows from the joint. The hand is always led a little ahead of where the joint is now.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lingbot_eval.agents.experts.libero.grasps import plan_grasps
from lingbot_eval.agents.experts.libero.motions import (
    ABOVE,
    CLOSE,
    OPEN,
    UP,
    Commands,
    command,
    cruise,
    downward,
    fingers,
    nearest,
    pointing_along,
    reach,
    servo,
    travel,
    turn_to,
)
from lingbot_eval.agents.experts.libero.scene import TIP_BELOW, Array, Scene

OUTWARD = ("open", "turnon")  # towards the end of a joint's range that is farther from 0; the others go back
LEAD = {"slide": 0.10, "hinge": 0.35}  # metres, radians: how far ahead of the joint the hand is led
TILT = np.radians(8)  # how far below the horizontal the hand points at a drawer's handle
LEAN = np.radians(40)  # off the vertical when pushing a drawer: the forearm must not come over the cabinet
BACK = 0.08  # metres from which a handle is approached, and back to which the hand goes
FINGER = 0.025  # metres between the grip site and what a closed finger is about to touch
CLOSE_BY = 0.016  # the same where there is little room: behind a plate
DRAG_LIMIT = 160  # commands
CREEP, PATIENCE = 0.001, 20  # metres or radians per command; commands that a joint may creep before we let go
PUSH = 0.04  # metres ahead of themselves that pushing fingers are sent
STEER = 1.0  # metres they are sent sideways, per metre that they are off the line behind what they push
ARRIVED = 0.01  # metres from where a pushed thing should be


def is_shut_drawer(scene: Scene, site: str) -> bool:
    return bool(scene.joints(site)) and not scene.holds(("open", site))


def operate(scene: Scene, kind: str, name: str, attempt: int) -> Commands:
    """Make ``(kind, name)`` hold, for a drawer's site, a door (only "close") or a knob."""

    def done() -> bool:
        return scene.holds((kind, name))

    joint = scene.joints(name)[0]
    low, high = scene.joint_range(joint)
    outward = 1.0 if abs(high) > abs(low) else -1.0
    sign = outward if kind in OUTWARD else -outward
    if kind.startswith("turn"):
        yield from _turn(scene, joint, sign, done, attempt)
    elif scene.joint_kind(joint) == "slide" and kind == "open":
        yield from _pull(scene, joint, sign, done)
    else:
        yield from _shove(scene, joint, sign, done)
    yield from reach(scene, scene.grip + 0.10 * UP, OPEN, near=0.03, limit=20)


def push(scene: Scene, name: str, spot: Array) -> Commands:
    """Push what is too flat to grasp over the table to ``spot`` (3,): from behind, with closed fingers."""
    body = scene.body(name)
    rim = float(np.linalg.norm((scene.cloud(body) - scene.position(name))[:, :2], axis=1).max())

    def behind() -> tuple[Array, Array]:
        """Return the way to go, a unit vector (2,), and how far to the side of it the fingers are (2,)."""
        way = (spot - scene.position(name))[:2]
        way /= max(float(np.linalg.norm(way)), 1e-6)
        from_hand = (scene.position(name) - scene.grip)[:2]
        return way, from_hand - (from_hand @ way) * way

    def error() -> Array:
        way, aside = behind()
        return np.array([*(PUSH * way + STEER * aside), level - scene.grip[2]])

    def over() -> bool:
        away = float(np.linalg.norm((scene.position(name) - scene.grip)[:2]))
        return away > rim + 2 * FINGER or float(np.linalg.norm((spot - scene.position(name))[:2])) < ARRIVED

    way = np.array([*behind()[0], 0.0])
    level = scene.bottom(name) + TIP_BELOW + 0.004
    start = np.array([*_room(scene, body, scene.position(name)[:2], -(rim + CLOSE_BY) * way[:2]), level])
    # The palm goes first, over the plate, so that what stands behind the plate is not in its way.
    hand = nearest(scene, pointing_along(-np.cos(LEAN) * UP - np.sin(LEAN) * way, np.cross(UP, way)))
    yield from _come(scene, start, CLOSE, hand)
    yield from servo(scene, error, CLOSE, hand=hand, near=0.0, limit=DRAG_LIMIT, until=over, press=True)
    yield from reach(scene, scene.grip + 0.10 * UP, CLOSE, near=0.03, limit=20)


def _pull(scene: Scene, joint: int, sign: float, done: Callable[[], bool]) -> Commands:
    """Take a drawer's handle from the front and pull."""
    outward = sign * scene.joint_line(joint)[1]
    geoms = [scene.corners(geom) for geom in scene.boxes(scene.joint_body(joint))]
    point = max(geoms, key=lambda corners: float((corners @ outward).max())).mean(axis=0)  # the handle
    pointing = -np.cos(TILT) * outward - np.sin(TILT) * UP
    closing = np.cross(np.cross(outward, UP), pointing)
    hand = nearest(scene, pointing_along(pointing, closing))
    before = point - BACK * pointing
    yield from _come(scene, before, OPEN, hand)
    yield from reach(scene, point, OPEN, hand=hand, near=0.006, limit=40)
    yield from fingers(scene, CLOSE)
    yield from _drag(scene, joint, sign, CLOSE, done, turning=True)
    yield from fingers(scene, OPEN)
    yield from reach(scene, scene.grip - BACK * pointing, OPEN, hand=hand, near=0.02, limit=25)


def _shove(scene: Scene, joint: int, sign: float, done: Callable[[], bool]) -> Commands:
    """Lean on a drawer's front, or on a door near its edge, with closed fingers."""
    anchor, axis = scene.joint_line(joint)
    cloud = scene.cloud(scene.joint_body(joint))
    middle, top = (cloud.min(axis=0) + cloud.max(axis=0)) / 2, float(cloud[:, 2].max())
    lean = 0.0
    if scene.joint_kind(joint) == "slide":
        forward, edge, lean = sign * axis, middle, LEAN
    else:
        arm = (middle - anchor) * (1, 1, 0)
        forward = sign * np.cross(axis, arm / np.linalg.norm(arm))
        edge = anchor + 1.5 * arm  # near the edge of a door, where it takes the least force
    depth = float(((cloud - edge) @ forward).min()) - FINGER
    point = edge + depth * forward
    point[2] = top - 0.02  # only the fingers are lower than the top, so the palm passes over
    hand = nearest(scene, pointing_along(np.sin(lean) * forward - np.cos(lean) * UP, np.cross(forward, UP)))
    yield from _come(scene, point, CLOSE, hand)
    yield from _drag(scene, joint, sign, CLOSE, done, turning=False)


def _turn(scene: Scene, joint: int, sign: float, done: Callable[[], bool], attempt: int) -> Commands:
    """Grasp a knob from above and turn it."""
    grasps = plan_grasps(scene, scene.joint_body(joint))
    if not grasps:
        return
    grasp = grasps[attempt % len(grasps)]
    yield from _come(scene, grasp.point, OPEN, nearest(scene, downward(grasp.axis)))
    yield from fingers(scene, CLOSE)
    yield from _drag(scene, joint, sign, CLOSE, done, turning=True)
    yield from fingers(scene, OPEN)


def _come(scene: Scene, point: Array, gripper: float, hand: Array) -> Commands:
    """Move to ``point`` (3,) over whatever is in the way, and down to it."""
    height = max(point[2] + ABOVE, cruise(scene, point[:2]))
    yield from travel(scene, lambda: point[:2] - scene.grip[:2], height, gripper, hand=hand, near=0.02)
    yield from reach(scene, point, gripper, hand=hand, near=0.006, limit=40)


def _drag(
    scene: Scene, joint: int, sign: float, gripper: float, done: Callable[[], bool], *, turning: bool
) -> Commands:
    """Lead the hand along the joint's path until ``done``; with ``turning`` the hand turns with the joint."""
    kind, start = scene.joint_kind(joint), scene.joint_value(joint)
    grip, hand = scene.grip, scene.hand
    stuck, last = 0, start
    for _ in range(DRAG_LIMIT):
        value = scene.joint_value(joint)
        stuck, last = (stuck + 1 if abs(value - last) < CREEP else 0), value
        if done() or stuck > PATIENCE:
            return
        ahead = value - start + sign * LEAD[kind]
        anchor, axis = scene.joint_line(joint)
        turn = _rotation(axis, ahead) if kind == "hinge" else np.eye(3)
        goal = anchor + turn @ (grip - anchor) if kind == "hinge" else grip + ahead * axis
        yield command(goal - scene.grip, turn_to(scene, turn @ hand if turning else hand), gripper)


def _room(scene: Scene, body: int, middle: Array, arm: Array) -> Array:
    """Return the point (2,) nearest to ``middle + arm``, on that circle about ``middle``, with room for fingers."""
    about = np.stack(np.meshgrid(*[np.linspace(-CLOSE_BY, CLOSE_BY, 7)] * 2), axis=-1).reshape(-1, 2)
    turns = sorted(np.radians(np.arange(-75, 76, 15)), key=abs)
    points = [middle + _rotation(UP, turn)[:2, :2] @ arm for turn in turns]
    floor = float(scene.heights(middle[None], body)[0])
    free = [point for point in points if scene.heights(point + about, body).max() < floor + TIP_BELOW]
    return free[0] if free else points[0]


def _rotation(axis: Array, angle: float) -> Array:
    """Return the rotation (3, 3) by ``angle`` radians about ``axis`` (3,), unit."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
