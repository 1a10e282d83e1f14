"""Signals that ask a program to end: Ctrl-C, SIGTERM (Slurm, containers, `timeout`) and SIGHUP (a closed terminal)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

AGAIN_S = 0.05
"""Seconds after which a signal that got lost is sent again: by then the function that lost it has returned."""


class Stopped(KeyboardInterrupt):
    """Raised where the process is asked to end by a signal, whose number is its argument."""


def status(stopped: KeyboardInterrupt) -> int:
    """Return the customary exit status: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (int(stopped.args[0]) if isinstance(stopped, Stopped) else signal.SIGINT)


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], numbers: Iterable[signal.Signals] = SIGNALS
) -> Iterator[None]:
    """Let a function handle the signals; SIGHUP only where it is not ignored, as it is under `nohup`.

    Only the main thread can set handlers; in others this does nothing.

    Args:
        handler: The function.
        numbers: The signals.
    """
    before: dict[signal.Signals, Any] = {}
    hook = sys.unraisablehook
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, previous in before.items():
            if number.name != "SIGHUP" or previous is not signal.SIG_IGN:
                signal.signal(number, handler)
        if before:
            sys.unraisablehook = _send_again(hook)
        yield
    finally:
        if before:
            sys.unraisablehook = hook
        for number, previous in before.items():
            if previous is not None:  # None: it was set by a program that is not Python
                signal.signal(number, previous)


def _send_again(hook: Callable[[sys.UnraisableHookArgs], Any]) -> Callable[[sys.UnraisableHookArgs], Any]:
    """Return a `sys.unraisablehook` that sends a signal again whose exception came up where Python drops exceptions.

    It drops those of functions that C code calls, for instance LLVM when it is handed compiled code.
    """

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            threading.Timer(AGAIN_S, os.kill, (os.getpid(), unraisable.exc_value.args[0])).start()
        else:
            hook(unraisable)

    return send_again


def stop(number: int, frame: FrameType | None = None) -> None:
    """Handle a signal by raising `Stopped`."""
    raise Stopped(number)
