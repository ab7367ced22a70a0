"""The toy has two tasks."""

from __future__ import annotations

TASKS = {"reach": "go to the mark", "return": "go to the mark and come back"}
"""The instruction of each task, by its name."""
