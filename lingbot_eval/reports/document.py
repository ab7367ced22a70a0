"""Data as an HTML file, in which nothing can run but ours.

Everything that a run's files say reaches the page as JSON, which our script shows as text, never as markup; the policy
in its head names the one script and the one style by their hashes, so that the browser refuses any other. A page that
is one file loads nothing but videos. A page in parts, or one that is served and may come to have some, also lets its
script load further ones ('strict-dynamic'): where it was opened from disk, whatever lies in its folder of parts under
the name of one runs as a script of the page.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from lingbot_eval import files
from lingbot_eval.errors import NotReady
from lingbot_eval.files import write_whole

HERE = Path(__file__).parent
SHARED = ("../web/dom.js", "../web/common.js")


def html(data: msgspec.Struct, script: str, loads: bool = False) -> str:
    """``script``: the file beside this one that shows ``data``, after what SHARED has for all. ``loads``: it may
    load further scripts, itself, by name; no element that anything else made can."""
    style, code = _text("page.css").strip(), "\n".join(map(_text, (*SHARED, script))).strip()
    scripts = f"'{_digest(code)}'" + (" 'strict-dynamic'" if loads else "")
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src '{_digest(style)}'; img-src data:; "
        "media-src 'self' file:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    parts = {"POLICY": policy, "STYLE": style, "DATA": encoded(data), "SCRIPT": code}
    before, *rest = _text("page.html").split("{{")
    return before + "".join(parts[name] + text for name, _, text in (part.partition("}}") for part in rest))


def encoded(data: Any) -> str:
    """JSON that may stand in an HTML file or in a script."""
    # In JSON "<" stands in strings alone; escaped there, nothing can end the element or open a comment.
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def write(file: Path, content: str) -> None:
    """Its folder, too, where it is not there. Raises NotReady where nothing can be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content.encode())
    except OSError as error:
        raise NotReady(f"cannot write {file}: {error.strerror}") from None


def folder(path: Path) -> None:
    """Make it, where it is not there, and those it is in. Raises NotReady where nothing can be written, or it is a
    link."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.made(path)
    except OSError as error:
        raise NotReady(f"cannot write to {path}: {error.strerror}") from None


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
