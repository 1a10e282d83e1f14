"""Several users of MJOA-MU and one edge: what do parallel uploading and ARA's shares save of their cold starts?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from agents.planners.mjoa_mu.ara import allocate
from agents.planners.mjoa_mu.mjoa_mu import fair_queue
from agents.planners.mjoa_mu.pbt_dp import best_placement
from agents.planners.slot_zero import movable_layers, slot_zero_packed
from dnnmig_env.arrays import Floats
from dnnmig_env.families.draw.ranges import Range, log_uniform
from dnnmig_env.networks.zoo import load_prepared
from dnnmig_env.scenarios.scenario import Scenario, User
from dnnmig_env.simulation.reserved.shares import equal_shares, own_scenario
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.statistics import delay_ratios
from evaluate.output.keeping import Keeper
from evaluate.papers.mjoa_mu.cases import HORIZON_S, access, device_node, edge_node

BASELINE, MJOA_MU = "serial, equal", "parallel, ARA"
"""Names of two methods: the one to which all are compared, and MJOA-MU."""

METHODS = ("device only", BASELINE, "serial, ARA", "parallel, equal", MJOA_MU, "parallel, queue")
"""The methods: how layers are uploaded, and who gives out shares; PBT-DP places the layers for it. The last one is
MJOA-MU's plan on one channel, where nothing is reserved, and where the edge, with a single query of each user, slows
nobody down."""

ACCESS_MBPS: tuple[Range, ...] = ((10.0, 160.0), (100.0, 1000.0))
"""Ranges of access rates in Mbps, drawn log-uniformly: those of the scenario families, and those of the fastest
networks."""


@dataclass(frozen=True)
class Started:
    """What every method reached in one scenario.

    Attributes:
        delays_s: Cold-start delay of each user, by method.
    """

    delays_s: dict[str, tuple[float, ...]]


@dataclass(frozen=True, eq=False)
class UsersStudy:
    """What every method reached in N scenarios of U users.

    Attributes:
        mbps: Range of the users' access rates.
        users: Number of users, U.
        delays_s: Cold-start delay of every user by method, shape (N, U) each.
        seed: Seed of the resampling.
    """

    mbps: Range
    users: int
    delays_s: Mapping[str, Floats]
    seed: int

    def figures(self) -> dict[str, dict[str, Any]]:
        """Return the figures of every method.

        `relative_to_baseline` is the ratio of mean delays with its paired bootstrap interval over scenarios. The
        reductions are the greatest ones of the users' total in a scenario, and of a single user's delay.
        """
        means = {name: delay_s.mean(axis=1) for name, delay_s in self.delays_s.items()}
        ratios, found = delay_ratios(means, self.seed), {}
        for name, delay_s in self.delays_s.items():
            ratio, low, high = ratios[name].get(BASELINE, (1.0, 1.0, 1.0))
            found[name] = {
                "mean_delay_s": float(delay_s.mean()),
                "relative_to_baseline": ratio,
                "relative_ci95": (low, high),
                "greatest_reduction_of_total": float((1.0 - means[name] / means[BASELINE]).max()),
                "greatest_reduction_of_a_user": float((1.0 - delay_s / self.delays_s[BASELINE]).max()),
            }
        return found


def studies(
    users: Sequence[int],
    count: int,
    seed: int,
    networks: Sequence[str],
    max_layers: int,
    edge_flops_per_s: Range,
    device_flops_per_s: Range,
    keep: Keeper = Keeper(),  # noqa: B008  immutable
) -> Iterator[UsersStudy]:
    """Yield the study of each range of access rates and number of users.

    Args:
        users: The numbers of users.
        count: Number of scenarios for each.
        seed: Seed of the scenarios.
        networks: Networks of which each user has one.
        max_layers: Most layers to which these are merged.
        edge_flops_per_s: Range of the speeds of edges, drawn log-uniformly.
        device_flops_per_s: Range of the speeds of devices, drawn log-uniformly.
        keep: Computes and keeps what all methods reached in each scenario.
    """
    for mbps, number in itertools.product(ACCESS_MBPS, users):
        rng, drawn = np.random.default_rng([seed, number, int(mbps[0])]), list[Scenario]()
        for _ in range(count):
            graphs = [load_prepared(str(name), max_layers) for name in rng.choice(np.array(networks), number)]
            edge = edge_node(float(log_uniform(rng, edge_flops_per_s, (1,))[0]))
            devices = map(device_node, log_uniform(rng, device_flops_per_s, (number,)).tolist())
            owners = [User(f"user-{user}", *pair) for user, pair in enumerate(zip(graphs, devices, strict=True))]
            links = access(log_uniform(rng, mbps, (number,)).tolist())
            drawn.append(Scenario(tuple(owners), (edge,), links, HORIZON_S))
        title = f"{number} users, {mbps[0]:g} to {mbps[1]:g} Mbps"
        found = list(keep.records([(title, index, partial(_started, each)) for index, each in enumerate(drawn)]))
        yield UsersStudy(
            mbps, number, {name: np.array([one.delays_s[name] for one in found]) for name in METHODS}, seed
        )


def _started(scenario: Scenario) -> Started:
    return Started({name: tuple(map(float, each_s)) for name, each_s in delays_s(scenario).items()})


def delays_s(scenario: Scenario) -> dict[str, Floats]:
    """Return the cold-start delays of the users of one edge by method, shape (U,) each."""
    shared, serial = allocate(scenario), allocate(scenario, serial=True)
    queue = simulate(scenario, fair_queue(scenario, shared))
    found = (
        queue.device_delay_s,
        _at_equal_shares(scenario, serial=True),
        serial.delay_s,
        _at_equal_shares(scenario, serial=False),
        shared.delay_s,
        queue.cold_start_delay_s,
    )
    return dict(zip(METHODS, found, strict=True))


def _at_equal_shares(scenario: Scenario, *, serial: bool) -> Floats:
    shares, movable = equal_shares(len(scenario.users), 1), movable_layers(scenario)
    packed_scenarios = [
        slot_zero_packed(own_scenario(scenario, shares, user_index)) for user_index in range(len(scenario.users))
    ]
    layers = [movable[user_index, : len(user.graph)] for user_index, user in enumerate(scenario.users)]
    placed = (
        best_placement(packed, 1, own, np.inf, serial=serial)
        for packed, own in zip(packed_scenarios, layers, strict=True)
    )
    return np.array([delay_s for _, delay_s in placed])
