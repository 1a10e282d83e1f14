"""A trained network as a planner: the best of several plans that it draws.

A policy acts once and takes nothing back; a static planner may simulate as much as it likes. So the network plays what
is known of the scenario K times side by side, once greedily and K - 1 times with some randomness, and the plan with the
least mean query delay is kept. Best-of-K sampling is how networks that build solutions step by step are usually
decoded: Kool, van Hoof and Welling, "Attention, Learn to Solve Routing Problems!" (ICLR 2019), section 5.

Networks that see all facts draw every action by its score. Of those that see candidates, one sample in four does. The
others do not see the reference plan, or all would follow it and be nearly the same plan; and each has a taste: a number
per user and server, the same throughout the episode, is added to the scores. A taste changes a plan as a whole, where
independent draws scatter a user's layers over servers and interrupt runs of uploads.

Measured with the untrained network and K = 64 in 34 of `scenarios("multi-user", 40, seed=2**40)` (0 to 13 and 20 to
39), 21 November 2026: 1.0030 times the delay of local search, the mean of ratios (standard error 0.0015, greatest
1.047), where joint efficiency takes 1.0112 times. The spreads were chosen in the first scenarios of seed 2**41. There
the greedy plan takes 1.0107 times, the best of it and 24 blind samples 1.0044, 1.0035, 1.0057 and 1.0090 at spreads of
0.1, 0.2, 0.3 and 0.5 (9 scenarios); Gumbel noise of 0.1 at every decision makes 1.0050 of 1.0038 (15 scenarios).
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numba
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.candidate_network import blinded
from agents.planners.present import present_problem
from agents.trained import TrainedPolicy
from dnnmig_env.candidate_features import REFERENCE_FEATURES
from dnnmig_env.episode_batch import DecisionMode
from dnnmig_env.plan import Plan
from dnnmig_env.problem import Limits
from dnnmig_env.scenario import Scenario
from dnnmig_env.scenario_batch import ScenarioBatch
from dnnmig_env.vector_env import MigrationVectorEnv, Observations

SPREADS = (0.0, 0.1, 0.2, 0.3)
"""Standard deviations of the tastes of samples 0, 1, 2, 3, and so on in turn; 0 = sees the reference, has no taste."""


class SampledPlanner:
    """Plans with a trained network, never worse than its greedy plan of the same scenario.

    Decisions of all samples are taken in one batch; time and memory are O(K). Samples that have ended cost nothing.

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
        sees_reference = policy.card.observation == "candidates"
        self._blind = (np.resize(SPREADS, samples) > 0.0) & sees_reference
        decisions = cast(DecisionMode, policy.card.decisions)
        self._env = MigrationVectorEnv(
            samples,
            self._scenario,
            decisions,
            autoreset_mode=AutoresetMode.DISABLED,
            observation=policy.card.observation,
        )

    def __call__(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        """Return the best of the plans, the same for the same state of `rng`."""
        threads = numba.get_num_threads()
        numba.set_num_threads(1)  # decisions are short: on a busy machine threads would mostly wait for each other
        try:
            return self._best_plan(scenario, rng)
        finally:
            numba.set_num_threads(threads)

    def _best_plan(self, scenario: Scenario, rng: np.random.Generator) -> Plan:
        env = self._env
        self._scenario.give(scenario)
        observation, _ = env.reset()
        tastes = self._tastes(rng)
        delays_s = np.full(env.num_envs, np.inf)
        actions = np.full(env.num_envs, env.stop_action)
        running = np.arange(env.num_envs)
        while len(running):
            seen = {name: array[running] for name, array in observation.items()}
            actions[running] = self._choices(seen, running, tastes, rng)
            observation, _, ended, _, infos = env.step(actions)
            if ended[running].any():
                now = running[ended[running]]
                delays_s[now] = infos["mean_delay_s"][now]
                running = running[~ended[running]]
        return env.plan(int(delays_s.argmin()))

    def _choices(
        self, seen: Observations, samples: NDArray[np.int64], tastes: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the actions of some samples, (R,), given what there is to see and the tastes of all, (K, A)."""
        blind = self._blind[samples]
        if blind.any():
            seen["observation"][blind] = blinded(seen["observation"][blind], REFERENCE_FEATURES)
        scores = self._policy.scores(seen).numpy()
        chosen = np.empty(len(samples), np.int64)
        chosen[blind] = (scores[blind] + tastes[samples[blind]]).argmax(axis=1)
        chosen[~blind] = _drawn(scores[~blind], rng)
        if samples[0] == 0:
            chosen[0] = scores[0].argmax()
        return chosen

    def _tastes(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw what each sample adds to the score of each action, (K, A); 0 for all samples but the blind ones."""
        layout, samples = self._env.episodes.layout, self._env.num_envs
        tastes = np.zeros((samples, self._env.stop_action + 1), np.float32)
        if self._blind.any():
            spread = np.resize(SPREADS, samples)[:, None, None, None]
            pairs = spread * rng.standard_normal((samples, layout.users, 1, layout.servers))
            tastes[:, :-1] = pairs.repeat(layout.layers, axis=2).reshape(samples, -1)
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


def _drawn(scores: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an action per row, drawn by its score (R, A) as the logarithm of its probability.

    The cumulative distribution is inverted: one random number per row. An illegal action adds nothing to the cumulative
    sum, so it is never the first above the level.
    """
    cumulative = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1, dtype=np.float64)
    levels = rng.random((len(scores), 1)) * cumulative[:, -1:]
    chosen: NDArray[np.int64] = (cumulative <= levels).sum(axis=1)
    return chosen.clip(max=scores.shape[1] - 1)  # rounding may leave nothing above: the last, "stop"
