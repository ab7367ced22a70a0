"""Evaluate video-action world models on LIBERO and RoboTwin 2.0: exact, resumable, honest about uncertainty.

Importing the package costs numpy and gymnasium, and registers the environments:
``gymnasium.make("lingbot_eval/<title>-<task>-v0")``, as ``suites/gym.py`` names them.
:func:`evaluate` plays a run and :class:`Run` reads one (``docs/python.md``); what they need is imported on first use.
"""

from typing import TYPE_CHECKING, Any

from lingbot_eval.suites.gym import register

if TYPE_CHECKING:
    from lingbot_eval.cli.evaluate import evaluate as evaluate
    from lingbot_eval.run import Run as Run

__version__ = "0.3.0.dev0"

register()


def __getattr__(name: str) -> Any:
    if name == "Run":
        from lingbot_eval.run import Run

        return Run
    if name == "evaluate":
        from lingbot_eval.cli.evaluate import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "Run", "evaluate"]
