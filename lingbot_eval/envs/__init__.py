"""Environments. ``make_env`` builds one in this process; ``remote.RemoteEnv`` in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lingbot_eval.settings import EnvSettings, LiberoSettings, RoboTwinSettings, TabletopSettings, ToySettings

if TYPE_CHECKING:
    from lingbot_eval.envs.libero.env import LiberoEnv
    from lingbot_eval.envs.robotwin.env import RoboTwinEnv
    from lingbot_eval.envs.robotwin.relative import RelativePose
    from lingbot_eval.envs.toy.env import ReachEnv


def make_env(settings: EnvSettings) -> LiberoEnv | RelativePose | RoboTwinEnv | ReachEnv:
    """The environment that ``settings`` describe, in this process, which its simulator then changes for good."""
    if isinstance(settings.simulator, LiberoSettings):
        from lingbot_eval.envs.libero.env import LiberoEnv  # needs the libero extra

        return LiberoEnv(settings)
    if isinstance(settings.simulator, RoboTwinSettings | TabletopSettings):
        from lingbot_eval.envs.robotwin.env import RoboTwinEnv  # needs the robotwin or tabletop extra
        from lingbot_eval.envs.robotwin.relative import RelativePose

        env = RoboTwinEnv(settings)
        return RelativePose(env) if env.protocol.commands == "relative" else env
    if isinstance(settings.simulator, ToySettings):
        from lingbot_eval.envs.toy.env import ReachEnv

        return ReachEnv(settings)
    raise TypeError(f"no environment for {type(settings.simulator).__name__}")
