"""NAME=VALUE pairs, as command lines take the options of families and algorithms."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any


def named_values(option: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Return NAME=VALUE pairs as a dictionary.

    A value is a Python literal, such as 4, 1e9, True, (4, 8) or 4,8; or else text, or several texts with commas between
    them. Dashes in a name stand for underscores.

    Args:
        option: The option that the pairs were given to, for errors.
        pairs: The pairs.

    Raises:
        ValueError: If a pair has no name, no "=" or no value, or a name is given twice.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals and text):
            raise ValueError(f"{option} has {pair!r}; write NAME=VALUE, such as num_users=4 or num_users=2,4.")
        name = name.replace("-", "_")
        if name in values:
            raise ValueError(f"{option} has {name!r} twice; give every name once.")
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        parts = tuple(part.strip() for part in text.split(","))
        return text if len(parts) == 1 else parts
