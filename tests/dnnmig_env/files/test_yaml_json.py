"""YAML and JSON as people write them: numbers are decimal, words are texts, and what cannot be meant is named."""

from __future__ import annotations

import math

import pytest

from dnnmig_env.files.yaml_json import parse_json, parse_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0020", 20),
        ("-007", -7),
        ("30_000", 30000),
        ("+5", 5),
        ("5.", 5.0),
        (".5e3", 500.0),
        ("1e12", 1e12),
        ("1_0.2_5E-2", 0.1025),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("0x1F", "0x1F"),
        ("0b11", "0b11"),
        ("1__0", "1__0"),
        ("_1", "_1"),
        ("1e", "1e"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'20'", "20"),
    ],
)
def test_plain_words_mean_what_people_mean(text: str, value: object) -> None:
    found = parse_yaml(f"x: {text}")
    assert found == {"x": value} and type(found["x"]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize(
    "text", ["0089", "1e5", "1:30", "yes", "0x1F", "1_0", ".5e3", "2024-01-01", "", "~", "<<", "="]
)
def test_a_text_is_written_so_that_it_stays_a_text(text: str) -> None:
    assert parse_yaml(write_yaml({"a": text, text: 1})) == {"a": text, text: 1}


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_yaml, "a: 1\nb: {c: 1, c: 2}", "line 2: the key 'c' appears twice"),
        (parse_yaml, "&a [*a]", "stand for themselves"),
        (parse_yaml, BOMB, "too many values"),
        (parse_yaml, "[" * 50_000, "nested too deeply"),
        (parse_yaml, 'a: "\\ud800"', "half a character"),
        (parse_yaml, "a: " + "9" * 5000, "5000 digits"),
        (parse_yaml, "a: !!int 0x1F", "'0x1F' is no number in decimal digits"),
        (parse_yaml, "? [a, b]\n: 1", "correct the YAML"),
        (parse_json, '{"a": {"b": 1, "b": 2}}', "the key 'b' appears twice"),
        (parse_json, '{"a": "\\ud800"}', "half a character"),
        (parse_json, "9" * 5000, "5000 digits"),
        (parse_json, "[" * 200_000, "nested too deeply"),
    ],
)
def test_what_cannot_be_meant_is_one_line(parse: object, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)  # type: ignore[operator]
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not isinstance(caught.value, UnicodeError)
