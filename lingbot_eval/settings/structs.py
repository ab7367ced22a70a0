"""Turn plain data into checked structs, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from lingbot_eval.errors import BadInput

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


def as_struct(data: Any, kind: Any) -> Any:
    """Return plain data as a checked struct or dataclass.

    Raises BadInput with the path of the value that does not fit, and the valid values where those can be listed.
    """
    try:
        return msgspec.convert(data, kind, str_keys=True)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        path = path.strip("`").removeprefix("$.")
        choices = _choices(kind, path.split("."))
        valid = f" (valid: {', '.join(choices)})" if choices else ""
        raise BadInput(f"{path or 'settings'}: {what.replace('`', '')}{valid}") from None


def _choices(kind: Any, path: Sequence[str]) -> list[str]:
    """Return the values of the Literal that ``path`` leads to in a struct, if it leads to one."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    found = [choice for member in get_args(kind) for choice in _choices(member, path)]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and path:
        hints, name = get_type_hints(kind), path[0].partition("[")[0]  # faults[...]
        found += _choices(hints[name], path[1:]) if name in hints else []
    return list(dict.fromkeys(found))


def to_dict(struct: Any) -> dict[str, Any]:
    """Return a struct or dataclass as plain data that JSON can hold."""
    data: dict[str, Any] = msgspec.to_builtins(struct, str_keys=True)
    return data
