"""Check ``agent.options``, which are arguments of a class, against its signature."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from lingbot_eval.errors import BadInput, UnknownName

SPEC = "spec"
"""The parameter of this name is given the EnvSpec."""

CHECKED = (bool, int, float, str, Path, type(None))
CONTAINERS = (list, tuple, dict, Sequence, Mapping)


@dataclass(frozen=True)
class Arguments:
    """A class is made with these, besides the specification."""

    values: Mapping[str, Any]
    paths: Mapping[str, Path]
    """The files and folders in them, whose content counts, by where they are: ``weights``, ``weights[0]``; absolute."""
    hold_paths: frozenset[str]
    """The values that are, or hold, a file or a folder."""
    remarks: tuple[str, ...]
    """What whoever starts a run should know of them, a line each."""
    wants_spec: bool


def arguments(kind: type[Any], options: Mapping[str, Any]) -> Arguments:
    """Return the ``options`` as arguments of ``kind``: a parameter annotated ``int``, ``float``, ``str``, ``bool``,
    ``Path``, with ``Literal``, or with one of these or None, or lists of them, takes what fits it; any other takes what
    comes.

    Raises UnknownName for an option that is none, BadInput for one that is missing, does not fit, or names no file.
    """
    try:
        parameters = dict(inspect.signature(kind).parameters)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"the arguments of {kind.__name__} cannot be read ({error}): give the class an __init__ written in Python"
        ) from None
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    wants_spec = SPEC in parameters
    known = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name != SPEC
    }
    for name in options:
        if name not in known and (not takes_any or name == SPEC):
            if not known:
                raise BadInput(f"{kind.__name__} takes no options, and was given agent.options.{name}")
            raise UnknownName(f"option of {kind.__name__}", name, known)
    if missing := [name for name, it in known.items() if it.default is it.empty and name not in options]:
        needed = ", ".join(f"agent.options.{name}=..." for name in missing)
        raise BadInput(f"{kind.__name__} needs {needed}")
    scope = getattr(inspect.unwrap(kind.__init__), "__globals__", {})
    values: dict[str, Any] = {}
    paths: dict[str, Path] = {}
    remarks: list[str] = []
    for name in {**options, **known}:
        given = name in options
        parameter = known.get(name, inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY))
        value = options[name] if given else parameter.default
        annotation = _resolved(parameter.annotation, scope)
        if isinstance(parameter.default, Path) and not _is_simple(annotation):
            annotation = Path
        if annotation is None and (file := next(filter(_is_there, _texts(value)), None)):
            raise BadInput(
                f"agent.options.{name}={file!r} names a file, and its annotation {parameter.annotation!r} cannot be "
                "resolved when the program runs, so nobody knows whether its content counts: import the type outside "
                "`if TYPE_CHECKING`"
            )
        annotation = Any if annotation is None else annotation
        checked = _checked(name, value, annotation) if given else _default(name, value, annotation)
        inside = dict(_paths(name, checked))
        paths |= inside
        if given or inside:
            values[name] = checked
        if given:
            remarks += [
                f"agent.options.{name}={text!r} names a file whose content does not count: annotate its parameter with "
                "pathlib.Path if the agent plays from it"
                for text in _texts(checked)
                if _is_there(text)
            ]
    hold = frozenset(name for name, value in values.items() if any(True for _ in _paths(name, value)))
    return Arguments(values, paths, hold, tuple(remarks), wants_spec)


def plain(value: Any) -> Any:
    """Return a value with text in the place of paths."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return {key: plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def _paths(where: str, value: Any) -> Iterator[tuple[str, Path]]:
    """Yield the paths in a value, with where they are."""
    if isinstance(value, Path):
        yield where, value
    elif isinstance(value, list | tuple | dict):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _paths(f"{where}[{key}]", each)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _is_there(text: str) -> bool:
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a null character, nobody's home
        return False


def _resolved(annotation: Any, scope: dict[str, Any]) -> Any:
    """Return ``annotation`` as a type; Any where there is none, and None where it names what is not there when the
    program runs."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), scope)["it"]
    except (NameError, AttributeError, SyntaxError, TypeError):
        return None


def _checked(name: str, value: Any, annotation: Any) -> Any:
    if not _is_simple(annotation):
        return value
    try:
        checked = msgspec.convert(value, _without_paths(annotation))
    except msgspec.ValidationError as error:
        members = _members(annotation)
        if choices := [str(it) for kind in members if get_origin(kind) is Literal for it in get_args(kind)]:
            raise UnknownName(f"value of agent.options.{name}:", value, choices) from None
        raise BadInput(f"agent.options.{name}={value!r}: {str(error).replace('`', '')}") from None
    return _with_paths(name, checked, annotation, required=True)


def _default(name: str, value: Any, annotation: Any) -> Any:
    """Return a parameter's default with the paths that are there as such, whose content counts as if they were
    given."""
    return _with_paths(name, plain(value), annotation, required=False) if _is_simple(annotation) else value


def _with_paths(name: str, value: Any, annotation: Any, required: bool) -> Any:
    """Return a value with paths, absolute, where the ``annotation`` has them; if they are ``required``, raise BadInput
    for one that is not there."""
    members = set(_members(annotation))
    if isinstance(value, str) and Path in members:
        if _is_there(value):
            return Path(value).expanduser().resolve()
        if required and str not in members:  # else it may be a name as well
            raise BadInput(f"agent.options.{name}={value!r}: there is no such file or folder (looked in {Path.cwd()})")
        return value
    for member in members:
        origin, inside = get_origin(member), get_args(member)
        if not _has_paths(member) or not inside:
            continue
        if isinstance(value, dict) and origin in (dict, Mapping):
            return {key: _with_paths(name, each, inside[1], required) for key, each in value.items()}
        if isinstance(value, list | tuple) and origin in (list, tuple, Sequence):
            each_one = inside[:1] * len(value) if origin is not tuple or Ellipsis in inside else inside
            found = [_with_paths(name, each, kind, required) for each, kind in zip(value, each_one, strict=False)]
            return tuple(found) if isinstance(value, tuple) else found
    return value


def _has_paths(annotation: Any) -> bool:
    return annotation is Path or any(map(_has_paths, get_args(annotation)))


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the types that a value may have."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _is_simple(annotation: Any) -> bool:
    """Say whether JSON has values for it."""
    for member in _members(annotation):
        origin, inside = get_origin(member), get_args(member)
        if member in CHECKED or member in CONTAINERS or origin is Literal:
            continue
        if origin not in CONTAINERS and origin not in (Sequence, Mapping):
            return False
        if (origin in (dict, Mapping) and _has_paths(inside[0])) or not all(
            it is Ellipsis or it is Any or _is_simple(it) for it in inside
        ):
            return False
    return True


def _without_paths(annotation: Any) -> Any:
    """Return ``annotation`` with text in the place of a path, so that a value is checked as it comes."""
    if annotation is Path:
        return str
    if not _has_paths(annotation):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(map(_without_paths, get_args(annotation)))]  # noqa: UP007  (of a tuple)
    return get_origin(annotation)[tuple(map(_without_paths, get_args(annotation)))]
