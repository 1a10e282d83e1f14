"""NAME=VALUE pairs: numbers, ranges, texts and lists of texts, in either way of writing them."""

import pytest

from dnnmig_env.files.named_values import named_values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        ("1e9", 1e9),
        ("2,4", (2, 4)),
        ("(5, 20.0)", (5, 20.0)),
        ("False", False),
        ("test", "test"),
        ("resnet50,vgg16", ("resnet50", "vgg16")),
        ("resnet50, vgg16", ("resnet50", "vgg16")),
        ("walk one.csv", "walk one.csv"),
        ("a=b", "a=b"),
        ("((((", "(((("),
    ],
)
def test_a_value_is_a_literal_or_text(text: str, value: object) -> None:
    found = named_values("--option", [f"access-mbps={text}"])
    assert found == {"access_mbps": value}
    assert type(found["access_mbps"]) is type(value)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["fast"], "--option has 'fast'; write NAME=VALUE"),
        (["=4"], "--option has '=4'; write NAME=VALUE"),
        (["num_users="], "--option has 'num_users='; write NAME=VALUE"),
        (["num-users=4", "num_users=5"], "--option has 'num_users' twice; give every name once"),
    ],
)
def test_what_is_no_pair_or_stands_there_twice_is_named(pairs: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named_values("--option", pairs)
