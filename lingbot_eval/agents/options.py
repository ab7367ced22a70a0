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
    """Those among the values that are a file or a folder, whose content counts; absolute."""
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
    for name, value in options.items():
        annotation = known[name].annotation if name in known else inspect.Parameter.empty
        values[name] = _checked(name, value, _resolved(annotation, scope))
    paths = {name: value for name, value in values.items() if isinstance(value, Path)}
    return Arguments(values, paths, wants_spec)


def _resolved(annotation: Any, scope: dict[str, Any]) -> Any:
    """Return ``annotation`` as a type; Any where there is none, or where it names what is not there when the program
    runs."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return get_type_hints(types.SimpleNamespace(__annotations__={"it": annotation}), scope)["it"]
    except (NameError, AttributeError, SyntaxError, TypeError):
        return Any


def _checked(name: str, value: Any, annotation: Any) -> Any:
    said = f"agent.options.{name}={value!r}"
    if not _is_simple(annotation):
        return value
    members = set(_members(annotation))
    if Path in members and isinstance(value, str):
        path = Path(value).expanduser()
        if path.exists():
            return path.resolve()
        if str not in members:  # else it may be a name as well
            raise BadInput(f"{said}: there is no such file or folder (looked in {Path.cwd()})")
    try:
        return msgspec.convert(value, _without_paths(annotation))
    except msgspec.ValidationError as error:
        if choices := [str(it) for kind in members if get_origin(kind) is Literal for it in get_args(kind)]:
            raise UnknownName(f"value of agent.options.{name}:", value, choices) from None
        raise BadInput(f"{said}: {str(error).replace('`', '')}") from None


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
        if Path in inside or not all(it is Ellipsis or it is Any or _is_simple(it) for it in inside):
            return False
    return True


def _without_paths(annotation: Any) -> Any:
    """Return ``annotation`` with text in the place of a path, so that a value that is no path is checked as text."""
    members = tuple(str if member is Path else member for member in _members(annotation))
    return Union[members]  # noqa: UP007  (of a tuple)
