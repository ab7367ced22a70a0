from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with latents of chance: eight episodes of two tasks."""
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[lingbot]'")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[train]'")
    from tests.training.synthetic import write_dataset

    return write_dataset(tmp_path_factory.mktemp("data") / "data")
