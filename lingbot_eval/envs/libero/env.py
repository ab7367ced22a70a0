"""LIBERO's forty tasks are a Gymnasium environment here, one task per instance.

It runs in a process of its own (``host.py``), because robosuite seeds and reads process-global state. The conventions
come from the protocol (``conf/protocol/libero/``); nothing here chooses one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from lingbot_eval.envs.gl import choose
from lingbot_eval.envs.libero.assets import find_assets, libero_root
from lingbot_eval.envs.libero.camera import Camera
from lingbot_eval.envs.libero.process import prepare
from lingbot_eval.envs.libero.seeding import Seeding
from lingbot_eval.envs.libero.spec import CAMERAS, env_spec
from lingbot_eval.envs.libero.states import load_states
from lingbot_eval.envs.spaces import action_space, check_action, look_space
from lingbot_eval.errors import BadInput
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.libero import LiberoProtocol, LiberoSettings
from lingbot_eval.types import Action, Image, Info, Observation

RENDER_SIZE = 256
"""Pixels a side of each camera in ``render()``, which is for people, so no protocol decides it."""


class LiberoEnv(gym.Env[Observation, Action]):
    """One LIBERO task under one protocol.

    Action: (K, 7) float32, K OSC_POSE commands at 20 Hz. Columns 0-2: translation of the gripper, world frame,
    1 = 5 cm; 3-5: axis-angle, world frame, 1 = 0.5 rad; 6: gripper, -1 open .. +1 closed. Values outside [-1, 1] go
    unchanged to robosuite, which clips them, and are counted.

    Observation: ``images`` ``head`` (agentview) and ``wrist``, RGB, row 0 where the protocol's flip puts it; ``state``
    (8,) float32: gripper position in metres (world frame), its orientation as axis-angle in radians, both finger
    positions in metres. All are sampled when robosuite samples its own observables, one physics step (2 ms) before the
    end of a command.

    ``terminated`` is the benchmark's success predicate, asked after every command; ``truncated`` is the protocol's
    command limit. Pictures are drawn only after the last command of an action, and show bit for bit what drawing after
    every command would show.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, settings: EnvSettings) -> None:
        if not isinstance(settings.protocol, LiberoProtocol) or not isinstance(settings.simulator, LiberoSettings):
            raise BadInput(
                "LIBERO is played under one of its own protocols, with its own simulator's settings; got "
                f"{settings.protocol.name} and {type(settings.simulator).__name__}"
            )
        self.protocol = settings.protocol
        self._limit = self.protocol.command_limit[settings.suite]
        self._task = settings.task
        self.render_mode = "rgb_array" if settings.render else None
        # robosuite raises at its own horizon; ours comes first
        horizon = self.protocol.warmup_count + self._limit + 1
        self._libero = _libero(settings, self.protocol, horizon)
        self._control, self._states = self._libero.control, self._libero.states
        self.domain = self._control.env
        """robosuite's environment, which only the expert may see."""
        self._seeding = Seeding(self.protocol, self.domain, self._reset_domain)
        self._conjuncts = self.domain.parsed_problem["goal_state"]
        self._camera = Camera(self.domain, CAMERAS, self.protocol) if settings.cameras else None
        self.env_spec = env_spec(settings)
        self.observation_space = look_space(self.env_spec)
        self._box = self.action_space = action_space(self.env_spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Options: ``initial_state`` (index of the stored state; drawn from the seed when absent, and absent where the
        protocol's states are sampled), ``index`` (k, see Episode; 0 when absent), and ``task`` and ``setting``, which
        must be this environment's own.

        Raises BadInput.
        """
        super().reset(seed=seed)
        state = self._initial_state(options or {})
        seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._seeding.reset(seed, (options or {}).get("index", 0))
        self._commands = self._out_of_bounds = self._progress = 0
        self._over = False
        warmup = np.asarray(self.protocol.warmup_command)
        self._want_picture(self.protocol.warmup_count == 0)
        sample = self._control.set_init_state(self._now() if state is None else self._states[state])
        for left in reversed(range(self.protocol.warmup_count)):
            self._want_picture(left == 0)
            sample = self._control.step(warmup)[0]
        self._note_progress()
        return self._observation(sample), dict(self._info())

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Run K commands, fewer where success or the limit comes first.

        Raises BadAction, and BadInput after the end of an episode.
        """
        if self._over:
            raise BadInput("the episode is over; call reset() first")
        outside = check_action(action, self._box)
        success = False
        for number, command in enumerate(action, start=1):
            self._commands += 1
            self._out_of_bounds += int(outside[number - 1])
            look = number == len(action) or self._commands == self._limit
            self._want_picture(look)
            sample, _, done, _ = self._control.step(as_commanded(command, self.protocol.gripper))
            success = bool(done)
            self._note_progress()
            if success and not look and self._camera:
                self._camera.draw_late()
            if success or look:
                break
        late = not success and self._commands == self._limit
        self._over = success or late
        return self._observation(sample), float(success), success, late, dict(self._info())

    def render(self) -> Image:
        """Draw ``head`` beside ``wrist`` as they are now, upright, (256, 512, 3)."""
        views = [self.domain.sim.render(RENDER_SIZE, RENDER_SIZE, camera_name=name)[::-1] for name in CAMERAS.values()]
        return np.concatenate(views, axis=1)

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _now(self) -> npt.NDArray[np.float64]:
        """Return MuJoCo's state, laid out as the stored ones."""
        state: npt.NDArray[np.float64] = self.domain.sim.get_state().flatten()
        return state

    def _initial_state(self, options: dict[str, Any]) -> int | None:
        own = {"task": self._task, "setting": ""}
        for key, value in options.items():
            if key not in ("initial_state", "index") and (key not in own or value != own[key]):
                raise BadInput(
                    f"reset has no option {key}={value!r}; it takes initial_state, index, task={self._task!r} "
                    "and setting=''"
                )
        index = options.get("initial_state")
        if self.protocol.initial_states == "sampled":
            if index is not None:
                raise BadInput(f"initial_state {index}: protocol.initial_states=sampled plays no stored state")
            return None
        if index is None:
            return int(self.np_random.integers(len(self._states)))
        if not 0 <= index < len(self._states):
            raise BadInput(f"initial_state {index}: {self._task} stores {len(self._states)}, numbered from 0")
        return int(index)

    def _reset_domain(self) -> None:
        """Reset as ``ControlEnv.reset`` does, which repeats a reset whose random placement failed; but that one's loop
        swallows every other exception too and so never ends when, say, a mesh is missing."""
        self._want_picture(False)
        if self.protocol.reset == "soft":  # keeps the gripper, whose commands add up from episode to episode
            for robot in self.domain.robots:
                robot.gripper.current_action = np.zeros_like(robot.gripper.current_action)
        for _ in range(100):
            try:
                self.domain.reset()
                return
            except self._libero.no_placement:
                continue
        raise RuntimeError(f"LIBERO found no placement of the objects of {self._task} in 100 tries")

    def _want_picture(self, wanted: bool) -> None:
        if self._camera:
            self._camera.wanted = wanted
            self._camera.keeps = not wanted and self._box.shape[0] > 1

    def _note_progress(self) -> None:
        """Count the goal conjuncts that hold; progress is the most that held at once so far."""
        held = sum(bool(self.domain._eval_predicate(conjunct)) for conjunct in self._conjuncts)
        self._progress = max(self._progress, held)

    def _observation(self, sample: dict[str, Any]) -> Observation:
        return {
            "images": self._camera.pictures() if self._camera else {},
            "state": state_of(sample, self.protocol.state_quaternion, self._libero.axis_angle),
        }

    def _info(self) -> Info:
        return {
            "commands": self._commands,
            "progress": self._progress,
            "max_progress": len(self._conjuncts),
            "out_of_bounds": self._out_of_bounds,
            "protocol": self.protocol.name,
        }


def as_commanded(command: npt.NDArray[np.float32], gripper: Literal["raw", "binary"]) -> npt.NDArray[np.float64]:
    """Return the command (7,) as the simulator gets it; ``gripper`` is LiberoProtocol's."""
    command64 = command.astype(np.float64)
    if gripper == "binary":
        command64[6] = -1.0 if command64[6] < 0 else 1.0
    return command64


def state_of(
    sample: Mapping[str, Any], sign: Literal["raw", "canonical"], axis_angle: Callable[[Any], Any]
) -> npt.NDArray[np.float32]:
    """Return the state (8,) of ``sample``; ``sign`` is LiberoProtocol's ``state_quaternion``, ``axis_angle``
    robosuite's function."""
    quaternion = np.array(sample["robot0_eef_quat"])  # x, y, z, w
    if sign == "canonical" and quaternion[3] < 0:
        quaternion = -quaternion
    parts = (sample["robot0_eef_pos"], axis_angle(quaternion), sample["robot0_gripper_qpos"])
    state: npt.NDArray[np.float32] = np.concatenate(parts).astype(np.float32)
    return state


class Libero(NamedTuple):
    """This is what is used of LIBERO and robosuite."""

    control: Any
    """The task's ControlEnv."""
    states: Any
    """(states, width): the stored initial states."""
    axis_angle: Callable[[Any], Any]
    """robosuite's ``quat2axisangle``."""
    no_placement: type[Exception]
    """robosuite's ``RandomizationError``."""


def _libero(settings: EnvSettings, protocol: LiberoProtocol, horizon: int) -> Libero:
    """Import LIBERO and make the task, which changes this process for good."""
    simulator, draws = settings.simulator, settings.cameras or settings.render
    assert isinstance(simulator, LiberoSettings)  # noqa: S101  (__init__ has looked)
    gl = choose(simulator.gl)[0] if draws else None
    prepare(find_assets(simulator.assets, simulator.download), gl)

    from libero.libero.envs.env_wrapper import ControlEnv
    from robosuite.utils.errors import RandomizationError
    from robosuite.utils.transform_utils import quat2axisangle

    root = libero_root()
    control = ControlEnv(
        bddl_file_name=str(root / "bddl_files" / settings.suite / f"{settings.task}.bddl"),
        use_camera_obs=False,
        has_offscreen_renderer=draws,
        has_renderer=False,
        hard_reset=protocol.reset == "hard",
        horizon=horizon,
    )
    states = load_states(root / "init_files" / settings.suite / f"{settings.task}.pruned_init")
    return Libero(control, states, quat2axisangle, RandomizationError)
