"""Exact placement: branch and bound over users, for small scenarios. Searches are measured against it.

It finds the optimum of the migration delay (EosDNN's objective, see `agents.planners.swarms.particles`) over all
placements, contention and memory included. Contention only ever slows queries down, so a user's delay with nobody else
at work bounds its delay in company from below:

    A_u(x) = delay of user u alone under each of its (S + 1)^D_u placements x, least first
    give user 0, 1, ... each of its placements in that order, as long as
        sum of rate_u A_u over the users given one + sum of the least rate_u A_u over the others < best known so far
    the last user's are evaluated together, contention included

This takes O(sum over u of (S + 1)^D_u) queries, then as many placements as the bound leaves: in the worst case all (S +
1)^D, few where users hardly contend (3 users of 4 layers, 3 servers: 0.2 s on average, seconds in the worst of 30).
"""

from __future__ import annotations

import math

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.swarms.particles import INFEASIBLE_S, Positions, best_placement, fitnesses_s
from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios

MOST = 2**20
"""Most placements of a single user; all of them are tried."""

MOST_TOGETHER = 2**26
"""Most placements of all users together that are tried, which takes minutes."""


def exact_placement(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Return a placement of least migration delay.

    Args:
        scenario: The scenario.
        rng: Not used.

    Raises:
        ValueError: If one user has more than a million placements, or the bound leaves more than 67 million placements
            of all users together.
    """
    return best_placement(scenario, _search)


def _search(packed: PackedScenarios, positions: Positions) -> Int8s:
    tree = _Tree(packed, positions)
    tree.descend(0, 0.0)
    return tree.best


class _Tree:
    """Gives one user after another its placements.

    Args:
        packed: The packed scenario.
        positions: Its layers and their choices.
    """

    def __init__(self, packed: PackedScenarios, positions: Positions) -> None:
        self._packed, self._positions, self._tried = packed, positions, 0
        self._mine = [np.flatnonzero(positions.user == user) for user in np.unique(positions.user)]
        weights = packed.query_rate_hz[0, 0] / packed.query_rate_hz[0, 0].sum()
        self._own, self._alone_s = [], []
        for mine in self._mine:
            own, alone_s = _alone(packed, positions, mine)
            self._own.append(own)
            self._alone_s.append(weights[positions.user[mine[0]]] * alone_s)
        least_s = [alone_s[0] for alone_s in self._alone_s]
        self._others_least_s = [sum(least_s[turn + 1 :]) for turn in range(len(least_s))]
        self._particle = np.zeros(len(positions.user), np.int8)
        self.best, self._best_s = self._particle.copy(), self._values_s(self._particle[None])[0]

    def descend(self, turn: int, before_s: float) -> None:
        """Try the placements of the users from `turn` on; those before them add at least `before_s` to the delay."""
        mine = self._mine[turn]
        bounds_s = before_s + self._alone_s[turn] + self._others_least_s[turn]
        if turn + 1 == len(self._mine):
            particles = np.repeat(self._particle[None], np.searchsorted(bounds_s, self._best_s), axis=0)
            particles[:, mine] = self._own[turn][: len(particles)]
            self._note(particles)
            return
        for own, alone_s, bound_s in zip(self._own[turn], self._alone_s[turn], bounds_s, strict=True):
            if bound_s >= self._best_s:
                break
            self._particle[mine] = own
            self.descend(turn + 1, before_s + alone_s)
        self._particle[mine] = 0

    def _note(self, particles: Int8s) -> None:
        """Keep the best of some particles, if it is better than the best so far."""
        if len(particles):
            values_s = self._values_s(particles)
            if values_s.min() < self._best_s:
                self.best, self._best_s = particles[values_s.argmin()].copy(), values_s.min()

    def _values_s(self, particles: Int8s) -> Floats:
        self._tried += len(particles)
        if self._tried > MOST_TOGETHER:
            raise ValueError(f"the best placement is not among {MOST_TOGETHER} tried; merge networks to fewer layers.")
        values_s = np.empty(len(particles))
        fitnesses_s(self._packed, 0, 0, self._positions, particles, 0.0, values_s)
        return values_s


def _alone(packed: PackedScenarios, positions: Positions, mine: Ints) -> tuple[Int8s, Floats]:
    """Return one user's placements, shape (N, D), and its delays with nobody else at work, shape (N,), least first.

    Placements that do not fit the servers' memory even by themselves are left out.
    """
    rates = np.zeros_like(packed.query_rate_hz)
    rates[0, 0, positions.user[mine[0]]] = 1.0
    sizes = tuple(positions.num_choices[mine].tolist())
    if math.prod(sizes) > MOST:
        raise ValueError(
            f"user {positions.user[mine[0]]} has {math.prod(sizes):.1e} placements of {len(sizes)} layers; at most "
            f"{MOST} can be tried: merge its network to fewer layers."
        )
    choices = np.unravel_index(np.arange(math.prod(sizes)), sizes)
    particles, delays_s = np.zeros((len(choices[0]), len(positions.user)), np.int8), np.empty(len(choices[0]))
    particles[:, mine] = positions.choices[mine, np.stack(choices, axis=1)]
    fitnesses_s(packed._replace(query_rate_hz=rates), 0, 0, positions, particles, 0.0, delays_s)
    order = np.argsort(delays_s, kind="stable")
    order = order[delays_s[order] < INFEASIBLE_S]
    return particles[order][:, mine], delays_s[order]
