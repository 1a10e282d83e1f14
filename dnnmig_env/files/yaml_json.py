"""Parses and writes YAML and JSON, more strictly than their libraries: no key may appear twice, 1e12 is a number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml


def parse_yaml(text: str) -> object:
    """Return the one document of a YAML text.

    Raises:
        ValueError: If the text is empty, is not YAML, or has a key twice; the error names the line where there is one.
    """
    try:
        return _document(_Loader(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        what = ", ".join(words for words in (error.context, error.problem) if words)
        raise ValueError(f"{line}{what}; correct the YAML syntax.") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(str(error).split())}; correct the YAML syntax.") from None
    except RecursionError:
        raise ValueError("it is nested too deeply; see examples/ for scenarios.") from None


def parse_json(text: str) -> object:
    """Return the content of a JSON text.

    Raises:
        ValueError: If the text is not JSON or has a key twice; the error names the line of a syntax error.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}; correct the JSON syntax.") from None
    except RecursionError:
        raise ValueError("it is nested too deeply; see examples/ for scenarios.") from None


def write_yaml(data: object) -> str:
    """Return data as YAML, keys in their given order; a mapping of numbers, texts and flat lists takes one line."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31)
    return text


def write_json(data: object) -> str:
    """Return data as indented JSON."""
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, tuple[Callable[[str], object], Callable[[object], str]]] = {
    ".yaml": (parse_yaml, write_yaml),
    ".yml": (parse_yaml, write_yaml),
    ".json": (parse_json, write_json),
}
"""For each suffix of a file name, the function that parses the file's text and the one that writes it."""


class _Loader(yaml.SafeLoader):
    """Reads 1e12 as a number, as YAML 1.2 does."""


class _Dumper(yaml.SafeDumper):
    """Writes a mapping of numbers, texts and flat lists on one line, and everything else as a block."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        # Only in double quotes does PyYAML escape the line breaks of Unicode, which a reader would fold.
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if data.isprintable() else '"')

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, mapping, flow_style)
        node.flow_style = all(_is_flat(value) for _, value in node.value)
        return node

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, sequence, flow_style)
        node.flow_style = _is_flat(node)
        return node


def _is_flat(node: yaml.Node) -> bool:
    if isinstance(node, yaml.SequenceNode):
        return all(isinstance(item, yaml.ScalarNode) for item in node.value)
    return isinstance(node, yaml.ScalarNode)


_Dumper.add_representer(str, _Dumper.represent_str)
for _class in (_Loader, _Dumper):
    # PyYAML follows YAML 1.1, where an exponent must have a sign; from here on 1e12 is a number too. The dumper has to
    # know this as well, so that it puts quotes around a text that looks like such a number.
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def _document(loader: _Loader) -> object:
    node = loader.get_single_node()
    if node is None:
        raise ValueError("it is empty; see examples/ for scenarios.")
    _check_keys(node)
    try:
        return loader.construct_document(node)
    except ValueError as error:  # such as 2024-99-99, which looks like a date
        raise ValueError(f"it has a value that cannot be read: {error}; put texts in quotes.") from None


def _check_keys(root: yaml.Node) -> None:
    """Raise an error if a mapping has a key twice; PyYAML itself would silently keep the last value."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
            continue
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            pending.append(value)
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    line = key.start_mark.line + 1
                    raise ValueError(f"line {line}: the key {key.value!r} appears twice; keep one.")
                keys.add((key.tag, key.value))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} appears twice; keep one.")
    return result
