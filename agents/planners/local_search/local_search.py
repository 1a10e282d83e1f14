"""Local search: simulated annealing over placement and order at once, started from the best of several planners.

Ours, no published counterpart; in practice the best known plan of a scenario. A plan is a sequence of uploads (user,
layer, server), every layer a partition of its own. See `agents.planners.local_search.annealing` for the search,
`agents.planners.local_search.moves` for what it changes and `agents.planners.local_search.replay` for how a changed
plan is evaluated.

The search takes O(evaluations) queries, times the part of a plan that has to be replayed after a change.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents.planners.device_only import device_only
from agents.planners.joint_efficiency.joint_efficiency import joint_efficiency
from agents.planners.local_search.annealing import anneal
from agents.planners.local_search.chains import BEST, Movable, Walk, as_plan, movable_in, new_chains, num_rows
from agents.planners.local_search.moves import CHANCES
from agents.planners.local_search.server_search import server_search
from agents.planners.orders.front_to_back import front_to_back
from agents.planners.orders.lmu import lmu
from agents.planners.placements.best_server import best_server
from agents.planners.protocol import Planner, TwoPhase
from agents.planners.slot_zero import slot_zero_packed
from agents.planners.swarms.pso_ga import PsoGa
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios, pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.state import new_state

STARTS: tuple[Planner, ...] = (
    device_only,
    joint_efficiency,
    TwoPhase(best_server, front_to_back),
    TwoPhase(best_server, lmu),
    TwoPhase(PsoGa(swarm=30, iterations=100), lmu),
)
"""The planners among whose plans the search starts from the best."""

TRIES_PER_SERVER = 5
"""Number of choices of servers that are tried by default, for each user and each server that this user can reach."""

EVALUATIONS_PER_LAYER, LEAST_EVALUATIONS = 100, 5000
"""Number of plans that each chain evaluates by default: the first for each layer that may be uploaded, but at least the
second in all."""

LEVELS = 100
"""Number of temperatures that a search without a time limit goes through."""

EVALUATIONS_PER_GLANCE = 200
"""Number of plans that each chain evaluates between two looks at the clock."""


@dataclass(frozen=True)
class LocalSearch:
    """Improves the best plan of several planners by simulated annealing; the result is never worse than any of theirs.

    The plan is the same for the same state of `rng`, however many threads there are, unless `seconds` ends the search.

    Attributes:
        evaluations: Most plans that each chain evaluates; 0 = `EVALUATIONS_PER_LAYER` for each layer that may be
            uploaded, and at least `LEAST_EVALUATIONS`.
        chains: Independent searches from different starts, as many at a time as there are threads; the best one counts.
        seconds: Time limit, the planning of the starts included; the search then cools down by the clock, and its
            result cannot be reproduced.
        server_tries: Most choices of servers to plan for before annealing (`server_search`); 0 = `TRIES_PER_SERVER` for
            each user and each server that the user can reach.
        hottest: Temperature at first, as a share of the mean query delay.
        coldest: Temperature at last, likewise.
        descent: Share of the search, at its end, that accepts nothing worse and begins with the best plan found.
        clairvoyant: Plan with all time slots known, as a bound for planners that know the present alone. The search
            then also uploads for users who arrive later, and waits for slots (`Upload.not_before_s`).

    Raises:
        ValueError: If a count, time or share is out of its range.
    """

    evaluations: int = 0
    chains: int = 4
    seconds: float = math.inf
    server_tries: int = 0
    hottest: float = 0.01
    coldest: float = 1e-5
    descent: float = 0.1
    clairvoyant: bool = False

    def __post_init__(self) -> None:
        if self.evaluations < 0:
            raise ValueError(f"evaluations is {self.evaluations!r}; it must be at least 1, or 0 to go by the layers.")
        if self.server_tries < 0:
            raise ValueError(
                f"server_tries is {self.server_tries!r}; it must be at least 1, or 0 to go by the servers."
            )
        if self.chains < 1:
            raise ValueError(f"chains is {self.chains!r}; it must be at least 1.")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds!r}; it must be positive, inf for no limit.")
        if not 0 < self.coldest < math.inf:
            raise ValueError(f"coldest is {self.coldest!r}; it must be positive and finite.")
        if not self.coldest <= self.hottest < math.inf:
            raise ValueError(f"hottest is {self.hottest!r}; it must be finite and at least coldest, {self.coldest!r}.")
        if not 0 <= self.descent <= 1:
            raise ValueError(f"descent is {self.descent!r}; a share lies between 0 and 1.")

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the best plan found."""
        began_s = time.perf_counter()
        packed = pack([scenario]) if self.clairvoyant else slot_zero_packed(scenario)
        movable = movable_in(packed)
        if len(movable.user) == 0:
            return Plan()
        chains = self.search(packed, movable, self.starts(packed, scenario, rng, began_s), rng, began_s)
        best = int(np.argmin(chains.cost_s[:, BEST]))
        return _without_useless_uploads(
            packed, as_plan(packed, movable, chains.uploads[best, BEST, : chains.length[best, BEST]])
        )

    def starts(
        self, packed: PackedScenarios, scenario: Scenario, rng: np.random.Generator, began_s: float
    ) -> list[Plan]:
        """Return plans to start from, the best first, every layer a partition of its own."""
        plans = [planner(scenario, rng) for planner in STARTS]
        known = scenario
        if packed.num_slots[0] > 1:  # planners that know one slot plan for the average of all slots
            known = averaged(scenario)
            plans += [planner(known, rng) for planner in STARTS]
        model = slot_zero_packed(known)
        movable = movable_in(model)
        tries = self.server_tries or TRIES_PER_SERVER * int(movable.num_servers[np.unique(movable.first)].sum())
        plans += server_search(model, movable, tries, rng, began_s + self.seconds / 2)
        return sorted_by_delay(packed, plans)

    def search(
        self,
        packed: PackedScenarios,
        movable: Movable,
        starts: Sequence[Plan],
        rng: np.random.Generator,
        began_s: float = 0.0,
    ) -> Walk:
        """Let chains walk until the evaluations, or the seconds since `began_s`, are spent; return where they stand.

        Args:
            packed: The packed scenario.
            movable: The layers that may be uploaded.
            starts: Plans where the chains begin, one after another.
            rng: Source of randomness.
            began_s: Time of `time.perf_counter` from which `seconds` count.
        """
        chains = new_chains(movable, [starts[chain % len(starts)] for chain in range(self.chains)], rng)
        state = new_state(packed, num_rows(self.chains, len(movable.user)))
        chances = np.array([chance for name, chance in CHANCES.items() if name != "wait" or packed.num_slots[0] > 1])
        scaled = max(LEAST_EVALUATIONS, EVALUATIONS_PER_LAYER * len(movable.user))
        total, limited = self.evaluations or scaled, self.seconds < math.inf
        done, progress = 0, 0.0
        while progress < 1.0:
            size = min(EVALUATIONS_PER_GLANCE if limited else math.ceil(total / LEVELS), total - done)
            anneal(packed, state, movable, chains, chances / chances.sum(), size, self._temperature(progress))
            done += size
            progress = done / total
            if limited:
                progress = max(progress, (time.perf_counter() - began_s) / self.seconds)
        return chains

    def _temperature(self, progress: float) -> float:
        """Return the temperature after a share of the search: it falls geometrically, and is 0 in the descent."""
        if progress >= 1.0 - self.descent:
            return 0.0
        return float(self.hottest * (self.coldest / self.hottest) ** (progress / (1.0 - self.descent)))


def sorted_by_delay(packed: PackedScenarios, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans that differ in mean query delay, the best first, every layer a partition of its own."""
    single = [plan.singletons() for plan in plans]
    _, first = np.unique(mean_delays_s(packed, plan_arrays(single)), return_index=True)
    return [single[k] for k in first]


def averaged(scenario: Scenario) -> Scenario:
    """Return a scenario of one slot, with the rates and latencies of all slots averaged over time."""
    slot_s = np.diff(np.append(np.asarray(scenario.slot_starts_s), scenario.horizon_s))

    def mean(values: Any) -> Any:
        return np.average(np.asarray(values), axis=0, weights=slot_s)

    links = scenario.links
    return replace(
        scenario,
        users=tuple(replace(user, query_rate_hz=float(mean(user.query_rate_hz))) for user in scenario.users),
        links=replace(
            links,
            up_bytes_per_s=mean(links.up_bytes_per_s),
            down_bytes_per_s=mean(links.down_bytes_per_s),
            up_latency_s=mean(links.up_latency_s),
            down_latency_s=mean(links.down_latency_s),
            home=np.asarray(links.home)[0],
        ),
        slot_starts_s=(0.0,),
        mobility=None,
    )


def _without_useless_uploads(packed: PackedScenarios, plan: Plan) -> Plan:
    """Return the plan without uploads that make nothing faster; the last uploads are tried first."""
    for k in range(len(plan.uploads) - 1, -1, -1):
        lighter = Plan((*plan.uploads[:k], *plan.uploads[k + 1 :]))
        lighter_s, plan_s = mean_delays_s(packed, plan_arrays([lighter, plan]))
        if lighter_s <= plan_s:
            plan = lighter
    return plan
