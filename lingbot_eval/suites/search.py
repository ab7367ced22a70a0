"""Try seeds with the suite's expert until a manifest has the scenes that are wanted, several tasks at a time. Several
processes may do so at once: each takes tasks that no other is at, and waits for the others' in the end."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from pathlib import Path

from lingbot_eval.envs.remote import RemoteEnv
from lingbot_eval.errors import NotReady, SimulatorError, SimulatorRaised, Taken
from lingbot_eval.settings import EnvSettings, Limits, Protocol, SimulatorSettings
from lingbot_eval.suites.manifest import Audition, Manifest, Wanted

TRIES = 2
"""A simulator that dies or hangs is asked once more, in a fresh process."""

BROKEN = 5
"""After so many seeds in a row at which it does so twice it is the simulator, and not the scenes."""


WAIT_SECONDS = 2.0
"""So long passes before tasks that other processes are at are tried again."""


def search(
    manifest: Manifest,
    wanted: Sequence[Wanted],
    suite: str,
    simulator: SimulatorSettings,
    protocol: Protocol,
    limits: Limits,
    workers: int,
    tell: Callable[[Wanted, Audition], None],
    waits: Callable[[Sequence[Wanted]], None],
) -> None:
    """Extend ``manifest``. ``tell`` is called after every audition, from any thread; ``waits`` is called once, when
    only tasks are left that other processes are at.

    Raises NotReady.
    """
    stopped = threading.Event()

    def one(want: Wanted) -> bool:
        """Look for the scenes of one task; return False where another process is at it."""
        env_settings = EnvSettings(
            simulator=simulator,
            protocol=protocol,
            suite=suite,
            task=want.task,
            commands_per_action=1,
            cameras=False,
            render=False,
        )
        log = manifest.folder / f"{want.task}-{want.setting}.log"
        if log.is_symlink():
            raise NotReady(f"{log} is a link, through which nothing is written; remove it")
        with contextlib.ExitStack() as ended:

            @functools.cache
            def auditions() -> Auditions:
                """Make them, with a simulator that dies with this thread, once there is something left to try."""
                env = ended.enter_context(contextlib.closing(RemoteEnv(env_settings, limits, log)))
                return Auditions(env, want, log, tell)

            try:
                manifest.extend(want, lambda seed: auditions().of(seed), stopped.is_set)
            except Taken:
                return False
        return True

    with ThreadPoolExecutor(workers) as pool:
        try:
            if left := _left(pool, one, wanted):
                waits(left)
            while left:
                time.sleep(WAIT_SECONDS)
                left = _left(pool, one, left)
        finally:  # after the first failure, too, or interrupted: each thread ends with the audition that it is at
            stopped.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _left(pool: Executor, one: Callable[[Wanted], bool], wanted: Sequence[Wanted]) -> list[Wanted]:
    """Do all that no other process is at, and return those that one is at."""
    futures = {pool.submit(one, want): want for want in wanted}
    return [futures[future] for future in as_completed(futures) if not future.result()]


class Auditions:
    """Asks an environment about one seed after another."""

    def __init__(self, env: RemoteEnv, want: Wanted, log: Path, tell: Callable[[Wanted, Audition], None]) -> None:
        self._env, self._want, self._log, self._tell = env, want, log, tell
        self._errors = 0

    def of(self, seed: int) -> Audition:
        for _ in range(TRIES):
            try:
                answer = self._env.audition(seed, self._want.setting)
                tried = Audition(seed, answer.outcome, answer.reason, answer.sentences)
                break
            except SimulatorRaised as error:  # experts do, where an arm reaches nothing
                tried = Audition(seed, "unsolved", f"it raised {_last_line(error)}", {})
                break
            except SimulatorError as error:
                tried = Audition(seed, "error", _last_line(error), {})
        self._errors = self._errors + 1 if tried.outcome == "error" else 0
        if self._errors == BROKEN:
            raise NotReady(f"{self._want.task} {self._want.setting}: {tried.reason} ({BROKEN} times); see {self._log}")
        self._tell(self._want, tried)
        return tried


def _last_line(error: SimulatorError) -> str:
    return str(error).strip().splitlines()[-1]
