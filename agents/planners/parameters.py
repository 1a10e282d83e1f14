"""Parameters behind a planner's name, as in `pso-ga:swarm=50`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

Chosen = TypeVar("Chosen")


def with_parameters(name: str, found: Chosen, parameters: list[str]) -> Chosen:
    """Return a planner with some of its parameters changed.

    Args:
        name: Its name, for errors.
        found: The planner. If it is a dataclass, its parameters are the fields that are numbers or truth values.
        parameters: What changes, each as NAME=VALUE.

    Raises:
        ValueError: If it has no parameter of that name, or the value is not of the parameter's kind.
    """
    if not parameters:
        return found
    of: list[Any] = list(fields(found)) if is_dataclass(found) else []
    known = {field.name: type(getattr(found, field.name)) for field in of}
    known = {parameter: kind for parameter, kind in known.items() if kind in (bool, int, float)}
    changes: dict[str, Any] = {}
    for text in parameters:
        parameter, _, value = text.partition("=")
        if parameter not in known:
            listed = f"its parameters are {', '.join(known)}, written {name}:NAME=VALUE"
            hint = listed if known else f"it has no parameters: leave out ':{text}'"
            raise ValueError(f"planner {name!r} has no parameter {parameter!r}; {hint}.")
        changes[parameter] = _value(f"{name}:{parameter}", known[parameter], value)
    return replace(found, **changes)  # type: ignore[type-var]  # parameters are known only where it is a dataclass


def _value(where: str, kind: type[Any], text: str) -> Any:
    """Return the value that a text stands for: a truth value, a whole number or a number, as `kind` says."""
    kinds = {
        bool: ("true or false", {"true": True, "false": False}.__getitem__),
        int: ("a whole number, less than 2^31", _whole),
    }
    wanted, read = kinds.get(kind, ("a number", float))
    try:
        return read(text)
    except (KeyError, ValueError):
        raise ValueError(f"{where} is {text!r}; give {wanted}.") from None


def _whole(text: str) -> int:
    """Read a whole number, which may be written as 1e6."""
    number = float(text)
    if not number.is_integer() or abs(number) >= 2**31:
        raise ValueError(text)
    return int(number)
