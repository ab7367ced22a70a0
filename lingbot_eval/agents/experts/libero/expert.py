"""A scripted expert for LIBERO: it reads the simulator's state and answers with ordinary OSC_POSE commands.

It exists to prove a set-up (assets, controller, success test) without a model, and to record demonstrations.
It plans again from what it sees after every attempt, so a dropped object is picked up where it fell.
It puts things down from above: it cannot reach into a microwave, nor open one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lingbot_eval.agents.experts.libero import fixtures
from lingbot_eval.agents.experts.libero.grasps import PALM_POINTS, Grasp, palm_points, plan_grasps
from lingbot_eval.agents.experts.libero.motions import (
    ABOVE,
    CLOSE,
    OPEN,
    UP,
    Command,
    Commands,
    command,
    cruise,
    downward,
    fingers,
    nearest,
    reach,
    servo,
    travel,
)
from lingbot_eval.agents.experts.libero.scene import PALM_ABOVE, Array, Scene
from lingbot_eval.errors import UnknownName

Goal = tuple[str, ...]

ORDER = ("open", "in", "on", "turnon", "turnoff", "close")  # a drawer is filled before it is closed
RISEN = 0.03  # metres an object must rise to count as picked up
LOST = 0.04  # metres an object may move in the hand before it counts as dropped
DROP = 0.012  # metres above the support where an object is let go
NARROW = 0.035  # metres; into a slot with a smaller half size goes the object's thin side
SHARED = 0.55  # of a site's half size: how far from its centre the two objects stand that share it
AROUND = (0.0, -0.5, -0.25, 0.25, 0.5)  # of a site's half size: spots to try if its middle has no room
OFF_CENTRE = 0.5  # cost of a metre off the middle, in the currency of Grasp.cost
MIDDLE, SNUG = 0.012, 0.004  # metres an object may be off its goal, or its slot's middle, when it is lowered


class LiberoExpert:
    """Plays one episode after another on ``domain``, the robosuite environment (BDDLBaseDomain)."""

    def __init__(self, domain: Any) -> None:
        self._domain = domain
        self.reset()

    def reset(self) -> None:
        """Forget everything and plan from the present state."""
        self._commands: Commands = _play(Scene(self._domain))

    def command(self) -> Command:
        """Return the next command, (7,) in [-1, 1]; ask once per command, after the previous one was executed."""
        return next(self._commands)


def _play(scene: Scene) -> Commands:
    """Pursue the first goal that does not hold, as long as there is one; each new try at a goal takes another grasp."""
    for kind in {goal[0] for goal in scene.goals} - set(ORDER):
        raise UnknownName("LIBERO predicate", kind, ORDER)
    goals = sorted(scene.goals, key=lambda goal: ORDER.index(goal[0]))
    attempts = dict.fromkeys(goals, 0)
    while True:
        unmet = [goal for goal in goals if not scene.holds(goal)]
        if not unmet:
            yield command(np.zeros(3), np.zeros(3), 0.0)
            continue
        yield from _pursue(scene, unmet[0], attempts[unmet[0]])
        attempts[unmet[0]] += 1


def _pursue(scene: Scene, goal: Goal, attempt: int) -> Commands:
    if goal[0] in ("in", "on"):
        yield from _fetch(scene, goal[1], goal[2], attempt)
    else:
        yield from fixtures.operate(scene, goal[0], goal[1], attempt)


def _fetch(scene: Scene, name: str, target: str, attempt: int) -> Commands:
    """Bring object ``name`` to ``target``, a site or another object."""
    if scene.is_site(target) and fixtures.is_shut_drawer(scene, target):
        yield from fixtures.operate(scene, "open", target, attempt)
        return
    grasps = plan_grasps(scene, scene.body(name))
    if not grasps:
        yield from fixtures.push(scene, name, _spot(scene, name, target))
        return
    plans = _plans(scene, name, target, grasps)
    grasp, spot = plans[attempt % len(plans)]
    yield from _approach(scene, name, grasp)
    before = scene.top(name)
    yield from fingers(scene, CLOSE)
    hand = nearest(scene, downward(grasp.axis))
    yield from reach(scene, scene.grip + (RISEN + 0.03) * UP, CLOSE, hand=hand, near=0.03)
    if scene.top(name) > before + RISEN:
        yield from _place(scene, name, spot, hand, _slot(scene, target))
        yield from fingers(scene, OPEN)
    yield from reach(scene, scene.grip + 0.10 * UP, OPEN, near=0.03, limit=20)


def _approach(scene: Scene, name: str, grasp: Grasp) -> Commands:
    """Go over the grasp, turned and open, then straight down. The object may move: some still fall at the start."""
    hand, held = nearest(scene, downward(grasp.axis)), grasp.point - scene.position(name)

    def error() -> Array:
        return scene.position(name) + held - scene.grip

    height = max(grasp.point[2] + ABOVE, cruise(scene, grasp.point[:2]))
    yield from travel(scene, lambda: error()[:2], height, OPEN, hand=hand, near=0.015)
    yield from servo(scene, error, OPEN, hand=hand, near=0.004, limit=40)


def _place(scene: Scene, name: str, spot: Array, hand: Array, slot: Array | None) -> Commands:
    """Carry the held object over ``spot`` (3,) and lower it; the object itself is what is steered."""
    hand = hand if slot is None else nearest(scene, downward(slot))
    length = np.linalg.norm(scene.position(name) - scene.grip)

    def off() -> Array:
        return (spot - (scene.position(name) if slot is None else scene.centre(name)))[:2]

    def lost() -> bool:
        return bool(abs(np.linalg.norm(scene.position(name) - scene.grip) - length) > LOST)

    height = cruise(scene, spot[:2], scene.grip[2] - scene.bottom(name), scene.body(name))
    near = MIDDLE if slot is None else SNUG
    yield from travel(scene, off, height, CLOSE, hand=hand, near=near, until=lost)
    support = _support(scene, name, spot[:2])

    def lower() -> Array:
        return np.array([*off(), support + DROP - scene.bottom(name)])

    yield from servo(scene, lower, CLOSE, hand=hand, near=0.008, until=lost, limit=50)


def _plans(scene: Scene, name: str, target: str, grasps: list[Grasp]) -> list[tuple[Grasp, Array]]:
    """Return each grasp with the spot (3,) that suits it, best first: hand and object should have room there."""
    middle, cloud = _spot(scene, name, target), scene.cloud(scene.body(name))
    spots = np.array([middle])
    if scene.is_site(target):
        axes, half = scene.site_box(target)
        sides = [axes[:2, k] * half[k] for k in range(3) if abs(axes[2, k]) < 0.5]
        grid = np.stack(np.meshgrid(*[AROUND] * len(sides)), axis=-1).reshape(-1, len(sides))
        spots = middle + np.pad(grid @ np.array(sides), ((0, 0), (0, 1)))
    lift = np.array([_support(scene, name, spot[:2]) for spot in spots]) + DROP - cloud[:, 2].min()
    plans = []
    for grasp in grasps:
        palm = np.column_stack([palm_points(grasp), np.full(PALM_POINTS, grasp.point[2] + PALM_ABOVE)])
        solid = np.concatenate([palm, cloud])
        shifts = np.column_stack([(spots - scene.position(name))[:, :2], lift])
        moved = solid + shifts[:, None]  # (spots, n, 3)
        under = scene.heights(moved[..., :2].reshape(-1, 2), scene.body(name)).reshape(moved.shape[:2])
        blocked = (under > moved[..., 2]).any(axis=1)
        costs = grasp.cost + OFF_CENTRE * np.linalg.norm(spots - middle, axis=1) + blocked
        best = int(np.argmin(costs))
        plans.append((float(costs[best]), grasp, spots[best]))
    return [(grasp, spot) for _, grasp, spot in sorted(plans, key=lambda plan: plan[0])]


def _spot(scene: Scene, name: str, target: str) -> Array:
    """Return where ``name``'s frame should come to stand, (3,): the middle of ``target``, or its own share of it."""
    spot = scene.position(target)
    guests = [goal[1] for goal in scene.goals if goal[0] == "on" and goal[2] == target]
    if not scene.is_site(target) or len(guests) < 2:
        return spot
    axes, half = scene.site_box(target)
    side = np.linspace(-SHARED, SHARED, len(guests))[guests.index(name)]
    return np.asarray(spot + side * axes[:, 1] * half[1])


def _support(scene: Scene, name: str, xy: Array) -> float:
    """Return the height of what will carry ``name`` at ``xy`` (2,)."""
    around = np.stack(np.meshgrid(*[np.linspace(-0.01, 0.01, 5)] * 2), axis=-1).reshape(-1, 2)
    return float(scene.heights(xy + around, scene.body(name)).max())


def _slot(scene: Scene, target: str) -> Array | None:
    """Return the direction (2,) across ``target`` if it is a narrow slot, else None."""
    if not scene.is_site(target):
        return None
    axes, half = scene.site_box(target)
    level = [k for k in range(3) if abs(axes[2, k]) < 0.5]  # the site's horizontal axes
    thin = min(level, key=lambda k: float(half[k]))
    return axes[:2, thin] if len(level) == 2 and half[thin] < NARROW else None
