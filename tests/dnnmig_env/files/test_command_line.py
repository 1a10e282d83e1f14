"""Command lines: every option counts, whichever way it is written, and every end of a command has its exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from dnnmig_env.files.command_line import exit_status, joined, parsed, unknown_command


@dataclass(frozen=True)
class Inner:
    """Inner options."""

    width: int = 1
    blind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """Options of every kind."""

    name: tyro.conf.Positional[str] = "x"
    seed: int | None = None
    option: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE ...")] = ()
    files: tuple[Path, ...] | None = None
    over_write: bool = False
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--option a=1 --seed 3 --option b=2", Options(seed=3, option=("a=1", "b=2"))),
        ("--option=a_b=1 --option=b=2 name", Options("name", option=("a_b=1", "b=2"))),
        ("name --option a=1 b=2 --option c=3", Options("name", option=("a=1", "b=2", "c=3"))),
        ("--files a --files b", Options(files=(Path("a"), Path("b")))),
        ("--inner.blind a --inner.blind b c --inner.width 2", Options(inner=Inner(2, ("a", "b", "c")))),
        ("--over_write --over-write", Options(over_write=True)),
        ("--seed -3", Options(seed=-3)),
        ("--seed=4 name", Options("name", 4)),
    ],
)
def test_values_of_an_option_that_is_repeated_are_put_together(words: str, expected: Options) -> None:
    assert parsed(Options, "test", words.split()) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seed 1 --seed 2", "--seed 1 and --seed 2 are both given; keep one."),
        ("--seed=1 --seed 1", "--seed 1 and --seed 1 are both given; keep one."),
        ("--inner.width 1 --inner.width=2", "--inner.width 1 and --inner.width 2 are both given; keep one."),
        ("--over-write --no-over_write", "--over-write and --no-over-write are both given; keep one."),
        ("--option", "--option names nothing; give at least one value, or leave it out."),
        ("--files --seed 1", "--files names nothing; give at least one value, or leave it out."),
        ("--inner.blind -h", "--inner.blind names nothing; give at least one value, or leave it out."),
    ],
)
def test_what_would_be_dropped_is_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parsed(Options, "test", words.split())
    assert str(caught.value) == message


def test_what_is_no_option_is_left_to_the_parser() -> None:
    assert joined(Options, ["--sed", "3", "--", "--seed", "--seed"]) == ["3", "--sed", "--", "--seed", "--seed"]
    for words in (["--sed", "3"], ["a", "b"], ["--seed", "x"]):
        with pytest.raises(SystemExit) as stopped:
            parsed(Options, "test", words)
        assert stopped.value.code == 2


def test_an_unknown_command_names_the_nearest_and_all() -> None:
    assert str(unknown_command("stdy", ["study", "speed"])) == (
        "there is no command 'stdy'; did you mean 'study'? (the commands are study, speed)."
    )
    assert str(unknown_command("x", ["study", "speed"])) == ("there is no command 'x'; the commands are study, speed.")


def raising(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("one\n  two"), 2, "error: one two\n"),
        (OSError(28, "No space left on device"), 2, "error: cannot write the output: No space left on device; free"),
        (PermissionError(13, "Permission denied", "a.txt"), 2, "error: a.txt: Permission denied; "),
        (MemoryError("of 8 GiB"), 2, "error: not enough memory (of 8 GiB); take fewer"),
        (KeyboardInterrupt(), 130, "nothing was written\n"),
        (RecursionError("too deep"), 2, "error: too deep\n"),
    ],
)
def test_every_failure_is_one_line(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert exit_status(lambda: raising(error), "nothing was written") == status
    words = capsys.readouterr().err
    assert words.startswith(said) and words.count("\n") == 1


def test_a_note_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("two are kept")
    assert exit_status(lambda: raising(stop)) == 130
    assert capsys.readouterr().err == "two are kept\n"


def test_a_signal_ends_a_command_as_ctrl_c_does_and_handlers_are_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert exit_status(lambda: signal.raise_signal(signal.SIGTERM)) == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) == before
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert exit_status(lambda: signal.raise_signal(signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_output_that_nobody_takes_is_no_traceback() -> None:
    program = (
        "import sys; from dnnmig_env.files.command_line import exit_status; "
        "sys.exit(exit_status(lambda: print('x' * 200_000 + '\\udcff')))"
    )
    with open("/dev/full", "w") as full:
        found = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1) and "No space left" in found.stderr
    piped = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" | head -c 5; exit ${PIPESTATUS[0]}', sys.executable, program],
        capture_output=True,
        text=True,
    )
    assert (piped.returncode, piped.stdout, piped.stderr) == (128 + signal.SIGPIPE, "xxxxx", "")
