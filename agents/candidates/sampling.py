"""Plans by a policy network that sees candidates: the best of K sample plans, made in two stages.

Three samples in four explore. One of them is greedy. In the others the network is blind to the reference plan, which it
would otherwise follow so that all plans were nearly the same. Each of these has a server bias: a number per user and
server, the same throughout the episode, that is added to the scores. It changes a plan as a whole, where independent
draws would scatter a user's layers over servers and interrupt intervals. In every other of these samples one user is
also pinned to one server, in each to another pair of them: where users compete for servers, a user that is served
elsewhere makes room.

The other samples refine, in four rounds. Each takes one of the best plans so far, improved by a search with random
numbers of its own, as the reference plan that it corrects.

Measured on 21 and 22 November 2026 with the untrained network and K = 64 in `scenarios("multi-user", 64, seed=2**41)`,
which also served to choose the numbers below. Mean delays are relative to those of local search:

| scenarios | how plans are made | mean | worst |
|---|---|---|---|
| all | as described | 0.9998 | 1.008 |
| 24 to 63 | as described | 1.0002 | |
| 24 to 63 | without pinned users, and without a search that exchanges servers | 1.0009 | 1.018 |
| 16 to 23 | still without both; 16 samples refine the eight best plans in one round, 1000 tries each | 0.9996 | |
| 16 to 23 | still without both; 8 samples refine these, then 8 the best one, 500 and 1500 tries | 0.9999 | |
| 16 to 23 | still without both; four rounds | 0.9991 | |

Twice the tries in each round, or accepting worse plans as annealing does, changed nothing.
"""

from __future__ import annotations

import numpy as np

from agents.candidates.features import REFERENCE_FEATURES
from agents.candidates.network import blinded
from agents.candidates.observer import CandidateObserver
from agents.policies.sampling import begin, known_batch, play_out, sample_rows, scores_of
from agents.policies.trained import TrainedPolicy
from dnnmig_env.arrays import Float32s, Floats, Ints
from dnnmig_env.compiling.threads import at_most_threads
from dnnmig_env.envs.batch import EpisodeBatch
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.scenario_batch import ScenarioBatch

SPREADS = (0.1, 0.2, 0.3)
"""Standard deviations of the server bias, for one exploring sample after another."""

SERVER_PENALTY = -5.0
"""Added to the scores of a pinned user's uploads to all servers but its own."""

ROUNDS = 4
"""Rounds of refining. The first begins with as many of the best plans so far as there are samples, each later one with
half as many as the one before."""

TRIES = 1000
"""Number of changes of a plan that the search tries before a sample refines it."""


class CandidateSampler:
    """Plans with a policy network that sees candidates; no plan is worse than the network's greedy one.

    Args:
        policy: The trained policy.
        limits: Sizes of the largest scenario to come; users, layers and servers as the policy was loaded for.
        samples: Number of plans to choose from, K, the greedy one included.
    """

    def __init__(self, policy: TrainedPolicy, limits: Limits, samples: int) -> None:
        self._policy, self._limits = policy, limits
        refining = samples // 4
        self._rounds = min(ROUNDS, refining)
        self._refiners = sample_rows(policy, limits, refining // ROUNDS or 1) if refining else None
        exploring = samples - self._rounds * (self._refiners.rows if self._refiners else 0)
        self._explorers = sample_rows(policy, limits, exploring)
        _observer(self._explorers).without_plan[1:] = True

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the best of the plans, the same for the same state of `rng`."""
        with at_most_threads(1):
            explorers, batch = self._explorers, known_batch(scenario, self._limits)
            begin(explorers, batch)
            delays_s = self._play(explorers, self._biases(rng))
            return self._refine(batch, delays_s, rng) or explorers.plan(int(delays_s.argmin()))

    def _refine(self, batch: ScenarioBatch, delays_s: Floats, rng: np.random.Generator) -> Plan | None:
        """Return a plan that is better than the explorers' plans, whose delays are given; None if there is none."""
        rows, found = self._refiners, None
        if rows is None:
            return None
        plans, observer = _copy(self._explorers.uploads), _observer(rows)
        for turn in range(self._rounds):
            best = np.resize(delays_s.argsort(kind="stable")[: max(1, rows.rows >> turn)], rows.rows)
            observer.without_plan[:] = True  # plans are given to the rows below, so none has to be made
            begin(rows, batch)
            given = PlanArrays._make(array[best] for array in plans)
            observer.take_plans(given, rng.integers(1, 2**62, rows.rows), TRIES)
            refined_s = self._play(rows, np.zeros((rows.rows, 1), np.float32))
            if refined_s.min() < delays_s.min():
                found = rows.plan(int(refined_s.argmin()))
            delays_s = np.concatenate([delays_s, refined_s])
            plans = PlanArrays._make(np.concatenate(pair) for pair in zip(plans, rows.uploads, strict=True))
        return found

    def _play(self, rows: EpisodeBatch, biases: Float32s) -> Floats:
        """Let every row decide to its end by the greatest of score plus bias; return the mean query delays."""
        observer = _observer(rows)

        def choose(samples: Ints) -> Ints:
            observation, unplanned = rows.observation[samples], observer.without_plan[samples]
            if unplanned.any():
                observation[unplanned] = blinded(observation[unplanned], REFERENCE_FEATURES)
            chosen: Ints = (scores_of(self._policy, rows, samples, observation) + biases[samples]).argmax(axis=1)
            return chosen

        return play_out(rows, choose)

    def _biases(self, rng: np.random.Generator) -> Float32s:
        """Draw what each exploring sample adds to the scores of actions, shape (K, A); 0 for the greedy sample."""
        actions, samples, packed = self._explorers.actions, self._explorers.rows, self._explorers.packed
        spread = np.append(0.0, np.resize(SPREADS, samples - 1))[:, None, None]
        pairs = spread * rng.standard_normal((samples, actions.users, actions.servers))
        users, servers = packed.num_users[0], packed.num_servers[0]
        pinned = np.arange(2, samples, 2)
        user, server = np.divmod(np.resize(rng.permutation(users * servers), len(pinned)), servers)
        pairs[pinned, user] = SERVER_PENALTY
        pairs[pinned, user, server] = 0.0
        return actions.per_user_and_server(pairs).astype(np.float32)


def _observer(rows: EpisodeBatch) -> CandidateObserver:
    observer = rows.observer
    if not isinstance(observer, CandidateObserver):
        raise TypeError(f"observer is a {type(observer).__name__}; samples are of networks that see candidates.")
    return observer


def _copy(plans: PlanArrays) -> PlanArrays:
    return PlanArrays._make(array.copy() for array in plans)
