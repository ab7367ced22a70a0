"""The contract of ``lingbot_eval.envs.tabletop`` is kept here, once for all tasks; what a task adds is in
``tasks/``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from lingbot_eval.envs.robotwin.ik import Array, Vector
from lingbot_eval.envs.robotwin.spec import SIZE
from lingbot_eval.envs.tabletop.appearance import COLOURS, Appearance, dull, hard_appearance
from lingbot_eval.envs.tabletop.arm import Arm
from lingbot_eval.envs.tabletop.bodies import Body, Part
from lingbot_eval.envs.tabletop.catalogue import command_limit
from lingbot_eval.envs.tabletop.expert import SIDES, Expert, Side
from lingbot_eval.envs.tabletop.scene import Scene
from lingbot_eval.errors import BadAction, BadInput, LingbotEvalError

SETTINGS = ("easy", "hard")

WATCHED, STRAYED, TURNED = 250, 0.01, 0.1
"""How many physics steps pass before the first look, and how many metres and radians an object may move in them."""

CLEAR = 0.09
"""Nothing is strewn within this many metres of a task's own things, so that a hand passes."""


class UnStableError(LingbotEvalError):
    """An object does not rest where it was put; RoboTwin's name for it. The seed is no episode."""


class TabletopTask(ABC):
    """It is one task; the package's docstring gives the contract."""

    name: str

    size: tuple[int, int] = SIZE
    """Rows and columns of a picture: RoboTwin's. Whoever records many may have them drawn smaller."""

    @abstractmethod
    def load_actors(self) -> None:
        """Put the task's things on the table, at random by :attr:`generator`."""

    @abstractmethod
    def play_once(self) -> dict[str, Any]:
        """Do the task with :attr:`expert`, and return :meth:`words`."""

    @abstractmethod
    def check_success(self) -> bool:
        """Return whether the scene is as the instruction wants it."""

    @abstractmethod
    def milestones(self) -> Sequence[bool]:
        """Return what has to come true one after the other on the way; success is one more and comes last."""

    def setup_demo(
        self, now_ep_num: int, seed: int, is_test: bool = True, *, setting: str = "easy", pictures: bool = False
    ) -> None:
        if setting not in SETTINGS:
            raise BadInput(f"setting is one of {', '.join(SETTINGS)}, not {setting!r}")
        # Apart, so that both settings put the task's own things at the same places.
        self.generator, strewn = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
        self.scene = Scene(
            hard_appearance(strewn) if setting == "hard" else Appearance(), self.size if pictures else None
        )
        self.arms: dict[Side, Arm] = {side: Arm(self.scene, side) for side in SIDES}
        self.arms["left"].solver.restart(seed)
        self._bodies: list[Body] = []
        self._taken: list[tuple[Array, float]] = []
        self.load_actors()
        self._strew(strewn)
        self._check_stable()
        self.step_lim, self.take_action_cnt = command_limit(self.name), 0
        self.eval_success, self.plan_success, self.plan_failures = False, True, 0
        self._reached, self._total = 0, len(self.milestones()) + 1
        poses = {side: self.arms[side].pose for side in SIDES}
        self.expert = Expert(self._play, poses, self.scene.table)

    def get_obs(self) -> dict[str, Any]:
        left, right = self.arms["left"], self.arms["right"]
        cameras = self.scene.cameras
        drawn = cameras.draw(left.camera, right.camera) if cameras else {}
        return {
            "observation": {name: {"rgb": picture} for name, picture in drawn.items()},
            "endpose": self.endpose(),
            "joint_action": {
                "left_arm": left.joints.tolist(),
                "left_gripper": left.gripper,
                "right_arm": right.joints.tolist(),
                "right_gripper": right.gripper,
                "vector": np.array([*left.joints, left.gripper, *right.joints, right.gripper]),
            },
        }

    def endpose(self) -> dict[str, Any]:
        left, right = self.arms["left"], self.arms["right"]
        return {
            "left_endpose": left.pose.tolist(),
            "left_gripper": left.gripper,
            "right_endpose": right.pose.tolist(),
            "right_gripper": right.gripper,
        }

    def take_action(self, action: Array, action_type: Literal["ee"] = "ee") -> None:
        if action_type != "ee":
            raise BadInput(f"tabletop takes end-effector poses ('ee'), not {action_type!r}")
        if np.shape(action) != (16,):
            raise BadAction(f"a command here is (16,): pose and gripper, left then right; got {np.shape(action)}")
        if self.eval_success or self.take_action_cnt >= self.step_lim:
            return
        self.take_action_cnt += 1
        self.eval_success = self._execute(np.asarray(action, np.float64), until=self.check_success)

    def stages(self) -> tuple[int, int]:
        """Return (reached, total)."""
        return (self._total, self._total) if self.eval_success or self.check_success() else (self._reached, self._total)

    @property
    def path(self) -> Array:
        """Return the commands of ``play_once``, (n, 16)."""
        return np.array(self.expert.path)

    def close_env(self, clear_cache: bool = False) -> None:
        """Drop the scene. ``clear_cache`` is RoboTwin's; nothing is cached here."""
        for name in ("expert", "arms", "scene", "_bodies"):
            self.__dict__.pop(name, None)

    # For tasks: words of the domain.

    def put(
        self, name: str, parts: Sequence[Part], xy: Vector, yaw: float = 0.0, up: float = 0.0, still: bool = False
    ) -> Body:
        """Put a body on the table with ``Scene.add``; nothing is strewn near it."""
        body = self.scene.add(name, parts, xy, yaw, up, still)
        self.keep_clear(xy, body.radius)
        if not still:
            self._bodies.append(body)
        return body

    def put_block(self, name: str, colour: str, xy: Vector, half: float, yaw: float) -> Body:
        """Put a cube on the table, of a colour that has a name."""
        return self.put(name, [Part((half, half, half), COLOURS[colour])], xy, yaw, up=half)

    def keep_clear(self, xy: Vector, radius: float) -> None:
        """Let nothing be strewn within ``radius`` and CLEAR of ``xy``."""
        self._taken.append((np.array(xy[:2]), radius))

    def above_table(self, body: Body) -> float:
        """Return how many metres ``body``'s frame is above the table top."""
        return float(body.position[2]) - self.scene.table

    def open(self, *sides: Side) -> bool:
        """Return whether these grippers are as good as open."""
        return all(self.arms[side].gripper > 0.8 for side in sides)

    def words(self, **info: str) -> dict[str, Any]:
        """Return what ``play_once`` does: the instruction's blanks, ``A="red block"`` for ``{A}``."""
        return {"info": {f"{{{blank}}}": words for blank, words in info.items()}}

    def _play(self, command: Array) -> None:
        failures = self.plan_failures
        self._execute(command, until=lambda: False)
        self.plan_success &= self.plan_failures == failures

    def _execute(self, command: Array, until: Callable[[], bool]) -> bool:
        """Run one command; return True as soon as ``until`` says so after a physics step."""
        arms = [self.arms[side] for side in SIDES]
        for arm, half in zip(arms, (command[:8], command[8:]), strict=True):
            self.plan_failures += not arm.aim(half)
        count = max(arm.duration for arm in arms)
        for k in range(1, count + 1):
            for arm in arms:
                arm.advance(k, count)
            self.scene.step()
            if until():
                return True
        self._note_milestones()
        return False

    def _note_milestones(self) -> None:
        milestones = self.milestones()
        while self._reached < len(milestones) and milestones[self._reached]:
            self._reached += 1

    def _strew(self, generator: np.random.Generator) -> None:
        """Put clutter wherever there is room for it."""
        for k in range(self.scene.appearance.clutter):
            for _ in range(50):
                xy = generator.uniform((-0.5, -0.2), (0.5, 0.28))
                if all(np.linalg.norm(xy - taken) > radius + CLEAR for taken, radius in self._taken):
                    size = generator.uniform(0.015, 0.03, 3)
                    colour = dull(generator)
                    half = size if generator.random() < 0.5 else size[:2]
                    self.put(f"clutter {k}", [Part(half, colour)], xy, generator.uniform(0, np.pi), up=half[-1])
                    break

    def _check_stable(self) -> None:
        before = [(body, body.position, body.rotation) for body in self._bodies]
        for _ in range(WATCHED):
            self.scene.step()
        for body, position, rotation in before:
            strayed = np.linalg.norm(body.position - position)
            turned = np.arccos(np.clip((np.trace(rotation.T @ body.rotation) - 1) / 2, -1, 1))
            if not (strayed < STRAYED and turned < TURNED):
                raise UnStableError(f"{body.name} moved {strayed:.3f} m and {turned:.2f} rad by itself")
