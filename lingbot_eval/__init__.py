"""Evaluate video-action world models on LIBERO and RoboTwin 2.0: exact, resumable, honest about uncertainty.

Importing the package costs numpy and gymnasium, and registers the environments:
``gymnasium.make("lingbot_eval/LIBERO-<suite>-<task>-v0")``, ``RoboTwin-<task>-v0``, ``Tabletop-<task>-v0``.
"""

from lingbot_eval.suites.gym import register

__version__ = "0.2.0.dev0"

register()
