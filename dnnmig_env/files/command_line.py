"""Command lines: their options come from a dataclass, none that was given is dropped, and mistakes end in one line."""

from __future__ import annotations

import os
import signal
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from dnnmig_env.files.atomic_file import remedy
from dnnmig_env.files.signals import SIGNALS, handled, status, stop
from dnnmig_env.files.suggestion import suggestion

Options = TypeVar("Options")


class UnmetError(Exception):
    """A command has done its work, but what it has found is not what is demanded; the message says how."""


def parsed(kind: type[Options], program: str, arguments: Sequence[str], description: str | None = None) -> Options:
    """Return the options of a command line.

    `--help`, an unknown option and a value of the wrong type end the program with a message.

    Args:
        kind: The dataclass whose fields are the options.
        program: How the command is called, for its help.
        arguments: The words behind that.
        description: What the help says at its top; by default the dataclass's docstring.

    Raises:
        ValueError: If an option is given twice or names nothing, see `joined`.
    """
    return tyro.cli(kind, prog=program, args=joined(kind, arguments), description=description)


def joined(kind: type[Any], arguments: Sequence[str], may_be_empty: Collection[str] = ()) -> list[str]:
    """Return the words of a command line in which every option stands once; argparse would keep the last one silently.

    The values of an option that takes several are put together: `--option a=1 --option b=2` becomes
    `--option a=1 b=2`. Words that belong to no option come first, so that no option takes them for its own.

    Args:
        kind: The dataclass whose fields are the options.
        arguments: The words.
        may_be_empty: Options that may be given without a value, which means none of its values.

    Raises:
        ValueError: If an option that takes one value is given twice, a switch is turned on and off, or another option
            that takes several values is given none.
    """
    takes = dict(_options(kind, "--"))
    alone: list[str] = []
    groups: list[list[str]] = []
    first: dict[str, list[str]] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            groups.append([word, *words])
            break
        name, equals, value = word.replace("_", "-").partition("=")
        value = word[len(name) + 1 :]
        option = f"--{name.removeprefix('--no-')}" if takes.get(f"--{name.removeprefix('--no-')}") == "switch" else name
        if option not in takes:
            if word.startswith("-"):
                groups.append([word])
            else:
                alone.append(word)
            continue
        group = [name]
        if equals:
            group.append(value)
        elif takes[option] != "switch":
            most = 1 if takes[option] == "one" else len(words)
            while words and len(group) <= most and not words[0].startswith("--") and words[0] != "-h":
                group.append(words.pop(0))
        if takes[option] == "many" and len(group) == 1 and option not in may_be_empty:
            raise ValueError(f"{option} names nothing; give at least one value, or leave it out.")
        if option not in first:
            first[option] = group
            groups.append(group)
        elif takes[option] == "many":
            first[option] += group[1:]
        elif takes[option] == "one" or first[option] != group:
            raise ValueError(f"{' '.join(first[option])} and {' '.join(group)} are both given; keep one.")
    return [*alone, *(word for group in groups for word in group)]


def unknown_command(name: str, commands: Iterable[str]) -> ValueError:
    """Return the error for a command that does not exist, which names the nearest one and all of them."""
    known = list(commands)
    listed = f"the commands are {', '.join(known)}"
    hint = suggestion(name, known)
    return ValueError(f"there is no command {name!r}; {hint + f' ({listed})' if hint.endswith('?') else listed}.")


def print_table(rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows as a table, in which text is aligned to the left and numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [column[-1].replace(".", "").isdigit() for column in columns]
    for row in zip(*columns, strict=True):
        cells = zip(row, widths, numeric, strict=True)
        print("  ".join(f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width, right in cells).rstrip())


def exit_status(run: Callable[[], object], interrupted: str = "interrupted") -> int:
    """Run a command and return its exit status: 0; 2 after a mistake or a failure, which is one line on stderr.

    It is 1 if the command raises `UnmetError`, whose message is then the line. It is 130 after Ctrl-C, and 128 and the
    signal's number after another signal that ends it.

    Args:
        run: The command.
        interrupted: What to say on stderr after Ctrl-C, unless the exception has notes that say it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a file's name need not be text that the terminal knows
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # Ctrl-C raises by itself; a handler that somebody has set, or a signal that is ignored, is left as it is.
    others = (number for number in SIGNALS if number != signal.SIGINT)
    numbers = [number for number in others if signal.getsignal(number) is signal.SIG_DFL]
    try:
        with handled(stop, numbers):
            run()
            if sys.stdout is not None:  # None where it was closed from the start
                sys.stdout.flush()
    except KeyboardInterrupt as stopped:
        print("\n".join(getattr(stopped, "__notes__", [interrupted])), file=sys.stderr)
        return status(stopped)
    except BrokenPipeError:  # whoever reads the output, such as `head`, has seen enough
        discard_output()
        return 128 + signal.SIGPIPE
    except UnmetError as unmet:
        print(f"not met: {unmet}", file=sys.stderr)
        return 1
    except (ValueError, OSError, MemoryError, RecursionError) as error:
        print(f"error: {_in_one_line(error)}", file=sys.stderr)
        if isinstance(error, OSError):
            with suppress(OSError, ValueError):  # what is left to write, such as to a full disk, would fail again
                discard_output()
        return 2
    return 0


def discard_output() -> None:
    """Let what is still to be printed go nowhere, where nobody takes it or it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _in_one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        file = f"{error.filename}: " if error.filename else "cannot write the output: "
        return f"{file}{error.strerror}; {remedy(error)}, or name another file."
    if isinstance(error, MemoryError):
        return f"not enough memory ({' '.join(str(error).split())}); take fewer or smaller scenarios."
    return " ".join(str(error).split())


def _options(kind: type[Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a dataclass, with whether each takes "one" value, "many", or is a "switch"."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        option = prefix + name.replace("_", "-")
        found = _bare(hint)
        if is_dataclass(found):
            yield from _options(found, f"{option}.")  # type: ignore[arg-type]  # a class, as types are no instances
        elif get_origin(found) in (tuple, list):
            yield option, "many"
        else:
            yield option, "switch" if found is bool else "one"


def _bare(hint: Any) -> Any:
    """Return a type without annotations and without None beside it."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return _bare(parts[0]) if len(parts) == 1 else hint
    return hint
