from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A random checkpoint of upstream's layout."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
    import torch

    from lingbot_eval.agents.lingbot.tiny import make_tiny

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    make_tiny(folder)
    return folder
