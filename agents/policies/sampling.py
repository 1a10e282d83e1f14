"""A trained policy network as a planner: the best of several plans that it makes.

A policy acts once and takes nothing back; a static planner may simulate as much as it likes. So the network plays what
is known of the scenario K times side by side, and the plan with the least mean query delay is kept. Best-of-K sampling
is how networks that build solutions step by step are usually decoded: Kool, van Hoof and Welling, "Attention, Learn to
Solve Routing Problems!" (ICLR 2019), section 5. One sample is greedy, so the result is never worse than the plan of one
pass. In the others all actions are drawn by their scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from agents.planners.protocol import Planner
from agents.planners.slot_zero import slot_zero_packed
from agents.policies.trained import TrainedPolicy
from agents.policy_networks.likeliest import likeliest
from dnnmig_env.arrays import Float32s, Floats, Ints
from dnnmig_env.compiling.threads import at_most_threads
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.envs.vector_env import Observations
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


def make_sampler(policy: TrainedPolicy, limits: Limits, samples: int) -> Planner:
    """Return a planner that keeps the best of several plans of a network.

    Args:
        policy: The trained policy.
        limits: Sizes of the largest scenario to come; users, layers and servers as the policy was loaded for.
        samples: Number of plans to choose from, K, the greedy one included.

    Raises:
        ValueError: If `samples` is less than 1, or the network's scores are no log-probabilities.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; draw at least 1 plan.")
    if policy.scores_are_values:
        raise ValueError(
            "a model trained with 'dqn' cannot be sampled: it scores actions by their value, not by how likely "
            "they are; let it act in one pass, or train with 'ppo'."
        )
    return SampledPlanner(policy, limits, samples)


class SampledPlanner:
    """Plans with a trained policy network; no plan is worse than the network's greedy plan of the same scenario.

    All samples decide in one batch; time and memory are O(K). Samples that have ended cost nothing. The arguments are
    those of `make_sampler`.
    """

    def __init__(self, policy: TrainedPolicy, limits: Limits, samples: int) -> None:
        self._policy, self._limits = policy, limits
        self._rows = sample_rows(policy, limits, samples)

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the best of the plans, the same for the same state of `rng`."""
        rows = self._rows

        def choose(samples: Ints) -> Ints:
            scores = scores_of(self._policy, rows, samples, rows.observation[samples])
            chosen: Ints = likeliest(torch.from_numpy(scores), lanes=self._limits.lanes).numpy()
            others = samples > 0
            chosen[others] = _drawn(scores[others], rng)
            return chosen

        with at_most_threads(1):  # decisions are short, so that threads would mostly wait on a busy machine
            begin(rows, _with_velocities_per_slot(known_batch(scenario, self._limits), scenario))
            return rows.plan(int(play_out(rows, choose).argmin()))


def sample_rows(policy: TrainedPolicy, limits: Limits, count: int) -> EpisodeBatch:
    """Return rows in which a network can play what is known of a scenario, as one slot."""
    card = policy.card
    decisions = cast(DecisionMode, card.decisions)
    return EpisodeBatch(count, limits=replace(limits, slots=1), decisions=decisions)


def known_batch(scenario: Scenario, limits: Limits) -> ScenarioBatch:
    """Return a batch of one scenario, as it is known in slot 0."""
    return ScenarioBatch(slot_zero_packed(scenario, limits), lambda _: scenario)


def _with_velocities_per_slot(batch: ScenarioBatch, scenario: Scenario) -> ScenarioBatch:
    """Return what is known of a scenario with velocities per slot of the environment, as the network learnt them."""
    mobility, starts_s = scenario.mobility, np.asarray(scenario.slot_starts_s)
    if mobility is None:
        return batch
    slot_s = mobility.slot_s or (starts_s[1] if len(starts_s) > 1 else scenario.horizon_s)
    velocities = batch.packed.user_velocities * (slot_s / scenario.horizon_s)
    return ScenarioBatch(batch.packed._replace(user_velocities=velocities), batch.scenario)


def begin(rows: EpisodeBatch, batch: ScenarioBatch) -> None:
    """Begin an episode of the only scenario of a batch in all rows."""
    rows.play(range(rows.rows), batch, np.zeros(rows.rows, np.int64))


def play_out(rows: EpisodeBatch, choose: Callable[[Ints], Ints]) -> Floats:
    """Let all rows decide to the end; return their mean query delays, shape (K,).

    Args:
        rows: The rows, in which episodes have just begun.
        choose: Returns the actions of some rows, shape (R,), given the indices of these rows.
    """
    actions, running = np.full(rows.rows, rows.actions.stop), np.ones(rows.rows, np.bool_)
    while running.any():
        samples = np.flatnonzero(running)
        actions[samples] = choose(samples)
        rows.step(actions, running)
        running = ~rows.decisions.done
    delays_s: Floats = rows.state.cost_s / rows.state.expected_queries
    return delays_s


def scores_of(policy: TrainedPolicy, rows: EpisodeBatch, samples: Ints, observation: Float32s) -> Float32s:
    """Return a network's scores of all actions in some rows, shape (R, A).

    Args:
        policy: The trained policy.
        rows: The rows.
        samples: Indices of the rows in question, shape (R,).
        observation: What the network sees of them, shape (R, D).
    """
    seen: Observations = {"observation": observation, "action_mask": rows.outputs.mask[samples]}
    scores: Float32s = policy.scores(seen).numpy()
    return scores


def _drawn(scores: Float32s, rng: np.random.Generator) -> Ints:
    """Draw an action per row, by the scores, shape (R, A), which are the logarithms of probabilities.

    The cumulative distribution is inverted, with one random number, the level, per row. An illegal action adds nothing
    to the cumulative sum, so it is never the first one above the level.
    """
    cumulative = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1, dtype=np.float64)
    levels = rng.random((len(scores), 1)) * cumulative[:, -1:]
    chosen: Ints = (cumulative <= levels).sum(axis=1)
    return chosen.clip(max=scores.shape[1] - 1)  # if rounding leaves none above the level: the last action, "stop"
