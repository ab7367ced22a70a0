"""Find out which code of this package is running."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def git_revision() -> str:
    """Return the commit of this package's checkout, with ``+`` when it holds changes; empty when it is installed from
    elsewhere."""
    commands = (
        ["ls-files", "--error-unmatch", Path(__file__).name],  # the checkout that it lies in may be somebody else's
        ["rev-parse", "--short=12", "HEAD"],
        ["status", "--porcelain", "--untracked-files=no"],
    )
    try:
        _, revision, changes = (
            subprocess.run(
                ["git", "-C", str(HERE), *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return revision + ("+" if changes else "")


def code_hash() -> str:
    """Return 12 hex digits over names and content of the package's files: two checkouts with changes differ in it."""
    digest = hashlib.sha256()
    for file in sorted(HERE.rglob("*")):
        name = file.relative_to(HERE)
        if file.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
            digest.update(f"{name} {file.stat().st_size}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
