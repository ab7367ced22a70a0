"""Find where a class of the user's own lies, and which source files make it what it is.

An entry is ``path/to/file.py:Class``, or ``package.module:Class`` on the Python path, to which the working folder
belongs.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lingbot_eval.errors import BadInput, UnknownName

SHAPE = "package.module:Class, or path/to/file.py:Class"

OURS = "lingbot_eval"
"""The package whose files are not the user's: records say its version and its hash."""


@dataclass(frozen=True)
class Located:
    """This is a class that was found."""

    entry: str
    """The entry that names the class from any working folder."""
    kind: type[Any]
    file: Path
    """The source file of the module that the entry names, links followed."""
    module: str
    """The dotted name by which the files beside it know the module."""

    def sources(self) -> dict[str, Path]:
        """Return the module's file and the local modules that it imports, which may import others in turn, by their
        path in the folder from which they are imported.

        Local is what lies beside the file, and what the Python path has outside the folders of installed packages (of
        a class that is installed itself: its own top-level package). What is imported by a name that is put together
        when the program runs is not found.
        """
        depth = self.module.count(".") + (self.file.name == "__init__.py")
        root = self.file.parents[depth]
        top = self.module.split(".")[0]
        found: dict[str, Path] = {}
        unread = [(root, self.module, self.file)]
        while unread:
            base, module, file = unread.pop()
            name = file.relative_to(base).as_posix()
            if name in found:
                continue
            found[name] = file
            for imported in _imports(file, module):
                own = "." in self.module and imported.split(".")[0] == top
                for folder in _folders(imported, root):
                    if own or not _is_installed(folder):
                        unread += [(folder, *it) for it in _files(folder, imported)]
        return found

    def imports(self) -> set[str]:
        """Return the top-level packages that its sources may import."""
        found = {(file, name.removesuffix(".py").replace("/", ".")) for name, file in self.sources().items()}
        return {name.split(".")[0] for file, module in found for name in _imports(file, module)}


def located(entry: str) -> Located:
    """Import what ``entry`` names, and return its class.

    Raises BadInput for an entry that names no class of an agent's, in one line.
    """
    place, colon, name = entry.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise BadInput(f"{entry!r} names no agent's class: write {SHAPE}")
    is_file = place.endswith(".py") or "/" in place
    module = _from_file(Path(place).expanduser()) if is_file else _from_path(place)
    source = inspect.getsourcefile(module) if getattr(module, "__file__", None) else None
    if source is None:
        raise BadInput(
            f"{place} has no Python source file; an agent's source is hashed into the run's identity, so a compiled "
            "module cannot be played"
        )
    file = Path(source).resolve()
    kind = _class(module, name, place)
    return Located(f"{file if is_file else place}:{name}", kind, file, file.stem if is_file else place)


def _from_file(path: Path) -> ModuleType:
    """Run the module in a file anew, and return it; the modules beside it can be imported, as if it were a script."""
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "there is no such file"
        raise BadInput(f"agent {path}: {found} (looked in {Path.cwd()})")
    if path.suffix != ".py":
        raise BadInput(f"agent {path}: a class comes from a .py file")
    path = path.resolve()
    _on_path(path.parent)
    name = f"own_agent_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101  (its name ends in .py)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and type hints look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (it is the user's code, which may raise anything)
        del sys.modules[name]
        raise BadInput(f"agent {path} cannot be imported: {_last_line(error)}") from None
    return module


def _from_path(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise BadInput(f"{name!r} is no module's name: write {SHAPE}")
    _on_path(Path.cwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (as above)
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise BadInput(
                f"agent {name}: {error.msg} (looked in {Path.cwd()}, and where {sys.executable} looks)"
            ) from None
        raise BadInput(f"agent {name} cannot be imported: {_last_line(error)}") from None


def _on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _last_line(error: BaseException) -> str:
    """Return an exception in one line, with the place in the user's code that raised it."""
    said = traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename:
        return f"{said} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    frames = [frame for frame in frames if frame.filename not in (__file__, importlib.__file__)]
    return said + (f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else "")


def _class(module: ModuleType, name: str, place: str) -> type[Any]:
    found = getattr(module, name, None)
    if found is None:
        own = [key for key, value in vars(module).items() if isinstance(value, type) and not _misses(value)]
        if not own:
            raise BadInput(f"{place} has no class {name}, nor any other with reset and act")
        raise UnknownName(f"class in {place}:", name, own)
    if not isinstance(found, type):
        raise BadInput(f"{name} in {place} is a {type(found).__name__}, not a class")
    if misses := _misses(found):
        raise BadInput(
            f"{name} in {place} has no {misses}: an agent has reset(self, instruction, *, seed) and act(self, frames)"
        )
    return found


def _misses(kind: type[Any]) -> str:
    """Say which of an agent's methods ``kind`` lacks, or has in a form that cannot be called so; empty where none."""
    for name, positional, named in (("reset", ("Lift the block.",), {"seed": 0}), ("act", ([],), {})):
        method = inspect.getattr_static(kind, name, None)
        if method is None:
            return f"method {name}"
        try:
            inspect.signature(getattr(kind, name)).bind(*(None,) * inspect.isfunction(method), *positional, **named)
        except (TypeError, ValueError) as error:
            return f"{name} that can be called so ({error})"
    return ""


def _folders(module: str, beside: Path) -> list[Path]:
    """Return the folders from which Python imports the top-level package of ``module``, ``beside`` where it finds none;
    nothing is imported for that."""
    top = module.split(".")[0]
    if top == OURS:
        return []
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # of __main__, and of what somebody has put in sys.modules
        return []
    if spec is None:
        return [beside]
    if spec.submodule_search_locations is not None:
        return [Path(folder).parent for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.has_location and spec.origin else []


@functools.cache
def _is_installed(folder: Path) -> bool:
    """Say whether ``folder`` is one of installed packages or of Python's own modules."""
    if {"site-packages", "dist-packages"} & {*folder.parts} or any(folder.glob("*.dist-info")):
        return True
    own = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")}
    return any(folder.resolve().is_relative_to(standard) for standard in own)


def _imports(file: Path, module: str) -> Iterator[str]:
    """Yield every module that the source in ``file``, which is ``module``, may import, at its top or in functions."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # nobody can import it
        return
    package = module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}".removeprefix(".") for alias in node.names)


def _files(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Yield the files below ``root`` that importing ``name`` runs, with their modules' names; the last part may be a
    name in a module."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file():
                yield ".".join(parts[:depth]), file
                break
