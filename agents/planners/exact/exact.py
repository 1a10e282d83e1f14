"""Exact: the best plan there is, with a proof, for small scenarios; the oracle for every test of quality.

The proof is about scenarios in which nothing changes. Where links change, or users come and go, a plan that is made in
the first slot from what is known then may be far from the best: it uploads nothing for users who arrive later. Such
scenarios are refused, unless the name says what is meant: `exact@replan` plans anew at every decision (no proof of the
whole), `exact@clairvoyant` knows all slots (the best plan of all), and `exact:first_slot=true` plans once, as if the
first slot lasted until the horizon.

Branch and bound over the environment's decisions (upload this layer of this user to that server next, or stop). The
plan of joint efficiency is the first upper bound on the cost; lower bounds come from the relaxed problem of
`agents.planners.exact.bound`. `agents.planners.exact.search` says which decisions are not pursued, and why that is
safe. No sequence of decisions has a J that is smaller than the returned plan's by more than the tolerance. For one user
whose rates do not change, no plan with larger partitions has either, as finer partitions never hurt. (A plan may also
begin an upload on a link that is down; the environment does not let it, and it is not searched.)

The bound costs O(N S (S + 1)^N) for N layers to upload, all users together, and S servers. For one user and little
contention it is so close that hardly more than the best plan is searched: 10 layers and 2 servers take less than a
second, 13 layers some seconds. More states are searched where servers are loaded, and in many time slots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.planners.exact.bound import Bound, Vectors, bound_of, vectors_of
from agents.planners.exact.search import Nodes, grow, root
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.slot_zero import first_change_s, movable_layers, slot_zero_packed
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.dynamics import begin
from dnnmig_env.simulation.packed import PackedScenarios, pack
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.state import new_state

MAX_VECTORS = 5_000_000
"""Most node vectors, (S + 1)^N, that are searched: 22, 14 or 11 layers on 1, 2 or 3 servers."""

ROOMS = (2**12, 2**16, 2**20)
"""Numbers of states for which room is made, one after another; the last is the most that a search keeps."""


@dataclass(frozen=True)
class Exact:
    """Plans so that no plan is better, or refuses a scenario that is too large for that.

    Attributes:
        clairvoyant: Plan with all time slots known, not the first alone: also for users who arrive later, and waiting
            for better slots where that pays. The result is no policy but a bound for all policies; `simulate` plays it.
        tolerance: Share by which the J of another plan may be smaller at most.
        first_slot: Accept scenarios in which something changes later, and plan as if nothing did.

    Raises:
        ValueError: If the tolerance is negative.
    """

    clairvoyant: bool = False
    tolerance: float = 1e-10
    first_slot: bool = False

    def __post_init__(self) -> None:
        if not self.tolerance >= 0.0:
            raise ValueError(f"tolerance is {self.tolerance}; it must be 0 or more.")

    def check_whole(self, scenario: Scenario) -> None:
        """Check that a scenario is small enough, and that a plan for its first slot is one for all of it.

        Raises:
            ValueError: If it is too large, or something changes later, unless all slots are known or only the first is
                asked for.
        """
        change_s = None if self.clairvoyant or self.first_slot else first_change_s(scenario)
        if change_s is not None:
            raise ValueError(
                f"exact proves that its plan is the best where nothing changes, but here links or users change after "
                f"{change_s:g} s; write exact@replan to plan anew at every decision, exact@clairvoyant to know all "
                "slots, or exact:first_slot=true to plan once as if nothing changed."
            )
        _check_size(int(np.count_nonzero(self._movable(scenario))), len(scenario.servers))

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the plan, every layer a partition of its own.

        Args:
            scenario: The scenario.
            rng: Not used.

        Raises:
            ValueError: If the scenario is too large, or something changes in it (`check_whole`), or its search takes
                too much memory.
        """
        self.check_whole(scenario)
        packed, movable = pack([scenario]) if self.clairvoyant else slot_zero_packed(scenario), self._movable(scenario)
        vectors, known = vectors_of(movable, len(scenario.servers)), joint_efficiency(scenario, rng).singletons()
        bound, known_s = bound_of(packed, vectors), float(mean_delays_s(packed, plan_arrays([known]))[0])
        for room in ROOMS:
            nodes = _search(packed, vectors, bound, known_s, self.tolerance, room)
            if nodes.filled[0] <= room:
                found = known if nodes.best[0] < 0 else _plan_to(int(nodes.best[0]), vectors, nodes)
                # Several lanes carry out what the search has taken one after another side by side.
                found_s = float(mean_delays_s(packed, plan_arrays([found]))[0])
                return known if known_s < found_s else found
        raise ValueError(
            f"exact keeps more than {ROOMS[-1]} states for {len(vectors.user)} layers to upload to "
            f"{len(scenario.servers)} servers in {packed.num_slots[0]} time slots; {_REMEDIES}, or accept a tolerance "
            f"greater than {self.tolerance}, as in exact:tolerance=0.01."
        )

    def _movable(self, scenario: Scenario) -> Bools:
        """Return which layers a plan may upload, shape (U, L)."""
        return _ever_movable(pack([scenario])) if self.clairvoyant else movable_layers(scenario)


_REMEDIES = "merge layers (a smaller max_layers), take fewer users or servers, use local-search"


def _check_size(layers: int, servers: int) -> None:
    if (servers + 1) ** layers > MAX_VECTORS:
        most = next(count for count in range(layers) if (servers + 1) ** (count + 1) > MAX_VECTORS)
        raise ValueError(
            f"exact is for small scenarios: this one has {layers} layers to upload to {servers} servers, "
            f"at most {most} are possible with so many; {_REMEDIES}."
        )


def _search(
    packed: PackedScenarios, vectors: Vectors, bound: Bound, known_s: float, tolerance: float, room: int
) -> Nodes:
    """Search for a smaller J than a known one and return the nodes.

    The search ends early when there is no room for more nodes; `filled` then exceeds `room`.
    """
    state = new_state(packed, room + 2)
    begin(packed, 0, state, 0)
    nodes = root(room, vectors, known_s * float(state.expected_queries[0]), tolerance)
    first, last = 0, 1
    while first < last <= room:
        grow(packed, 0, vectors, bound, state, nodes, first, last)
        first, last = last, int(nodes.filled[0])
    return nodes


def _ever_movable(packed: PackedScenarios) -> Bools:
    """Return which layers a plan may upload at some time, shape (U, L)."""
    comes = packed.query_rate_hz[0].max(axis=0) > 0.0
    return np.asarray((packed.weight_bytes[0] > 0.0) & (packed.uploaded[0] == 0) & comes[:, None])


def _plan_to(node: int, vectors: Vectors, nodes: Nodes) -> Plan:
    """Return the plan of the decisions that lead to a node."""
    uploads = []
    while nodes.parent[node] >= 0:
        layer = nodes.layer[node]
        server = nodes.vector[node] // vectors.power[layer] % vectors.power[1]
        waits_until_s = float(nodes.waits_until_s[node])
        uploads.append(Upload(int(vectors.user[layer]), int(server), (int(vectors.layer[layer]),), waits_until_s))
        node = int(nodes.parent[node])
    return Plan(tuple(reversed(uploads)))
