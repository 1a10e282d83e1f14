"""Finds what others have written: an object named `package.module:attribute`, or one that a distribution registers.

Here, and nowhere else, such a name becomes an object; whoever asks for it says what kind of object it has to be.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from dnnmig_env.files.suggestion import suggestion

NAME = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
"""Regular expression of a module's or an attribute's name, with dots between its parts."""

_REFERENCE = re.compile(rf"{NAME}:{NAME}")


def is_reference(text: str) -> bool:
    """Return whether a text has the form `package.module:attribute`."""
    return _REFERENCE.fullmatch(text) is not None


def imported(text: str) -> Any:
    """Return the object that a text `package.module:attribute` names.

    As with `python -m`, a module in the current folder is found as well as an installed one.

    Raises:
        ValueError: If the text has another form, there is no such module or attribute, or the module cannot be
            imported; in one line that shows the text and says the remedy.
    """
    if not is_reference(text):
        raise ValueError(f"{text!r} names nothing; write package.module:attribute.")
    place, _, attribute = text.partition(":")
    found = _module(text, place)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in dir(found) if not name.startswith("_")]
            close = suggestion(part, public) if public else ""
            hint = close if close.startswith("did you mean") else "correct the name behind the colon."
            raise ValueError(f"{text!r}: {place!r} has no {part!r}; {hint}")
        found = getattr(found, part)
    return found


def registered(group: str) -> dict[str, str]:
    """Return what installed distributions register in a group of entry points: `package.module:attribute` by name.

    Raises:
        ValueError: If two distributions register different objects by the same name.
    """
    found: dict[str, str] = {}
    for entry in metadata.entry_points(group=group):
        value = f"{entry.module}:{entry.attr}"
        if found.setdefault(entry.name, value) != value:
            raise ValueError(
                f"two distributions register {entry.name!r} in {group!r}: {found[entry.name]} and {value}; "
                "uninstall one, or write what stands behind the colon yourself."
            )
    return found


def arguments_of(found: type[Any]) -> Iterator[inspect.Parameter]:
    """Yield the named arguments of a class's constructor, and of those of its bases as far as they are handed on.

    They are handed on where a constructor takes `**kwargs`.
    """
    for each in found.__mro__:
        if "__init__" not in vars(each) or each is object:
            continue
        parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
        yield from (one for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            return


def wrong_kind(text: str, found: object, wanted: str) -> ValueError:
    """Return the error for a name that leads to an object of the wrong kind.

    Args:
        text: The name.
        found: The object.
        wanted: What it should be, as it follows "give".
    """
    kind = "a class" if isinstance(found, type) else f"an object of class {type(found).__name__}"
    return ValueError(f"{text!r} is {kind}, which does not serve here; give {wanted}.")


def source_of(text: str) -> bytes:
    """Return the source of the module that a text names, so that records tell one edition of it from another.

    It is empty for a module that has none, such as compiled code.

    Raises:
        ValueError: As `imported`.
    """
    module = _module(text, text.partition(":")[0])
    try:
        file = inspect.getsourcefile(module)
        return Path(file).read_bytes() if file else b""
    except (OSError, TypeError):
        return b""


def _module(text: str, place: str) -> Any:
    if "" not in sys.path:  # `python -m` has the current folder at its front, other ways to start may not have it
        sys.path.append("")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{place}.".startswith(f"{error.name}."):
            raise ValueError(
                f"{text!r}: there is no module {error.name!r}; run from the folder in which it lies, put that into "
                "PYTHONPATH, or install it."
            ) from None
        raise _unimported(text, place, error) from error
    except (Exception, SystemExit) as error:  # whatever the module itself raises
        raise _unimported(text, place, error) from error


def _unimported(text: str, place: str, error: BaseException) -> ValueError:
    reason = " ".join((str(error) or "no message").split()).rstrip(".")
    return ValueError(f"{text!r}: {place!r} cannot be imported ({type(error).__name__}: {reason}); mend it.")
