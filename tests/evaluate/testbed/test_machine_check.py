from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.scenarios.file import load_scenario
from evaluate.testbed import machine_check
from evaluate.testbed.machine_check import busy_warning, check_machine

SCENARIO = load_scenario(
    Path(__file__).resolve().parents[3] / "examples" / "testbed_small.yaml", lambda graph: np.full(len(graph), 0.001)
)


def machine_with(cores: int, monkeypatch: pytest.MonkeyPatch, load: float = 0.0) -> None:
    monkeypatch.setattr(machine_check, "machine", lambda: {"cores": cores})
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))


def test_a_core_takes_four_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(1, monkeypatch)
    check_machine(SCENARIO)
    users = tuple(replace(SCENARIO.users[0], name=str(number)) for number in range(4))
    crowded = replace(SCENARIO, users=users, links=replace(SCENARIO.links, **one_link()))
    with pytest.raises(ValueError, match=r"has 5 devices and servers, .* with 1 cores takes 4 at most: leave some out"):
        check_machine(crowded)
    machine_with(2, monkeypatch)
    check_machine(crowded)


def one_link() -> dict[str, float]:
    return {"up_bytes_per_s": 1e6, "down_bytes_per_s": 1e6, "up_latency_s": 0.0, "down_latency_s": 0.0}


def test_memory_must_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(2, monkeypatch)
    # Two processes of 0.4 GB, and in each three times 9.27 MB of weights: 0.856 GB.
    monkeypatch.setattr(machine_check, "_available_bytes", lambda: 0.855e9)
    with pytest.raises(ValueError, match=r"needs about 0.9 GB of memory for 2 processes, and 0.9 GB are free"):
        check_machine(SCENARIO)
    monkeypatch.setattr(machine_check, "_available_bytes", lambda: 0.857e9)
    check_machine(SCENARIO)


@pytest.mark.parametrize(
    ("cores", "load", "warns"), [(2, 0.4, False), (2, 0.6, True), (8, 6.4, False), (8, 6.6, True), (1, 0.4, False)]
)
def test_a_busy_machine_is_warned_of(cores: int, load: float, warns: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(cores, monkeypatch, load)
    warning = busy_warning()
    assert (warning is not None) == warns
    if warning:
        assert f"the load average is {load:.1f} on {cores} cores" in warning
