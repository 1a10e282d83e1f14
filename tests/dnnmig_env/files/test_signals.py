"""A signal that asks a program to end is not lost where Python drops exceptions."""

from __future__ import annotations

import ctypes
import signal
import sys
import time

import pytest

from dnnmig_env.files.signals import Stopped, handled, status, stop


def test_a_signal_in_a_function_that_c_calls_comes_again() -> None:
    called = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGTERM))
    before = sys.unraisablehook
    with pytest.raises(Stopped) as stopped, handled(stop):
        called()
        time.sleep(10.0)
    assert status(stopped.value) == 143
    assert sys.unraisablehook is before


def test_other_exceptions_there_are_reported_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[object]()
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_value))
    failing = ctypes.CFUNCTYPE(None)(lambda: [][0])
    with handled(stop):
        failing()
    assert [type(error) for error in seen] == [IndexError]
