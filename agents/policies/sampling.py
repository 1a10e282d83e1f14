"""A trained network as a planner: the best of several plans that it makes.

A policy acts once and takes nothing back; a static planner may simulate as much as it likes. So the network plays what
is known of the scenario K times side by side, and the plan with the least mean query delay is kept. Best-of-K sampling
is how networks that build solutions step by step are usually decoded: Kool, van Hoof and Welling, "Attention, Learn to
Solve Routing Problems!" (ICLR 2019), section 5. One sample is greedy, so no plan is worse than that of one pass.

Networks that see all facts draw every action of the other samples by its score. Those that see candidates sample in two
stages. Three samples in four explore: all but the greedy one do not see the reference plan, or they would follow it and
be nearly the same plan; and each has a taste, a number per user and server, the same throughout the episode, that is
added to the scores. A taste changes a plan as a whole, where independent draws scatter a user's layers over servers and
interrupt runs of uploads. Every other taste also keeps one user to one server, each sample another pair of them: where
users compete for servers, one that is served elsewhere makes room. The other samples refine, in four rounds: each takes
one of the best plans so far, improved by a search with random numbers of its own, as the reference that it corrects.

Measured with the untrained network and K = 64 in `scenarios("multi-user", 64, seed=2**41)`, which also served to choose
the numbers below; mean delays relative to those of local search, 21 and 22 November 2026. All 0.9998, the worst 1.008.
In 24 to 63 1.0002; without tastes that keep a user to a server, and a search that exchanges servers, 1.0009 and the
worst 1.018. Before that, in 16 to 23, 16 samples that refine the eight best plans in one round 0.9996 (1000 tries
each), 8 these and then 8 the best one 0.9999 (500 and 1500 tries), four rounds 0.9991. Twice the tries in each round,
or accepting worse plans as annealing does, changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import numba
import numpy as np
from numpy.typing import NDArray

from agents.candidates.features import REFERENCE_FEATURES
from agents.candidates.network import blinded
from agents.candidates.reference_plan import Reference
from agents.planners.slot_zero import present_problem
from agents.policies.trained import TrainedPolicy
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.envs.vector_env import Observations
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.scenario_batch import ScenarioBatch

SPREADS = (0.1, 0.2, 0.3)
"""Standard deviations of the tastes of exploring samples, in turn."""

AVERSION = -5.0
"""Added to the scores of a user's uploads to all servers but the one that a sample keeps it to."""

ROUNDS = 4
"""Rounds of refining: each begins with the best plans so far, in the first with as many as samples, then with half."""

TRIES = 1000
"""Changes of a plan that the search tries before a sample refines it."""

Floats = NDArray[np.float32]


class SampledPlanner:
    """Plans with a trained network, never worse than its greedy plan of the same scenario.

    Decisions of all samples of a stage are taken in one batch; time and memory are O(K). Samples that have ended cost
    nothing.

    Args:
        policy: The network.
        limits: Sizes of the largest scenario to come; users, layers and servers as the policy was loaded for.
        samples: Number of plans to choose from, K, the greedy one included.

    Raises:
        ValueError: If there is no sample, or the network's scores are no log-probabilities.
    """

    def __init__(self, policy: TrainedPolicy, limits: Limits, samples: int) -> None:
        if samples < 1:
            raise ValueError(f"samples is {samples}; draw at least 1 plan.")
        if policy.card.algorithm == "dqn":
            raise ValueError(
                "a model trained with 'dqn' cannot be sampled: it scores actions by their value, not by how likely "
                "they are; let it act in one pass, or train with 'ppo'."
            )
        self._policy, self._scenario = policy, _OneScenario(limits, policy.card.family)
        self._sees_candidates = policy.card.observation == "candidates"
        refining = samples // 4 if self._sees_candidates else 0
        self._rounds = min(ROUNDS, refining)
        self._refiners = self._rows(refining // ROUNDS or 1) if refining else None
        self._explorers = self._rows(samples - self._rounds * (self._refiners.rows if self._refiners else 0))
        self._explorers.blind[1:] = self._sees_candidates

    def _rows(self, count: int) -> EpisodeBatch:
        card = self._policy.card
        return EpisodeBatch(count, self._scenario, cast(DecisionMode, card.decisions), observation=card.observation)

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the best of the plans, the same for the same state of `rng`."""
        threads = numba.get_num_threads()
        numba.set_num_threads(1)  # decisions are short: on a busy machine threads would mostly wait for each other
        try:
            self._scenario.give(scenario)
            return self._best_plan(rng)
        finally:
            numba.set_num_threads(threads)

    def _best_plan(self, rng: np.random.Generator) -> Plan:
        explorers = self._explorers
        explorers.start(np.arange(explorers.rows))
        delays_s = self._play(explorers, self._tastes(rng), rng)
        return self._refine(delays_s, rng) or explorers.plan(int(delays_s.argmin()))

    def _refine(self, delays_s: NDArray[np.float64], rng: np.random.Generator) -> Plan | None:
        """Return a better plan than all that the explorers made, whose delays are given; None if none was found."""
        rows, found = self._refiners, None
        if rows is None:
            return None
        plans = self._explorers.decided_plans()
        for turn in range(self._rounds):
            best = np.resize(delays_s.argsort(kind="stable")[: max(1, rows.rows >> turn)], rows.rows)
            rows.blind[:] = True  # they are given plans: none need be made
            rows.start(np.arange(rows.rows))
            rows.take_plans(Reference._make(array[best] for array in plans), rng.integers(1, 2**62, rows.rows), TRIES)
            refined_s = self._play(rows, np.zeros((rows.rows, 1), np.float32), rng)
            if refined_s.min() < delays_s.min():
                found = rows.plan(int(refined_s.argmin()))
            delays_s = np.concatenate([delays_s, refined_s])
            plans = _joined(plans, rows.decided_plans())
        return found

    def _play(self, rows: EpisodeBatch, tastes: Floats, rng: np.random.Generator) -> NDArray[np.float64]:
        """Let every row decide to its end; return their mean query delays."""
        actions, running = np.full(rows.rows, rows.actions.size - 1), np.ones(rows.rows, np.bool_)
        while running.any():
            samples = np.flatnonzero(running)
            actions[samples] = self._choices(rows, samples, tastes, rng)
            rows.step(actions, running)
            running = ~rows.decided.done
        delays_s: NDArray[np.float64] = rows.state.cost_s / rows.state.queries
        return delays_s

    def _choices(
        self, rows: EpisodeBatch, samples: NDArray[np.int64], tastes: Floats, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the actions of some samples, (R,)."""
        observation, blind = rows.observation[samples], rows.blind[samples]
        if blind.any():
            observation[blind] = blinded(observation[blind], REFERENCE_FEATURES)
        seen: Observations = {"observation": observation, "action_mask": rows.outputs.mask[samples]}
        scores = self._policy.scores(seen).numpy() + tastes[samples]
        chosen: NDArray[np.int64] = scores.argmax(axis=1)
        if not self._sees_candidates:
            others = samples > 0
            chosen[others] = _drawn(scores[others], rng)
        return chosen

    def _tastes(self, rng: np.random.Generator) -> Floats:
        """Draw what each exploring sample adds to the scores of actions; 0 for the greedy one and without candidates.

        Returns:
            Shape (K, A), or (K, 1) where all is 0.
        """
        layout, samples = self._explorers.layout, self._explorers.rows
        if not self._sees_candidates:
            return np.zeros((samples, 1), np.float32)
        spread = np.append(0.0, np.resize(SPREADS, samples - 1))[:, None, None]
        pairs = spread * rng.standard_normal((samples, layout.users, layout.servers))
        problem = self._explorers.problem
        users, servers = problem.num_users[0], problem.num_servers[0]
        loyal = np.arange(2, samples, 2)
        user, server = np.divmod(np.resize(rng.permutation(users * servers), len(loyal)), servers)
        pairs[loyal, user] = AVERSION
        pairs[loyal, user, server] = 0.0
        tastes = np.zeros((samples, self._explorers.actions.size), np.float32)
        tastes[:, :-1] = pairs[:, :, None].repeat(layout.layers, axis=2).reshape(samples, -1)
        return tastes


class _OneScenario:
    """Stands in for a generator: "draws" one scenario, as known in slot 0, again and again, packed only once.

    Args:
        limits: Sizes of the largest scenario to come.
        family: Family of the scenarios.
    """

    chunk = 1

    def __init__(self, limits: Limits, family: str) -> None:
        self.limits, self.family = replace(limits, slots=1), family
        self._padded_to = limits
        self._batch: ScenarioBatch

    def give(self, scenario: Scenario) -> None:
        """Set the scenario."""
        self._batch = ScenarioBatch(present_problem(scenario, self._padded_to), lambda _: scenario)

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Return the scenario; an environment asks for one at a time."""
        return self._batch


def _joined(one: Iterable[Any], other: Iterable[Any]) -> Reference:
    return Reference._make(np.concatenate(pair) for pair in zip(one, other, strict=True))


def _drawn(scores: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an action per row, drawn by its score (R, A) as the logarithm of its probability.

    The cumulative distribution is inverted: one random number per row. An illegal action adds nothing to the cumulative
    sum, so it is never the first above the level.
    """
    cumulative = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1, dtype=np.float64)
    levels = rng.random((len(scores), 1)) * cumulative[:, -1:]
    chosen: NDArray[np.int64] = (cumulative <= levels).sum(axis=1)
    return chosen.clip(max=scores.shape[1] - 1)  # rounding may leave nothing above: the last, "stop"
