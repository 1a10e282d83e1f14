"""Says what a testbed needs of the machine that it runs on, and refuses or warns before a run."""

from __future__ import annotations

import os
from pathlib import Path

from dnnmig_env.files.provenance import machine
from dnnmig_env.scenarios.scenario import Scenario

PROCESSES_PER_CORE = 4
"""Most processes of a run per core; most of them wait most of the time."""

IDLE_CORES = 2
"""Cores that a run keeps busy: one runs a layer while another sends weights."""

_PROCESS_BYTES = 400e6
"""Memory of a process with torch, without a network."""

_COPIES = 3
"""How often a process holds a network's weights at most, while it is built."""


def check_scenario(scenario: Scenario) -> None:
    """Check that a testbed can play a scenario.

    Raises:
        ValueError: If it has what a testbed cannot do, in one line.
    """
    if scenario.uplink != "priority":
        raise ValueError(
            f"uplink is {scenario.uplink!r}; in a testbed weights give way to query data, write `uplink: priority`."
        )
    if scenario.mobility is not None:
        raise ValueError("mobility is given, but in a testbed all users share one cell; leave it out.")


def check_machine(scenario: Scenario) -> None:
    """Check that this machine can take as many processes as a scenario has devices and servers.

    Raises:
        ValueError: If it cannot, in one line.
    """
    processes, cores = len(scenario.users) + len(scenario.servers), int(machine()["cores"])
    if processes > PROCESSES_PER_CORE * cores:
        raise ValueError(
            f"the scenario has {processes} devices and servers, a process each; this machine with {cores} cores takes "
            f"{PROCESSES_PER_CORE * cores} at most: leave some out."
        )
    weights = [float(user.graph.weight_bytes.sum()) for user in scenario.users]
    needed = processes * _PROCESS_BYTES + _COPIES * (sum(weights) + len(scenario.servers) * sum(weights))
    available = _available_bytes()
    if needed > available:
        raise ValueError(
            f"the scenario needs about {needed / 1e9:.1f} GB of memory for {processes} processes, and "
            f"{available / 1e9:.1f} GB are free; leave some users or servers out, or take smaller networks."
        )


def busy_warning() -> str | None:
    """Return a warning if other programs leave too few idle cores; None if all is well."""
    cores = int(machine()["cores"])
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if cores - load >= min(IDLE_CORES, cores) - 0.5:
        return None
    return (
        f"warning: the load average is {load:.1f} on {cores} cores, and a run needs {min(IDLE_CORES, cores)} idle; "
        "what is measured now says as much about other programs as about the model."
    )


def _available_bytes() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(kilobytes[0]) if kilobytes else float("inf")
