"""The house: what names a module in a string names one that exists, folders are small, and names are words."""

import ast
import importlib
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("dnnmig_env", "agents", "train", "evaluate")
SOURCES = sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))

DOTTED = re.compile(rf"(?<![\w./])((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?::(\w+))?(?![\w/])")
FILE = re.compile(rf"(?<![\w./])((?:{'|'.join(PACKAGES)}|examples|docs|tests)/[\w./-]+\.\w+)")

MOST_MODULES, MOST_LINES = 15, 300


def names(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def strings(path: Path) -> list[tuple[int, str]]:
    """All constants that are text, docstrings included."""
    nodes = ast.walk(names(path))
    return [
        (node.lineno, node.value) for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def resolves(dotted: str) -> bool:
    """Whether a dotted name is a module, or what is reached from one by attributes."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_module_or_file_named_in_a_text_exists(path: Path) -> None:
    for line, text in strings(path):
        for dotted, attribute in DOTTED.findall(text):
            name = f"{dotted}.{attribute}" if attribute else dotted
            assert resolves(name), f"{path}:{line} names {name}"
        for file in FILE.findall(text):
            assert (PROJECT / file).exists() or "*" in file, f"{path}:{line} names {file}"


def test_module_and_name_in_a_pair_exist() -> None:
    # ("package.module", "Name"): how algorithms name classes that are imported when they are asked for.
    pairs = 0
    for path in SOURCES:
        for node in ast.walk(names(path)):
            if isinstance(node, ast.Tuple) and len(node.elts) >= 2:
                texts = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
                for module, name in pairwise(texts):
                    if isinstance(module, str) and isinstance(name, str) and DOTTED.fullmatch(module):
                        pairs += 1
                        assert hasattr(importlib.import_module(module), name), f"{path}: {module}, {name}"
    assert pairs > 5


def test_folders_are_small() -> None:
    folders = Counter(path.parent for path in SOURCES if path.name not in ("__init__.py", "__main__.py"))
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}


def test_files_hold_one_idea() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.parent.relative_to(PROJECT) for path in SOURCES}
    for path in (PROJECT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(PROJECT / "tests")
        assert folder in rooms or folder == Path("."), f"{path} lies in no room of the house"
