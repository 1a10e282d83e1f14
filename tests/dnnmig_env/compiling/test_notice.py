"""Compiling that takes long says so once; what is short, or loaded, or another project's, says nothing."""

from types import SimpleNamespace
from typing import Any

import pytest
from numba import njit

from dnnmig_env.compiling import notice
from dnnmig_env.compiling.notice import COMPILING, Notice


def compiling(module: str) -> Any:
    """Return an event as Numba sends it when a function of a module compiles."""
    dispatcher = SimpleNamespace(py_func=SimpleNamespace(__module__=module))
    return SimpleNamespace(data={"dispatcher": dispatcher})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(notice.time, "perf_counter", lambda: now.s)
    return now


def test_many_short_functions_add_up(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told, event = Notice(), compiling("agents.planners.swarms")
    for length_s in (0.9, 1.0):
        told.on_start(event)
        clock.s += length_s
        told.on_end(event)
        clock.s += 100.0  # time between them does not count
    assert capsys.readouterr().err == ""
    for _ in range(3):
        told.on_start(event)
        clock.s += 0.2
        told.on_end(event)
    assert capsys.readouterr().err == COMPILING + "\n"  # once


def test_a_long_function_says_so_while_it_compiles(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told, event = Notice(), compiling("dnnmig_env.envs.stepping")
    told.on_start(event)
    clock.s += 1.5
    told.on_start(event)  # a function on its way: its time is not counted twice
    clock.s += 0.4
    told.on_end(event)
    assert capsys.readouterr().err == ""
    clock.s += 0.2
    told.on_start(event)
    assert capsys.readouterr().err == COMPILING + "\n"


def test_other_projects_compile_without_our_word(clock: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told = Notice()
    for module in ("numba.np.arraymath", "evaluation", "__main__"):
        told.on_start(compiling(module))
        clock.s += 100.0
        told.on_end(compiling(module))
    assert capsys.readouterr().err == ""


def test_numba_tells_of_what_compiles_and_not_of_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(notice.NOTICE, "on_start", lambda event: begun.append(event.data["dispatcher"].__name__))

    def half(x: float) -> float:
        return x / 2

    half.__module__ = "dnnmig_env.half"
    half = njit(half)
    assert half(3.0) == 1.5
    assert half(5.0) == 2.5
    assert begun == ["half"]
