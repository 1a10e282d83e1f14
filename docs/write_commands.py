"""Writes docs/reference/commands.md: every command with its options, made from the dataclasses that define them.

From the repository's root: python docs/write_commands.py
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "commands.md"
TOP = """\
# Commands and options

[All pages](../index.md). Commands run from the repository's root, after `source .venv/bin/activate`.

This page is written by `docs/write_commands.py` from the code that reads the command lines, and a test holds it to it.
`--help` behind any command prints the same. An option with `...` takes several values, with spaces between them. A
switch, such as `--overwrite`, is given without a value.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


def page() -> str:
    """Return the page as text."""
    sections = [TOP]
    for program, kind in commands():
        about = (inspect.getdoc(kind) or "").strip()
        sections.append(f"## `{program}`\n\n{_inline(about)}\n\n{_table(kind)}")
    return "\n".join(sections)


def commands() -> Iterator[tuple[str, type[Any]]]:
    """Yield how each command is called, and the dataclass of its options."""
    from dnnmig_env.__main__ import COMMANDS as PROBLEM
    from evaluate.__main__ import COMMANDS as EVALUATION
    from evaluate.compare.config import Config
    from train.config import TrainConfig

    yield "python -m train", TrainConfig
    yield "python -m evaluate", Config
    for name, (kind, _, _) in sorted(EVALUATION.items()):
        yield f"python -m evaluate {name}", kind
    for name, kind in sorted(PROBLEM.items()):
        yield f"python -m dnnmig_env {name}", kind


def _table(kind: type[Any]) -> str:
    rows = list(_rows(kind, ""))
    if not rows:
        return "It has no options.\n"
    return "\n".join(["| option | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _rows(kind: type[Any], prefix: str) -> Iterator[str]:
    hints, docs = get_type_hints(kind, include_extras=True), _docs(kind)
    for field in fields(kind):
        hint, name = hints[field.name], prefix + field.name.replace("_", "-")
        if is_dataclass(hint):
            yield from _rows(hint, f"{name}.")  # type: ignore[arg-type]  # a class, as types are no instances
            continue
        value, positional = _value(hint)
        option = field.name.upper() if positional else f"--{name}" + (f" {value}" if value else "")
        yield f"| {_code(option)} | {_default(field)} | {_inline(docs.get(field.name, ''))} |"


def _docs(kind: type[Any]) -> dict[str, str]:
    """Return what stands below each field of a dataclass, or of those from which it inherits."""
    found: dict[str, str] = {}
    for one in reversed([each for each in kind.__mro__ if is_dataclass(each)]):
        (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        body = parsed.body  # type: ignore[attr-defined]  # it is a class
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = ast.literal_eval(text.value)
    return found


def _value(hint: Any) -> tuple[str, bool]:
    """Return how the value of an option is written, and whether it stands alone, without the option's name."""
    positional, shown = False, ""
    while get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
        positional = positional or any(note in get_args(tyro.conf.Positional[str]) for note in notes)
        shown = shown or next((note.metavar for note in notes if getattr(note, "metavar", None)), "")
    parts = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) in (Union, UnionType) and len(parts) == 1:
        return _value(parts[0])[0] or "", positional
    if shown or hint is bool:
        return shown, positional
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint))), positional
    if get_origin(hint) in (tuple, list):
        return f"{_value(parts[0])[0]} ...", positional
    return {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}.get(hint, "VALUE"), positional


def _default(field: Field[Any]) -> str:
    value = field.default if field.default_factory is MISSING else field.default_factory()
    if value is MISSING:
        return "required"
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return _code(" ".join(map(str, value)) if isinstance(value, tuple) else str(value))


def _inline(text: str) -> str:
    """Return a text as one paragraph that Markdown shows as it is; options, and what stands in backticks, are code."""
    plain = re.sub(r"(?<![\w`-])(--[a-z][\w.-]*\w)(?![\w`])", r"`\1`", " ".join(text.split()))
    parts = plain.split("`")
    for mark in ("\\", "*", "_", "<", "|", "["):
        parts[::2] = [part.replace(mark, f"\\{mark}") for part in parts[::2]]
    return "`".join(parts)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
