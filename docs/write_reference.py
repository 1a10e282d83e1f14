"""Writes pages of docs/reference from the code: commands and their options, families and theirs, scenario files.

From the repository's root: python docs/write_reference.py
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
from types import ModuleType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
COMMANDS = """\
# Commands and options

[All pages](../index.md). Commands run from the repository's root, after `source .venv/bin/activate`.

This page is written by `docs/write_reference.py` from the code that reads the command lines, and a test holds it to it.
`--help` behind any command prints the same. An option with `...` takes several values, with spaces between them. A
switch, such as `--overwrite`, is given without a value.
"""


FAMILIES = """\
# Families and their options

[All pages](../index.md). This page is written by `docs/write_reference.py` from the code that draws, and a test holds
it to it.

Options are given as `--generator NAME=VALUE` to `python -m train`, `--option NAME=VALUE` to `python -m evaluate` and
`python -m dnnmig_env draw`, `NAME=VALUE` to `gymnasium.make`, or under `options:` in
[a file of your own](#a-distribution-of-your-own). A range is written `"access_mbps=(5,20)"`, and one number stands for
a range of that value. On the command line, put what has parentheses into quotation marks.
"""
SCENARIOS = """\
# Scenario files

[All pages](../index.md). This page is written by `docs/write_reference.py` from the code that reads the files, and a
test holds it to it. [Your own cluster](../guides/own-cluster.md) begins with a small one; `python -m dnnmig_env draw`
writes drawn scenarios as files, and `--scenario-file` plays them.
"""


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
        print((REFERENCE / name).relative_to(ROOT))


def pages() -> dict[str, str]:
    """Return the pages by the names of their files."""
    return {"commands.md": _commands_page(), "families.md": _families_page(), "scenario-files.md": _scenarios_page()}


def _commands_page() -> str:
    sections = [COMMANDS]
    for program, kind in commands():
        about = (inspect.getdoc(kind) or "").strip()
        sections.append(f"## `{program}`\n\n{_inline(about)}\n\n{_table(kind)}")
    return "\n".join(sections)


def _families_page() -> str:
    from dnnmig_env.families import family_file
    from dnnmig_env.families.registry import FAMILIES as GENERATORS

    sections = [FAMILIES]
    for name, kind in GENERATORS.items():
        about = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[0]
        sections.append(f"## `{name}`\n\n{_prose(about)}\n{_options(kind)}")
    sections.append(f"## A distribution of your own\n\n{_prose(_module_text(family_file))}")
    return "\n".join(sections)


def _scenarios_page() -> str:
    from dnnmig_env.scenarios import file

    about = _module_text(file).partition("In this room, begin with")[0]
    return f"{SCENARIOS}\n{_prose(about)}"


def _module_text(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").strip() + "\n"


def _prose(text: str) -> str:
    """Return a docstring as Markdown: what is indented is YAML, and all else is written as it is."""
    blocks = []
    for block in re.split(r"\n\n(?=\S)", text.strip()):
        is_code = all(line.startswith("    ") or not line for line in block.splitlines()[1:]) and "\n\n    " in block
        head, _, code = block.partition("\n\n")
        blocks.append(f"{head}\n\n```yaml\n{textwrap.dedent(code).rstrip()}\n```" if is_code else block)
    return "\n\n".join(blocks) + "\n"


def _options(kind: type[Any]) -> str:
    """Return the options of a generator as a table, with what docstrings say of its attributes."""
    meanings: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        text = inspect.cleandoc(one.__doc__ or "").partition("\nAttributes:\n")[2]
        meanings |= dict(re.findall(r"^    (\w+): (.*?)(?=^    \w+: |^\S|\Z)", text, re.MULTILINE | re.DOTALL))
    rows = ["| option | default | meaning |", "| --- | --- | --- |"]
    for field in fields(kind):
        meaning = meanings[field.name]
        value = "none" if field.default in (None, ()) else _code(_shown(field.default))
        rows.append(f"| {_code(field.name)} | {value} | {_inline(meaning)} |")
    return "\n".join([*rows, ""])


def _shown(value: Any) -> str:
    """Return a default as one would write it on a command line: (1e9,2e10)."""
    if isinstance(value, tuple):
        return f"({','.join(map(_shown, value))})"
    is_long = isinstance(value, float) and value >= 1e6
    return f"{value:g}".replace("e+0", "e").replace("e+", "e") if is_long else str(value)


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
