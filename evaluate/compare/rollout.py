"""Lets a policy act in scenarios, and notes the delay in each and the time that the policy took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.policies.name import ModelName, PolicyName, parse_policy_name
from agents.policies.policy import Policy, resolve_policy
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.observer import ObservationKind
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from evaluate.compare.cold_start import cold_starts_s

MOST_ROWS = 16
"""Most scenarios that are played side by side: enough to spare a network most of its overhead, few enough to show
progress."""


@dataclass(frozen=True, eq=False)
class Rollout:
    """What a policy reached in N scenarios.

    Attributes:
        mean_delay_s: Mean query delay J, shape (N,).
        device_only_s: J of uploading nothing, shape (N,).
        cold_start_s: Cold-start delay of what was uploaded, mean over users (see `evaluate.compare.cold_start`), shape
            (N,). After an illegal action it is at least that of uploading nothing.
        device_only_cold_start_s: Cold-start delay of uploading nothing, shape (N,).
        planning_s: Seconds that the policy took, shape (N,). For a planner it is its own time. For other policies it is
            the time of `predict` and of the environment, which works out what they see; scenarios that are decided in
            one call share it equally.
        decisions: Number of decisions, shape (N,).
        illegal: Whether an illegal action ended the episode, shape (N,).
    """

    mean_delay_s: Floats
    device_only_s: Floats
    cold_start_s: Floats
    device_only_cold_start_s: Floats
    planning_s: Floats
    decisions: Ints
    illegal: Bools


class Arena:
    """An environment in which policies play given scenarios, each once and several side by side.

    Args:
        limits: Sizes of the environment.
        scenarios: The scenarios.
        family: Family to which they belong; models that were trained on it may act.
        decisions: "joint" or "two-phase".

    Raises:
        ValueError: If there is no scenario, or one does not fit the limits.
    """

    def __init__(
        self, limits: Limits, scenarios: Sequence[Scenario], family: str, decisions: DecisionMode = "joint"
    ) -> None:
        if not scenarios:
            raise ValueError("scenarios is 0; evaluate at least 1.")
        for scenario in scenarios:
            limits.check(scenario)
        self._limits, self._scenarios, self._family, self._decisions = limits, scenarios, family, decisions

    @property
    def num_scenarios(self) -> int:
        """Number of scenarios, N."""
        return len(self._scenarios)

    def policy(self, name: str | PolicyName, seed: int) -> tuple[Policy, MigrationVectorEnv]:
        """Return a policy and the environment in which it acts.

        Raises:
            ValueError: If no policy has that name, or it cannot act here.
        """
        name = parse_policy_name(name) if isinstance(name, str) else name
        env = self._env(name, min(len(self._scenarios), MOST_ROWS))
        return resolve_policy(name, env, seed, self._family), env

    def warm_up(self, name: str, seed: int) -> None:
        """Let a policy decide once, so that compilation and first calls do not count as planning."""
        env = self._env(parse_policy_name(name), 1)
        observation, _ = env.reset(options={"scenarios": [self._scenarios[0]]})
        actions, _ = resolve_policy(name, env, seed, self._family).predict(
            observation, episode_start=np.ones(1, np.bool_)
        )
        env.step(actions)

    def roll_out(self, policy: Policy, env: MigrationVectorEnv, on_end: Callable[[], object] = lambda: None) -> Rollout:
        """Play every scenario once.

        Args:
            policy: The policy.
            env: The environment that `policy` returned with it.
            on_end: Called at the end of each episode.
        """
        result = _empty_rollout(len(self._scenarios))
        waiting = deque(range(env.num_envs, len(self._scenarios)))
        playing = np.arange(env.num_envs)  # scenario of each row, -1 = none left
        began_s = time.perf_counter()
        observation, _ = env.reset(options={"scenarios": self._scenarios[: env.num_envs]})
        result.planning_s[: env.num_envs] += (time.perf_counter() - began_s) / env.num_envs
        begins, state = np.ones(env.num_envs, np.bool_), None
        while (playing >= 0).any():
            began_s = time.perf_counter()
            actions, state = policy.predict(observation, state, begins, deterministic=True)
            observation, _, ended, _, infos = env.step(actions)
            spent_s = time.perf_counter() - began_s
            active = playing[playing >= 0]
            result.planning_s[active] += spent_s / len(active)
            result.decisions[active] += 1
            begins[:] = False
            for row in np.flatnonzero(ended & (playing >= 0)):
                self._note(result, int(playing[row]), policy, env, int(row), infos)
                on_end()
                playing[row] = waiting.popleft() if waiting else -1
                begins[row] = playing[row] >= 0
            if begins.any():
                following = [self._scenarios[index] for index in playing[begins]]
                began_s = time.perf_counter()
                observation, _ = env.reset(options={"scenarios": following, "reset_mask": begins})
                result.planning_s[playing[begins]] += (time.perf_counter() - began_s) / len(following)
        return result

    def _env(self, name: PolicyName, rows: int) -> MigrationVectorEnv:
        """Return an environment with the kind of observations that a policy needs."""
        kind: ObservationKind = "plain"
        if isinstance(name, ModelName):
            from agents.policies.trained import read_card

            kind = read_card(name.path(self._family)).observation
        return MigrationVectorEnv(
            rows,
            limits=self._limits,
            decisions=self._decisions,
            autoreset_mode=AutoresetMode.DISABLED,
            observation=kind,
        )

    def _note(
        self,
        result: Rollout,
        index: int,
        policy: Policy,
        env: MigrationVectorEnv,
        row: int,
        infos: dict[str, NDArray[np.generic]],
    ) -> None:
        """Write what came of the episode in a row of the environment to the result of its scenario."""
        result.mean_delay_s[index] = infos["mean_delay_s"][row]
        result.device_only_s[index] = infos["device_only_delay_s"][row]
        result.illegal[index] = infos["illegal_action"][row]
        cold_s, device_s = cold_starts_s(self._scenarios[index], env.plan(row))
        result.cold_start_s[index] = max(cold_s, device_s) if result.illegal[index] else cold_s
        result.device_only_cold_start_s[index] = device_s
        own_s = getattr(policy, "planning_s", None)
        if own_s is not None:
            result.planning_s[index] = own_s[row]


def _empty_rollout(count: int) -> Rollout:
    return Rollout(
        mean_delay_s=np.zeros(count),
        device_only_s=np.zeros(count),
        cold_start_s=np.zeros(count),
        device_only_cold_start_s=np.zeros(count),
        planning_s=np.zeros(count),
        decisions=np.zeros(count, np.int64),
        illegal=np.zeros(count, np.bool_),
    )
