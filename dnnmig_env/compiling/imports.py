"""Finds the files of this project that a module imports when it is loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from os.path import isfile
from pathlib import Path
from typing import NamedTuple

THIS_MODULE = Path(__file__).resolve()
SOURCES = THIS_MODULE.parents[2]
"""The folder in which this project's packages lie."""

_PACKAGES = ("dnnmig_env", "agents", "train", "evaluate")


class Import(NamedTuple):
    """`from module import names`, with `level` leading dots; `import a.b` is `import a` and `from a import b`."""

    module: str
    level: int
    names: tuple[str, ...]


def imports_in(content: bytes) -> tuple[Import, ...]:
    """Return what a module imports when it is loaded.

    Imports inside functions do not count: they happen too late for the imported code to be compiled into the module's
    functions.

    Args:
        content: The module's source.
    """
    found = []
    for node in _loaded(ast.parse(content)):
        if isinstance(node, ast.ImportFrom):
            found.append(Import(node.module or "", node.level, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                found += [Import(".".join(parts[:k]), 0, (part,)) for k, part in enumerate(parts)]
    return tuple(found)


def imported_files(source: Path, imports: tuple[Import, ...]) -> tuple[Path, ...]:
    """Return the files of this project that a module imports.

    `from package import name` imports the package's `__init__.py`, and `name.py` if there is one.

    Args:
        source: The module's file.
        imports: What it imports.
    """
    files: list[Path] = []
    for module, level, names in imports:
        base = _absolute(module, level, source)
        for parts in (base, *([*base, name] for name in names)):
            files += _files(parts)
    return tuple(files)


def _loaded(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements that run when a module is loaded: all but those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _loaded(node)


def _absolute(module: str, level: int, source: Path) -> list[str]:
    """Return the parts of the full name of a module that the file `source` imports with `level` leading dots."""
    parts = module.split(".") if module else []
    if level == 0:
        return parts
    package = source.resolve().parents[level - 1]
    return [*package.relative_to(SOURCES).parts, *parts] if package.is_relative_to(SOURCES) else parts


def _files(parts: list[str]) -> Iterator[Path]:
    """Yield the file of a module, given the parts of its name, if this project has such a module."""
    if parts and parts[0] in _PACKAGES:
        base = "/".join([str(SOURCES), *parts])
        for path in (f"{base}.py", f"{base}/__init__.py"):
            if isfile(path):  # most names are those of functions, and Path.is_file takes five times as long
                yield Path(path)
