"""Objects by `package.module:attribute`, and by the names that distributions register; each error says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnnmig_env.files.own_code import arguments_of, imported, is_reference, registered, source_of, wrong_kind
from tests.own_package import register, write_module


@pytest.mark.parametrize("text", ["a:b", "package.module:Outer.Inner", "_a:b_1"])
def test_what_is_a_reference(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize(
    "text", ["a", "a:", ":b", "a:b:c", "a/b:c", "a-b:c", "a:b=c", "1a:b", "a..b:c", "a:b@c", "a:b\n"]
)
def test_what_is_none(text: str) -> None:
    assert not is_reference(text)
    with pytest.raises(ValueError, match=r"names nothing; write package\.module:attribute"):
        imported(text)


def test_an_attribute_is_found_in_a_module_of_a_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = write_module(monkeypatch, tmp_path, "class Outer:\n    inner = 7\n", place="package.module")
    assert imported(f"{name}:Outer.inner") == 7
    assert source_of(f"{name}:Outer.inner") == b"class Outer:\n    inner = 7\n"


def test_a_module_is_found_in_the_current_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own_in_this_folder.py").write_text("number = 5\n")
    monkeypatch.chdir(tmp_path)
    assert imported("own_in_this_folder:number") == 5


@pytest.mark.parametrize(
    ("text", "attribute", "message"),
    [
        ("number = 1", "nubmer", "has no 'nubmer'; did you mean 'number'?"),
        ("number = 1", "x", "has no 'x'; correct the name behind the colon."),
        ("raise SystemExit(3)", "x", "cannot be imported (SystemExit: 3); mend it."),
        ("1 / 0", "x", "cannot be imported (ZeroDivisionError: division by zero); mend it."),
        (
            "import not_there_at_all",
            "x",
            "cannot be imported (ModuleNotFoundError: No module named 'not_there_at_all')",
        ),
    ],
)
def test_what_is_wrong_is_said(
    text: str, attribute: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"{write_module(monkeypatch, tmp_path, text)}:{attribute}"
    with pytest.raises(ValueError) as error:
        imported(name)
    assert message in str(error.value)
    assert repr(name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["own_nowhere:x", "own_nowhere.module:x", "json.own_nowhere:x"])
def test_a_module_that_is_missing_is_told_from_one_that_fails(name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no module '.*own_nowhere'; run from the folder in which it lies"):
        imported(name)


def test_names_are_registered_by_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "dnnmig.own_group", one="json:dumps", two="json.decoder:JSONDecoder.decode")
    assert registered("dnnmig.own_group") == {"one": "json:dumps", "two": "json.decoder:JSONDecoder.decode"}
    assert registered("dnnmig.another_group") == {}


def test_two_distributions_may_not_mean_different_things(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "dnnmig.own_group", one="json:dumps")
    register(monkeypatch, "dnnmig.own_group", one="json:dumps")
    assert registered("dnnmig.own_group") == {"one": "json:dumps"}
    register(monkeypatch, "dnnmig.own_group", one="json:loads")
    with pytest.raises(ValueError, match="two distributions register 'one'"):
        registered("dnnmig.own_group")


def test_an_object_of_the_wrong_kind_is_named() -> None:
    assert str(wrong_kind("a:b", 3, "a planner")) == (
        "'a:b' is an object of class int, which does not serve here; give a planner."
    )
    assert "'a:b' is a class, which" in str(wrong_kind("a:b", int, "a planner"))


def test_arguments_are_those_that_are_handed_on() -> None:
    class Base:
        def __init__(self, a: int, b: int = 2) -> None: ...

    class Handing(Base):
        def __init__(self, *args: int, c: int = 3, **kwargs: int) -> None: ...

    class Closed(Handing):
        def __init__(self, d: int = 4) -> None: ...

    class Inherits(Handing):
        pass

    assert [one.name for one in arguments_of(Handing)] == ["self", "c", "self", "a", "b"]
    assert [one.name for one in arguments_of(Inherits)] == ["self", "c", "self", "a", "b"]
    assert [one.name for one in arguments_of(Closed)] == ["self", "d"]
