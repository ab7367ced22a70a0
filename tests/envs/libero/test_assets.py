from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lingbot_eval.envs.libero.assets import INSIDE_A_CHECKOUT, assets_hash, find_assets, required
from lingbot_eval.errors import NotReady
from tests.hub import COMMIT, hub


@pytest.fixture
def copy(assets: str, tmp_path: Path) -> Path:
    """The required files alone: nothing else is needed."""
    for name in required():
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(assets) / name, target)
    return tmp_path / "copy"


def test_the_required_files_alone_are_complete_and_have_the_folders_hash(assets: str, copy: Path) -> None:
    assert find_assets(str(copy), download=False) == copy.resolve()
    assert assets_hash(copy) == assets_hash(Path(assets))


def test_one_changed_byte_changes_the_hash(copy: Path) -> None:
    before = assets_hash(copy)
    file = copy / required()[0]
    file.write_bytes(file.read_bytes() + b" ")
    assert assets_hash(copy) != before


def test_a_checkout_may_be_given_instead_of_its_assets_folder(copy: Path, tmp_path: Path) -> None:
    inside = tmp_path / "LIBERO" / INSIDE_A_CHECKOUT
    inside.parent.mkdir(parents=True)
    copy.rename(inside)
    assert find_assets(str(tmp_path / "LIBERO"), download=False) == inside.resolve()


def test_an_incomplete_folder_that_was_named_is_an_error_not_a_reason_to_look_elsewhere(
    assets: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / required()[0]).unlink()
    monkeypatch.setenv("LIBERO_ASSETS", assets)
    with pytest.raises(NotReady, match=rf"env\.assets .*1 of {len(required())} files missing, e\.g\. {required()[0]}"):
        find_assets(str(copy), download=False)


def test_the_error_says_where_it_looked_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotReady, match=r"LIBERO_ASSETS \(not set\).*hf-libero's cache.*env\.download=COMMIT"):
        find_assets(None, download=False)


def test_a_download_is_of_the_commit_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with hub() as (address, asked):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(NotReady, match="env\\.download=COMMIT"):
            find_assets(None, download=None)
        assert asked == []
        with pytest.raises(
            NotReady, match=f"libero-assets has no commit {COMMIT}; https.*/commits/main lists"
        ) as missing:
            find_assets(None, download=COMMIT)
        assert ".." not in str(missing.value).replace("...", "")
        assert asked
        assert all(f"/lerobot/libero-assets/tree/{COMMIT}" in path for path in asked)


def test_a_hub_that_cannot_be_reached_is_told_from_a_mistyped_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mujoco", reason="the libero extra is not installed")
    monkeypatch.delenv("LIBERO_ASSETS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReady, match=f"libero-assets@{COMMIT} could not be downloaded to .*offline") as unreachable:
        find_assets(None, download=COMMIT)
    assert ".." not in str(unreachable.value).replace("...", "")
