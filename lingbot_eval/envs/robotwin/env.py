"""RoboTwin 2.0's tasks and tabletop's are one Gymnasium environment, one task per instance.

It runs in a process of its own (``host.py``): RoboTwin changes the working directory and seeds global generators,
prints, and exits. The conventions come from the protocol (``conf/protocol/``); nothing here chooses one. Both suites
speak one task contract, ``tabletop/__init__.py``, and are driven by the same lines.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, get_args

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.robotwin.poses import ARMS, Array, require_orientation
from lingbot_eval.envs.robotwin.spec import CAMERAS, absolute_spec
from lingbot_eval.envs.robotwin.tasks import EXPERT_FIRST
from lingbot_eval.envs.spaces import action_space, check_action, look_space
from lingbot_eval.errors import BadInput, UnknownName, UnstableScene
from lingbot_eval.settings import EnvSettings, Setting, SimulatorSettings
from lingbot_eval.settings.robotwin import RoboTwinProtocol, RoboTwinSettings
from lingbot_eval.settings.tabletop import TabletopSettings
from lingbot_eval.types import Action, Image, Info, Observation

CACHED_EPISODES = 5
"""How many episodes pass between two clearings of SAPIEN's cache of meshes: ``clear_cache_freq`` of RoboTwin's
``demo_*.yml``."""


Change = Callable[[Array, np.random.Generator], Array]
"""It makes another path (m, 16) of an expert's (n, 16), both in the world frame with quaternions w first; the generator
is the scene's."""

CHANGES = 2
"""Where the scene's generators for changes begin: 0 and 1 are those of tabletop's scenes."""


def unchanged(path: Array, generator: np.random.Generator) -> Array:
    return path


class RoboTwinEnv(gym.Env[Observation, Action]):
    """One task of RoboTwin or tabletop, in absolute commands (``RelativePose`` goes around it for relative ones).

    Action: (K, 16) float32, K commands. Per arm, left first: xyz in metres and a quaternion, w first, of the end
    effector in the world frame (its x axis is the approach, y the opening of the fingers, its origin lies 0.12 m behind
    the point between the fingertips), then the gripper, 0 closed .. 1 open. An arm without a path to its pose holds
    still for that command, which is counted (``plan_failures``).

    Observation: ``images`` ``head``, ``left_wrist``, ``right_wrist``, (240, 320, 3) RGB; ``state`` (16,) float32, laid
    out as a command: where both end effectors are, grippers as last commanded. Cameras are drawn only after the last
    command of an action.

    ``terminated`` is the task's success, asked as the protocol says; ``truncated`` its command limit. Progress is
    counted where the suite defines stages; RoboTwin defines none.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 17}

    def __init__(self, settings: EnvSettings) -> None:
        """Import the task, which changes this process for good.

        Raises NotReady, UnknownName, BadInput.
        """
        if not isinstance(settings.protocol, RoboTwinProtocol):
            raise BadInput(
                f"RoboTwin and tabletop are played under protocols of their own, not under {settings.protocol.name}"
            )
        self.protocol, self._name = settings.protocol, settings.task
        self._tasks, self._unstable = _suite(settings.simulator)
        self._limit = self.protocol.command_limit or self._tasks.command_limit(self._name)
        self._task: Any = self._tasks.task_class(self._name)()
        self._episodes = 0
        self._over = True
        self.domain = self
        self.render_mode = "rgb_array" if settings.render else None
        self._cameras, self._draws = settings.cameras, settings.cameras or settings.render
        self.env_spec = absolute_spec(settings)
        self.observation_space = look_space(self.env_spec)
        self._box = self.action_space = action_space(self.env_spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Options: ``setting`` (easy, hard; easy when absent), and ``task`` and ``initial_state``, which must be this
        environment's own and None; ``index`` changes nothing.

        Raises BadInput, and UnstableScene for a seed whose objects do not come to rest.
        """
        super().reset(seed=seed)
        setting = self._setting(options or {})
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        if self._name in EXPERT_FIRST:
            self._set_up(seed, setting)
            self._task.play_once()
        self._set_up(seed, setting)
        self._commands = self._out_of_bounds = 0
        self._over = False
        return self._observation(), dict(self._info())

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Run K commands, fewer where success or the limit comes first.

        Raises BadAction, and BadInput after the end of an episode.
        """
        outside = check_action(action, self._box)
        commands = action.astype(np.float64)
        for arm in ARMS:
            require_orientation(commands[:, arm][:, 3:7])
        return self.follow(commands, outside)

    def follow(
        self, commands: Array, outside: npt.NDArray[np.bool_]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Do what :meth:`step` does with every digit of ``commands`` (K, 16), which the simulator gets unchanged;
        ``outside`` (K,) says which of them count as out of bounds.

        Raises BadInput after the end of an episode.
        """
        if self._over:
            raise BadInput("the episode is over, or none has begun; call reset()")
        success = late = False
        for command, out in zip(commands, outside, strict=True):
            self._commands += 1
            self._out_of_bounds += int(out)
            success = self._execute(command)
            late = not success and self._commands >= self._limit
            if success or late:
                break
        self._over = success or late
        return self._observation(), float(success), success, late, dict(self._info())

    def pose(self) -> Array:
        """Return the state, (16,) float64, with every digit that the simulator gives."""
        poses = self._task.endpose()
        return np.array(
            [v for side in ("left", "right") for v in (*poses[f"{side}_endpose"], poses[f"{side}_gripper"])], np.float64
        )

    def render(self) -> Image:
        """Draw the three cameras in a row, as they are now, (240, 960, 3)."""
        return np.concatenate(list(self._pictures().values()), axis=1)

    def close(self) -> None:
        if self._task is not None:
            self._task.close_env()
            self._task = None

    def audition(self, seed: int, setting: Setting) -> dict[str, Any]:
        """Find out whether the task's own expert solves the scene of ``seed``, and the episode's sentences if it does.

        Returns ``outcome`` ("solved", "unstable", "unsolved"), ``reason``, and ``sentences`` by split. A seed always
        gives the same sentences: both generators that their making draws from are seeded with it (RoboTwin seeds one).
        """
        try:
            self._set_up(seed, setting)
        except UnstableScene as error:
            return {"outcome": "unstable", "reason": str(error), "sentences": {}}
        info = self._task.play_once()
        if not self._task.plan_success:
            return {"outcome": "unsolved", "reason": "the expert found no path", "sentences": {}}
        if not self._task.check_success():
            return {"outcome": "unsolved", "reason": "the expert ended without success", "sentences": {}}
        _seed_generators(seed)
        found = self._tasks.sentences(self._name, info["info"])
        drawn = {split: str(np.random.choice(found[split])) for split in sorted(found)}
        return {"outcome": "solved", "reason": "", "sentences": drawn}

    def rehearse(self, change: Change = unchanged) -> Array:
        """Return (n, 16): the commands along the expert's path from the present episode's beginning, after ``change``,
        which is given a generator that is the scene's. The scene is then set up again."""
        seed, setting = self._scene
        self._set_up(seed, setting)
        self._task.play_once()
        path = self._task.path
        self._set_up(seed, setting)
        return change(np.asarray(path), np.random.default_rng([seed, CHANGES + get_args(Setting).index(setting)]))

    def _set_up(self, seed: int, setting: Setting) -> None:
        if self._episodes:
            self._task.close_env(clear_cache=self._episodes % CACHED_EPISODES == 0)
        self._episodes += 1
        _seed_generators(seed)  # RoboTwin seeds numpy's and torch's, not Python's
        try:
            self._task.setup_demo(now_ep_num=0, seed=seed, is_test=True, setting=setting, pictures=self._draws)
        except self._unstable as error:
            raise UnstableScene(f"{self._name} {setting} {seed}: {error}") from None
        self._scene = (seed, setting)

    def _execute(self, command: Array) -> bool:
        """Run one command; return whether the task now counts as done."""
        task = self._task
        if self.protocol.success == "any-moment":
            task.take_action(command, "ee")
            return bool(task.eval_success)
        task.check_success = lambda: False
        task.take_action(command, "ee")
        del task.check_success
        task.eval_success = success = bool(task.check_success())
        return success

    def _setting(self, options: dict[str, Any]) -> Setting:
        own = {"task": self._name, "initial_state": None}
        for key, value in options.items():
            if key not in ("setting", "index") and (key not in own or value != own[key]):
                raise BadInput(f"reset has no option {key}={value!r}; it takes setting, index and task={self._name!r}")
        setting: Setting = options.get("setting", "easy")
        if setting not in get_args(Setting):
            raise UnknownName("setting", setting, get_args(Setting))
        return setting

    def _observation(self) -> Observation:
        return {"images": self._pictures() if self._cameras else {}, "state": self.pose().astype(np.float32)}

    def _pictures(self) -> dict[str, Image]:
        drawn = self._task.get_obs()["observation"]
        return {name: drawn[theirs]["rgb"] for name, theirs in CAMERAS.items()}

    def _info(self) -> Info:
        reached, total = self._task.stages()
        return {
            "commands": self._commands,
            "progress": reached,
            "max_progress": total,
            "out_of_bounds": self._out_of_bounds,
            "plan_failures": self._task.plan_failures,
            "protocol": self.protocol.name,
        }


def _suite(simulator: SimulatorSettings) -> tuple[Any, type[Exception]]:
    """Return where tasks come from, and what they raise when a scene does not come to rest."""
    if isinstance(simulator, RoboTwinSettings):
        from lingbot_eval.envs.robotwin.task import CheckoutTasks

        checkout = CheckoutTasks(simulator)
        return checkout, checkout.UnStableError
    if isinstance(simulator, TabletopSettings):
        from lingbot_eval.envs import tabletop
        from lingbot_eval.envs.tabletop.task import UnStableError

        return tabletop, UnStableError
    raise BadInput(f"neither RoboTwin's settings nor tabletop's: {type(simulator).__name__}")


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
