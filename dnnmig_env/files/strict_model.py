"""Checks the mappings that people write in files key by key; an error names the place, the value and the remedy."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dnnmig_env.files.quantities import MANY, ONE
from dnnmig_env.files.suggestion import suggestion

AnyForm = TypeVar("AnyForm", bound="Form")


def checked(form: type[AnyForm], data: object) -> AnyForm:
    """Check the content of a file and return it as a form.

    Args:
        form: The kind of form that the content should be.
        data: The content: mappings, lists, texts and numbers.

    Raises:
        ValueError: If the content does not fit, in one line such as
            `users[0].device.flops_per_s: -1; must be positive`.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" (and {len(others)} more)" if others else ""
        raise ValueError(f"{_explained(first)}{more}") from None


def inside(place: str, step: int | str) -> str:
    """Return the place of a key or item within another place, written as in Python: `users[0].device.flops_per_s`."""
    if isinstance(step, str) and step.isidentifier():
        return f"{place}.{step}" if place else step
    return f"{place}[{step!r}]"


class Form(BaseModel):
    """Base of the mappings that a file may hold: a key that is no field of the class is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {key!r}; {suggestion(key, cls.model_fields)}")
        return data

    def one_of(self, *keys: str, required: bool = True) -> None:
        """Raise unless exactly one of some keys is given, or at most one if none is required."""
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"both {given[0]} and {given[1]} are given; keep one")
        if required and not given:
            raise ValueError(f"none of {', '.join(keys)} is given; give one")


_REASONS = {
    "missing": "missing; add it",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "too_short": "must not be empty; give at least one",
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
}


def _explained(error: ErrorDetails) -> str:
    """Return `place: value; reason` for one of pydantic's errors."""
    kind, context = error["type"], error.get("ctx", {})
    reason = str(context["error"]) if "error" in context else _REASONS.get(kind, error["msg"])
    if kind == "literal_error":
        reason = f"must be {context['expected']}"
    words = [reason]
    if kind != "missing" and not isinstance(error["input"], dict):
        words.insert(0, reprlib.repr(error["input"]))
    place = _place(error["loc"])
    return f"{place}: {'; '.join(words)}" if place else "; ".join(words)


def _place(path: Iterable[int | str]) -> str:
    place = ""
    for step in path:
        if step not in (ONE, MANY, "[key]"):
            place = inside(place, step)
    return place
