"""A chain of annealing in a random scenario with everything in it, to be stepped by hand."""

from __future__ import annotations

import numpy as np

from agents.planners.local_search.chains import PRESENT, TRIAL, Walk, as_plan, movable_in, new_chains, num_rows
from agents.planners.local_search.moves import CHANCES, propose
from agents.planners.local_search.replay import settle, try_out
from dnnmig_env.arrays import Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.state import new_state
from tests.strategies import RandomChoices, Sizes, make_scenario


class Chain:
    """One chain; its present plan is random, and has been played."""

    def __init__(self, seed: int, scenario: Scenario | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        sizes = Sizes(users=3, layers=8, servers=3, slots=int(self.rng.choice([1, 5])))
        self.p = pack([scenario or make_scenario(RandomChoices(self.rng), sizes)])
        self.movable = movable_in(self.p)
        self.walk = Walk(*(array[0] for array in new_chains(self.movable, [Plan()], self.rng)))
        self.state = new_state(self.p, num_rows(1, len(self.movable.user)))
        self.write(PRESENT, self.random_uploads())
        self.settle(0)

    def random_uploads(self) -> Ints:
        """Return uploads of some layers in random order to random servers, some of which wait."""
        count = len(self.movable.user)
        items = self.rng.permutation(count)[: self.rng.integers(0, count + 1)]
        servers = [self.movable.servers[k, self.rng.integers(self.movable.num_servers[k])] for k in items]
        waits = self.rng.integers(0, self.p.num_slots[0], len(items)) * (self.rng.random(len(items)) < 0.1)
        return np.array([items, servers, waits], np.int64).T.reshape(-1, 3)

    def write(self, which: int, uploads: Ints) -> None:
        self.walk.uploads[which, : len(uploads)], self.walk.length[which] = uploads, len(uploads)

    def uploads(self, which: int) -> Ints:
        return self.walk.uploads[which, : self.walk.length[which]].copy()

    def settle(self, first: int) -> float:
        """Play the present plan from an upload on; return its mean query delay J."""
        settle(self.p, 0, self.state, 0, self.movable, self.walk, first)
        return self.delay_s(PRESENT)

    def try_out(self, first: int, same_from: int = -1, most_s: float = np.inf) -> float:
        """Play the plan on trial; return its J."""
        try_out(self.p, 0, self.state, 0, self.movable, self.walk, first, same_from, most_s)
        return self.delay_s(TRIAL)

    def delay_s(self, which: int) -> float:
        """Return J of a plan as annealing has played it."""
        return float(self.walk.cost_s[which] / self.state.expected_queries[0])

    def replay_s(self, which: int) -> float:
        """Return J of a plan played from the start, as any other."""
        plan = as_plan(self.p, self.movable, self.uploads(which))
        return float(mean_delays_s(self.p, plan_arrays([plan]))[0])

    def propose(self, move: str) -> None:
        """Write a neighbour made by one move as the plan on trial."""
        chances = np.array([float(name == move) for name in CHANCES])
        propose(self.p, 0, self.state, 0, self.movable, self.walk, chances)
