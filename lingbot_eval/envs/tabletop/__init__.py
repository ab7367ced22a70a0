"""Tabletop: two mesh-free arms in SAPIEN, speaking RoboTwin's task contract; no checkout, no downloads, no GPU.

Whoever drives RoboTwin's tasks (commit 2eeec322) drives these through the same calls. The contract, per task object:

``setup_demo(now_ep_num, seed, is_test=True, *, setting, pictures)``
    It makes a new scene from ``seed`` alone, whatever the object or the process did before. ``setting`` is "easy" or
    "hard". ``pictures`` says whether ``get_obs`` will draw; False needs no Vulkan device. It raises UnStableError if an
    object does not rest where it was put (the seed is then no episode), NotReady if pictures are wanted and no device
    draws.
``get_obs()``
    It gives ``observation.{head_camera, left_camera, right_camera}.rgb`` (240, 320, 3) uint8, row 0 on top; an empty
    ``observation`` without pictures. ``endpose.{left, right}_endpose``: 7 floats, world frame, xyz in metres and a
    unit quaternion, w first; its x axis is the approach, its y axis the opening of the fingers, its origin 0.12 m
    behind the point between the fingertips. ``endpose.{left, right}_gripper`` and ``joint_action.*``: as commanded,
    not as measured; gripper 0 closed .. 1 open; ``joint_action.vector`` (16,): per arm 7 joints (rad) and gripper.
``take_action(action, action_type="ee")``
    It runs one command, (16,): left pose (7, as above, absolute), left gripper, right pose, right gripper. Both arms
    take the same time, straight in their joints. One whose pose has no joint solution holds (``plan_failures`` counts
    them). ``check_success`` is asked after every physics step; the first True sets ``eval_success`` and ends the
    command early. After success, or after ``step_lim`` commands (``take_action_cnt``), it returns at once.
``play_once()``
    The scripted expert plays the present scene to its end; this is not counted, and success does not stop it. It
    returns ``info``, with ``info["info"]`` the words for the instruction. ``plan_success`` is False if a pose had no
    joint solution. A seed is kept if ``plan_success and check_success()`` then holds.
``check_success()``, ``close_env()``
    They are as in RoboTwin. After ``close_env`` the same object may be set up again.

What RoboTwin's tasks do not have:

``path``
    After ``play_once`` it holds the (n, 16) float64 commands that were executed. ``take_action`` with each of them,
    after ``setup_demo`` with the same seed and setting, repeats it.
``endpose()``
    It gives that part of ``get_obs()`` alone, without drawing.
``stages()``
    It gives ``(reached, total)``: how far the episode ever came; ``total`` on success.
``plan_failures``
    It counts arms that held because their pose had no joint solution, per arm and command.

There are, without SAPIEN (a plan needs no simulator): ``TASKS``, ``command_limit(name)``, ``sentences(name, info)``,
``wordings(name, sentence)``.
With it: ``task_class(name)``, whose instances take no argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingbot_eval.envs.tabletop.catalogue import catalogue, command_limit, sentences, wordings
from lingbot_eval.errors import UnknownName

if TYPE_CHECKING:
    from lingbot_eval.envs.tabletop.task import TabletopTask

__all__ = ["SCORE_VERSION", "TASKS", "command_limit", "sentences", "task_class", "wordings"]

SCORE_VERSION = "1"
"""The version of the suite, which is in the protocol hash. Raise it with every change that can move a score."""

TASKS = tuple(catalogue())
"""The tasks' names, of growing horizon."""


def task_class(name: str) -> type[TabletopTask]:
    """Return the class of a task, whose instances take no argument. This imports SAPIEN.

    Raises UnknownName.
    """
    if name not in TASKS:
        raise UnknownName("tabletop task", name, TASKS)
    from lingbot_eval.envs.tabletop.tasks import CLASSES

    return CLASSES[name]
