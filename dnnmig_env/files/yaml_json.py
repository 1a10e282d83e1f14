"""Parses and writes YAML and JSON, more strictly than their libraries.

No key may appear twice. Plain words of a YAML text are read as YAML 1.2 means them: a number is written in decimal
digits (0020 is 20, 1e12 is a number), only true and false are truth values, and all else is text, such as no, 1:30,
0x1F and 2024-01-01. (PyYAML follows YAML 1.1, in which these are false, 90, 31 and a date.) As in YAML 1.1 and Python,
underscores may stand between digits: 30_000.
"""

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
        return _whole_characters(text, _document(_Loader(text)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        what = ", ".join(words for words in (error.context, error.problem) if words)
        raise ValueError(f"{line}{what}; correct the YAML syntax.") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{' '.join(str(error).split())}; correct the YAML syntax.") from None
    except RecursionError:
        raise ValueError("it is nested too deeply; no file of this project needs that.") from None


def parse_json(text: str) -> object:
    """Return the content of a JSON text.

    Raises:
        ValueError: If the text is not JSON or has a key twice; the error names the line of a syntax error.
    """
    try:
        return _whole_characters(text, json.loads(text, object_pairs_hook=_object, parse_int=_whole))
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}; correct the JSON syntax.") from None
    except RecursionError:
        raise ValueError("it is nested too deeply; no file of this project needs that.") from None


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


_DIGITS = r"[0-9](?:_?[0-9])*"
_WHOLE = re.compile(rf"[-+]?{_DIGITS}$")
_DECIMAL = re.compile(
    rf"[-+]?(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)

_MOST_NODES = 10_000_000
"""Most values of a YAML text after its aliases are replaced by what they stand for."""


class _Loader(yaml.SafeLoader):
    """Reads plain words as YAML 1.2 means them."""

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        text = self.construct_scalar(node)
        if _WHOLE.match(text):
            return _whole(text)
        if not _DECIMAL.match(text):
            raise ValueError(f"{text!r} is no number in decimal digits")
        return float(text.replace(".", "", 1) if text[-1].isalpha() else text)


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
_Loader.yaml_implicit_resolvers = {}  # those of YAML 1.1 are not inherited
_PLAIN_WORDS = {
    "bool": (re.compile(r"(true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    "null": (re.compile(r"(~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "merge": (re.compile(r"<<$"), "<"),
    "int": (_WHOLE, "-+0123456789"),
    "float": (_DECIMAL, "-+.0123456789"),
}
for _kind, (_pattern, _first) in _PLAIN_WORDS.items():
    # The dumper has to know them as well, so that it puts quotes around a text that looks like a number. It also knows
    # those of YAML 1.1, for other readers.
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", _pattern, list(_first))
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def _whole_characters(text: str, data: object) -> object:
    """Return the data of a text; raise an error if a text in it has half a character, which nothing can print."""
    if "\\ud" in text.lower() or "\\U" in text:
        try:
            json.dumps(data, ensure_ascii=False, default=str, skipkeys=True).encode()
        except UnicodeEncodeError:
            raise ValueError("a text has half a character (such as \\ud800 alone); correct that text.") from None
    return data


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"a number has {len(text)} digits; write it like 1e12.") from None


def _document(loader: _Loader) -> object:
    node = loader.get_single_node()
    if node is None:
        raise ValueError("it is empty; see examples/ for scenarios.")
    _check_keys(node)
    _check_size(node)
    try:
        return loader.construct_document(node)
    except (ValueError, TypeError) as error:  # such as !!int "fast", or !!timestamp 2024-99-99
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


def _check_size(root: yaml.Node) -> None:
    """Raise an error if aliases stand for more values than any file has, or for themselves."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = _MOST_NODES + 1  # what an alias of a node within itself counts as
            parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if size(root) > _MOST_NODES:
        raise ValueError("its aliases (*name) stand for themselves or for too many values; write the values out.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} appears twice; keep one.")
    return result
