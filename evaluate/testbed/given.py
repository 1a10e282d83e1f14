"""Reads the scenario of a run, and measures its layers on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.networks.layer_graph import LayerGraph
from dnnmig_env.networks.measured_profile import Profile
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.testbed.machine_check import check_machine, check_scenario

FASTEST = 0.9
"""Share of the processor time that a network takes here which a node may be given at least for all of its layers."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Layers that were measured on this machine.

    Attributes:
        graph: The network.
        profile: Its seconds per layer.
    """

    graph: LayerGraph
    profile: Profile

    @property
    def wall_s(self) -> Floats:
        """Seconds of each layer by the wall clock, shape (L,)."""
        return np.array([layer.wall_s for layer in self.profile.layers], dtype=np.float64)


class Measurements:
    """Measures networks on this machine, each once.

    Args:
        command: The command that repeats a measurement, for profiles.

    Attributes:
        found: What was measured, in order.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self.found: list[Measured] = []

    def layer_s(self, graph: LayerGraph) -> Floats:
        """Return the seconds of each layer of a network by the wall clock, shape (L,)."""
        return self.of(graph).wall_s

    def of(self, graph: LayerGraph) -> Measured:
        """Measure a network, unless that has been done."""
        from dnnmig_env.networks.execution.build import build_runner
        from dnnmig_env.networks.execution.timing import time_layers

        for measured in self.found:
            if measured.graph == graph:
                return measured
        self.found.append(Measured(graph, time_layers(build_runner(graph), self._command)))
        return self.found[-1]


def read_given(path: Path, measurements: Measurements) -> Scenario:
    """Read a scenario file and measure its networks.

    Raises:
        ValueError: If the file is not valid, a testbed cannot play it, or this machine is too slow or too small for it.
    """
    scenario = load_scenario(path, measurements.layer_s)
    check_scenario(scenario)
    check_machine(scenario)
    _check_speeds(scenario, measurements)
    return scenario


def _check_speeds(scenario: Scenario, measurements: Measurements) -> None:
    for user, execution_s in zip(scenario.users, scenario.execution_s, strict=True):
        here_s = measurements.of(user.graph).profile.layers_s
        for name, seconds in zip(("its device", *_servers(scenario)), execution_s.sum(axis=0), strict=True):
            if seconds < FASTEST * here_s:
                raise ValueError(
                    f"user {user.name!r}: {name} is to run {user.graph.name!r} in {seconds * 1e3:.3g} ms, but this "
                    f"machine takes {here_s * 1e3:.3g} ms; a testbed can only slow nodes down, so give it "
                    f"`profile: {{profile: this-machine, scale: 1}}` or a greater scale."
                )


def _servers(scenario: Scenario) -> list[str]:
    return [f"server {server.name!r}" for server in scenario.servers]
