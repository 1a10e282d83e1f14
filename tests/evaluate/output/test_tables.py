"""Tables: names to the left, numbers to the right, and nothing in a cell is taken for markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from evaluate.output.tables import markdown_table, print_table, terminal_table

HEADINGS, ROWS = ("policy", "delay [s]"), (("runs/[bold]best", "1.250"), ("b", "10.500"))


def printed(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal_table("title", HEADINGS, ROWS))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_a_markdown_table_is_written_out() -> None:
    assert markdown_table(HEADINGS, ROWS) == (
        "| policy | delay [s] |\n| --- | ---: |\n| runs/[bold]best | 1.250 |\n| b | 10.500 |\n"
    )


def test_names_stand_to_the_left_and_numbers_to_the_right() -> None:
    first, second = printed(80)[-2:]
    assert first.startswith("runs/[bold]best ")
    assert second.startswith("b ")
    assert first.rstrip().endswith(" 1.250")
    assert len(first.rstrip()) == len(second.rstrip())


def test_in_a_narrow_terminal_only_names_are_broken() -> None:
    text = "\n".join(printed(18))
    assert "10.500" in text
    assert "delay [s]" in text
    assert "runs/[bold]best" not in text


def test_in_a_pipe_names_are_whole_and_in_a_terminal_they_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "joint-efficiency@clairvoyant/" * 6
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table("a title", HEADINGS, [(name, "1.250")])
    assert name in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "40")
    print_table("a title", HEADINGS, [(name, "1.250")])
    printed = capsys.readouterr().out
    assert name not in printed
    assert max(map(len, printed.splitlines())) <= 40
