"""One list of relative commands through LingBot-VA's own RoboTwin client, and through our loop: is it the same episode?

    python -m benchmarks.robotwin_client LINGBOT_VA [--robotwin DIR] [--task stack_blocks_two] [--seed 10000]
                                         [--noise 0.0005] [--out DIR]

LINGBOT_VA: a checkout of Robbyant/lingbot-va; its evaluation/robotwin/eval_polict_client_openpi.py is run as it is, but
for the path of RoboTwin in its ninth line, from ``main`` on. RoboTwin: a checkout of 2eeec322 ($ROBOTWIN_ROOT). Both
sides play it on the CPU, with this package's arms and planner and the rasteriser (docs/robotwin.md). A stub in the
model's place gives both the same answers, through the client's msgpack: the expert's path in relative commands, with
noise. Needs the robotwin extra, and what the client imports: msgpack, matplotlib, imageio.

Told is how many pictures differ, and by how much commands and poses do. Exit status 1 where a picture differs, a
command by more than 1e-12, or the outcome.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import yaml

from lingbot_eval.envs.robotwin.checkout import Checkout
from lingbot_eval.envs.robotwin.planner import Planner
from lingbot_eval.envs.robotwin.poses import STILL
from lingbot_eval.envs.robotwin.process import APART, OWN_ARMS, prepare, stand_in
from lingbot_eval.episode import run_episode
from lingbot_eval.errors import LingbotEvalError, NotReady
from lingbot_eval.settings import EnvSettings
from lingbot_eval.settings.robotwin import RoboTwinSettings
from lingbot_eval.suites import load_protocol, suite_named
from lingbot_eval.types import Episode, Observation, Outcome

CLIENT = Path("evaluation") / "robotwin" / "eval_polict_client_openpi.py"

THEIR_ROBOTWIN = "/path/to/your/robowin"  # CLIENT:9 @ 6f092cb

FRAMES, WIDTH = 2, 16
"""Latent frames of an answer and commands per frame: frame_chunk_size and action_per_frame of wan_va/configs/
va_robotwin_cfg.py. The first frame of the first answer is not played."""

LOOK_EVERY = WIDTH // 4

EQUAL = 1e-12
"""What commands may differ by, as numbers in metres or of unit quaternions."""

PATIENCE_SECONDS = 1800.0


class Log:
    """What one side saw and what its simulator was told."""

    def __init__(self) -> None:
        self.pictures: list[list[Any]] = []
        """Per look head, left wrist, right wrist: (H, W, 3) uint8 each."""
        self.commands: list[Any] = []
        """(16,) each, as ``take_action`` got them; those that it ignored are not among them."""
        self.poses: list[list[float]] = []
        """Where both arms were after each command: two times (7,), world frame."""

    def watch(self, task: Any) -> None:
        take_action = task.take_action

        def watched(action: Any, action_type: str = "qpos") -> None:
            before = task.take_action_cnt
            take_action(action, action_type)
            if task.take_action_cnt > before:
                self.commands.append(np.array(action))
                self.poses.append([*task.get_arm_pose("left"), *task.get_arm_pose("right")])

        task.take_action = watched

    def save(self, file: Path, success: bool) -> None:
        np.savez(
            file,
            pictures=np.array(self.pictures, np.uint8),
            commands=np.array(self.commands, np.float64),
            poses=np.array(self.poses, np.float64),
            success=success,
        )


class Answers:
    """The recorded chunks one by one, (16, FRAMES, WIDTH) float32; after the last, its last command for ever."""

    def __init__(self, chunks: Any) -> None:
        self._rest = list(chunks)
        self._last = np.broadcast_to(chunks[-1][:, -1:, -1:], chunks[-1].shape).copy()

    def next(self) -> Any:
        return self._rest.pop(0) if self._rest else self._last


class Model:
    """In the place of the client's WebsocketClientPolicy; answers go through its msgpack, so types are what they are
    behind its socket."""

    def __init__(self, answers: Answers, log: Log, wire: Any) -> None:
        self._answers, self._log, self._wire = answers, log, wire

    def infer(self, request: dict[str, Any]) -> Any:
        if request.get("reset"):
            return {}
        if request.get("compute_kv_cache"):
            self._log.pictures += map(_pictures, request["obs"])
            return {}
        if not self._log.pictures:
            self._log.pictures.append(_pictures(request["obs"]))
        return self._wire.unpackb(self._wire.Packer().pack({"action": self._answers.next()}))


def _pictures(seen: dict[str, Any]) -> list[Any]:
    return [np.array(seen[f"observation.images.{name}"]) for name in ("cam_high", "cam_left_wrist", "cam_right_wrist")]


class Agent:
    """The same answers, to our loop."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def reset(self, instruction: str, *, seed: int) -> None:
        self._first = True

    def act(self, frames: Sequence[Observation]) -> Any:
        chunk = self._answers.next()[:, 1 if self._first else 0 :]
        self._first = False
        return np.ascontiguousarray(chunk.transpose(1, 2, 0)).reshape(-1, LOOK_EVERY, 16)


class Seen(gym.Wrapper):
    """Logs every look of our environment, the last included, which no agent is shown."""

    def __init__(self, env: Any, log: Log) -> None:
        super().__init__(env)
        self._log = log

    def reset(self, **given: Any) -> Any:
        return self._look(self.env.reset(**given))

    def step(self, action: Any) -> Any:
        return self._look(self.env.step(action))

    def _look(self, answer: Any) -> Any:
        self._log.pictures.append([answer[0]["images"][name].copy() for name in ("head", "left_wrist", "right_wrist")])
        return answer


def simulator(robotwin: Path) -> RoboTwinSettings:
    given = {"root": str(robotwin), "embodiment": "tabletop", "planner": "mplib", "shader": "default"}
    chosen = suite_named("robotwin").simulator_settings({**given, "denoiser": "none"})
    assert isinstance(chosen, RoboTwinSettings)
    return chosen


def environment(robotwin: Path, task: str, per_action: int, cameras: bool) -> Any:
    return suite_named("robotwin").make_env(
        EnvSettings(
            simulator=simulator(robotwin),
            protocol=load_protocol("robotwin", "lingbot-va"),
            suite="robotwin",
            task=task,
            commands_per_action=per_action,
            cameras=cameras,
            render=False,
        )
    )


# Three processes, because RoboTwin changes the one it is in for good.


def record(given: argparse.Namespace, folder: Path) -> None:
    """The answers: the expert's path, with noise on poses and not on grippers."""
    env = environment(given.robotwin, given.task, 1, cameras=False)
    env.reset(seed=given.seed)
    path = np.asarray(env.rehearse())
    env.close()
    noise = np.random.default_rng(given.seed).normal(scale=given.noise, size=path.shape)
    noise[:, [7, 15]] = 0.0
    first = np.tile([*STILL, 1.0, *STILL, 1.0], (WIDTH, 1))  # the frame that is not played
    missing = -(len(path) + WIDTH) % (FRAMES * WIDTH)
    rows = np.concatenate([first, path + noise, np.repeat((path + noise)[-1:], missing, axis=0)])
    np.save(folder / "answers.npy", rows.astype(np.float32).reshape(-1, FRAMES, WIDTH, 16).transpose(0, 3, 1, 2))


def ours(given: argparse.Namespace, folder: Path) -> None:
    log = Log()
    env = environment(given.robotwin, given.task, LOOK_EVERY, cameras=True)
    log.watch(env.unwrapped._task)
    agent = Agent(Answers(np.load(folder / "answers.npy")))
    done = run_episode(Seen(env, log), agent, Episode("robotwin", given.task, given.seed, "", setting="easy"))
    log.save(folder / "ours.npz", done.outcome is Outcome.SUCCESS)


def client(given: argparse.Namespace, folder: Path) -> None:
    """LingBot-VA's ``main``, one episode."""
    log, checkout = Log(), Checkout(str(given.robotwin))
    prepare(checkout, simulator(given.robotwin))
    root = Path.cwd()
    choose_arms(root, checkout)
    for package in ("lerobot", "websockets"):  # it writes its result with the one, and asks the model with the other
        stand_in(package)
    stand_in("test_render", always=True)  # opens a window's module, for a test of its own that main does not run
    sys.path[:0] = [str(given.lingbot_va / "evaluation" / "robotwin"), str(given.lingbot_va)]
    theirs = load(given.lingbot_va, folder, root)
    wire = importlib.import_module("evaluation.robotwin.msgpack_numpy")
    answers = Answers(np.load(folder / "answers.npy"))
    make_task, played = theirs.class_decorator, []

    def class_decorator(name: str) -> Any:
        task = make_task(name)
        log.watch(task)
        restart_planners(task)
        played.append(task)
        return task

    theirs.class_decorator = class_decorator
    theirs.WebsocketClientPolicy = lambda port: Model(answers, log, wire)
    theirs.save_comparison_video = lambda **given: None
    theirs.main(
        {
            "task_name": given.task,
            "task_config": "demo_clean",
            "ckpt_setting": 0,
            "save_root": str(folder / "results"),
            "policy_name": "ACT",
            "video_guidance_scale": 5.0,
            "action_guidance_scale": 1.0,
            "seed": given.seed // 10_000 - 1,  # the client starts at 10000 * (1 + seed)
            "test_num": 1,
            "port": 0,
        }
    )
    log.save(folder / "client.npz", played[0].suc == 1)


def choose_arms(root: Path, checkout: Checkout) -> None:
    """Have the client's ``demo_clean`` name this package's arms, and no film, in the folder of links at ``root``."""
    configs = root / "task_config"
    if configs.resolve() != checkout.configs:
        raise NotReady(f"{checkout.root} has another layout than LingBot-VA's client reads; check out 2eeec322")
    configs.unlink()
    shutil.copytree(checkout.configs, configs)
    arms, clean = configs / "_embodiment_config.yml", configs / "demo_clean.yml"
    known = {**yaml.safe_load(arms.read_text()), OWN_ARMS: {"file_path": f"./assets/embodiments/{OWN_ARMS}/"}}
    arms.write_text(yaml.safe_dump(known))
    rules = {**yaml.safe_load(clean.read_text()), "embodiment": [OWN_ARMS, OWN_ARMS, APART], "eval_video_log": False}
    clean.write_text(yaml.safe_dump(rules))


def load(lingbot_va: Path, folder: Path, root: Path) -> Any:
    """The client's file as a module, with RoboTwin at ``root``."""
    text = (lingbot_va / CLIENT).read_text()
    if THEIR_ROBOTWIN not in text:
        raise NotReady(f"{lingbot_va / CLIENT} is not the client of 6f092cb: {THEIR_ROBOTWIN!r} does not stand in it")
    copy = folder / CLIENT.name
    copy.write_text(text.replace(THEIR_ROBOTWIN, str(root)))
    spec = importlib.util.spec_from_file_location("theirs", copy)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def restart_planners(task: Any) -> None:
    """The planner that stands in for CuRobo guesses; as in our environment its guesses begin anew with every scene."""
    set_up = task.setup_demo

    def watched(**given: Any) -> None:
        set_up(**given)
        for side in ("left", "right"):
            planner = getattr(task.robot, f"{side}_planner")
            assert isinstance(planner, Planner)
            planner.restart(given["seed"])

    task.setup_demo = watched


ROLES = {"record": record, "ours": ours, "client": client}


def compared(folder: Path) -> bool:
    """Say what differs; True where nothing that counts does."""
    with np.load(folder / "client.npz") as theirs, np.load(folder / "ours.npz") as mine:
        a, b = dict(theirs), dict(mine)
    more = len(a["pictures"]) - len(b["pictures"])  # after success the client goes on to the end of the chunk
    looks = min(len(a["pictures"]), len(b["pictures"]))
    differ = (a["pictures"][:looks] != b["pictures"][:looks]).any(axis=(2, 3, 4))
    count = min(len(a["commands"]), len(b["commands"]))
    commands, poses = (np.abs(a[name][:count] - b[name][:count]) for name in ("commands", "poses"))
    apart = max(np.linalg.norm(poses[:, arm], axis=1).max() for arm in (slice(0, 3), slice(7, 10)))
    print(f"looks            client {len(a['pictures'])}, ours {len(b['pictures'])}")
    print(f"pictures         {int(differ.sum())} of {differ.size} differ, byte for byte")
    print(f"commands         client {len(a['commands'])}, ours {len(b['commands'])}")
    print(f"                 by at most {commands.max():.3g}; {int((commands > 0).any(axis=1).sum())} in any bit")
    print(f"poses            by at most {apart * 1000:.3g} mm, {poses.max():.3g} in any number")
    print(f"success          client {bool(a['success'])}, ours {bool(b['success'])}")
    same = 0 <= more <= FRAMES * 4 and len(a["commands"]) == len(b["commands"]) and a["success"] == b["success"]
    return bool(same and not differ.any() and commands.max() <= EQUAL)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lingbot_va", type=Path, metavar="LINGBOT_VA")
    parser.add_argument("--robotwin", type=Path, default=os.environ.get("ROBOTWIN_ROOT"), metavar="DIR")
    parser.add_argument("--task", default="stack_blocks_two")
    parser.add_argument("--seed", type=int, default=10_000, help="of a scene: 10000, 20000, ...; default: %(default)s")
    parser.add_argument("--noise", type=float, default=0.0005, help="metres; default: %(default)s")
    parser.add_argument("--out", type=Path, help="a folder for what was recorded; default: none is kept")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="robotwin-client-") as scratch:
        folder = given.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if given.role:
            ROLES[given.role](given, folder)
            return 0
        try:
            if given.seed < 10_000 or given.seed % 10_000:
                raise NotReady(f"LingBot-VA's client starts at 10000, 20000, ...; --seed {given.seed} is none of them")
            root = Checkout(given.robotwin and str(given.robotwin)).root
            if not (given.lingbot_va / CLIENT).is_file():
                raise NotReady(f"{given.lingbot_va} is no checkout of LingBot-VA: it has no {CLIENT}")
        except LingbotEvalError as error:
            print(error, file=sys.stderr)
            return 2
        for role in ROLES:
            words = [str(given.lingbot_va.resolve()), "--robotwin", str(root), "--task", given.task]
            words += ["--seed", str(given.seed), "--noise", str(given.noise), "--out", str(folder.resolve())]
            command = [sys.executable, "-m", "benchmarks.robotwin_client", *words, "--role", role]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_SECONDS,
                env={**os.environ, "TMPDIR": scratch},
            )
            if done.returncode:
                print(
                    f"{role}: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}",
                    file=sys.stderr,
                )
                return 2
        return 0 if compared(folder) else 1


if __name__ == "__main__":
    sys.exit(main())
