"""Lets a policy act in scenarios, and notes the delay in each and the time that the policy took."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.policies.name import ModelName, PolicyName, parse_policy_name
from agents.policies.policy import Policy, resolve_policy
from dnnmig_env.arrays import Bools
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.observer import ObservationKind
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from evaluate.compare.cold_start import cold_starts_s
from evaluate.compare.record import Record, Rollout

MOST_ROWS = 16
"""Most scenarios that are played side by side: enough to spare a network most of its overhead, few enough to show
progress."""


class Arena:
    """An environment in which policies play given scenarios, each once and several side by side.

    Args:
        limits: Sizes of the environment.
        scenarios: The scenarios.
        family: Family to which they belong, if models that were trained on another may not act.
        decisions: "joint" or "two-phase".

    Raises:
        ValueError: If there is no scenario, or one does not fit the limits.
    """

    def __init__(
        self, limits: Limits, scenarios: Sequence[Scenario], family: str | None, decisions: DecisionMode = "joint"
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

    def roll_out(
        self,
        policy: Policy,
        env: MigrationVectorEnv,
        on_end: Callable[[Record], object] = lambda record: None,
        known: Mapping[int, Record] | None = None,
    ) -> Rollout:
        """Play every scenario once.

        Some scenarios may be known from an earlier rollout that was stopped. Their actions are then repeated without
        asking the policy, so that each other scenario gets the row and the random numbers that it would have had.

        Args:
            policy: The policy.
            env: The environment that `policy` returned with it.
            on_end: Called at the end of each episode with its record; also of those that were known.
            known: Records that are known, by the number of their scenario.

        Raises:
            ValueError: If a known scenario ends otherwise than it did.
        """
        known = {} if known is None else known
        if len(known) == len(self._scenarios):
            for record in known.values():
                on_end(record)
            return Rollout.of(list(known.values()))
        records: list[Record] = []
        planning_s = np.zeros(len(self._scenarios))
        taken: list[list[int]] = [[] for _ in self._scenarios]
        waiting = deque(range(env.num_envs, len(self._scenarios)))
        playing = np.arange(env.num_envs)  # scenario of each row, -1 = none left
        began_s = time.perf_counter()
        observation, _ = env.reset(options={"scenarios": self._scenarios[: env.num_envs]})
        planning_s[: env.num_envs] += (time.perf_counter() - began_s) / env.num_envs
        begins, state = np.ones(env.num_envs, np.bool_), None
        while (playing >= 0).any():
            repeats = np.array([int(index) in known for index in playing])
            began_s = time.perf_counter()
            actions, state = policy.predict(_asking(observation, ~repeats), state, begins, deterministic=True)
            actions = np.array(actions)
            for row in np.flatnonzero(repeats):
                actions[row] = known[int(playing[row])].actions[len(taken[playing[row]])]
            observation, _, _, _, infos = env.step(actions)
            spent_s = time.perf_counter() - began_s
            asked = playing[(playing >= 0) & ~repeats]
            planning_s[asked] += spent_s / max(1, len(asked))
            for row in np.flatnonzero(playing >= 0):
                taken[playing[row]].append(int(actions[row]))
            begins[:] = False
            for row in np.flatnonzero(infos.get("_mean_delay_s", ())):
                index = int(playing[row])
                own_s = getattr(policy, "planning_s", None)
                record = self._record(index, env, int(row), infos, tuple(taken[index]))
                record = replace(record, planning_s=float(planning_s[index] if own_s is None else own_s[row]))
                records.append(_confirmed(known[index], record) if index in known else record)
                on_end(records[-1])
                playing[row] = waiting.popleft() if waiting else -1
                begins[row] = playing[row] >= 0
            if begins.any():
                following = [self._scenarios[index] for index in playing[begins]]
                began_s = time.perf_counter()
                observation, _ = env.reset(options={"scenarios": following, "reset_mask": begins})
                planning_s[playing[begins]] += (time.perf_counter() - began_s) / len(following)
        return Rollout.of(records)

    def _env(self, name: PolicyName, rows: int) -> MigrationVectorEnv:
        """Return an environment with the kind of observations that a policy needs."""
        kind: ObservationKind = "plain"
        if isinstance(name, ModelName):
            from agents.policies.trained import observation_of

            kind = observation_of(name.path(self._family), self._decisions)
        return MigrationVectorEnv(
            rows,
            limits=self._limits,
            decisions=self._decisions,
            autoreset_mode=AutoresetMode.DISABLED,
            observation=kind,
        )

    def _record(
        self,
        index: int,
        env: MigrationVectorEnv,
        row: int,
        infos: dict[str, NDArray[np.generic]],
        actions: tuple[int, ...],
    ) -> Record:
        """Return what came of the episode in a row of the environment, without the time that the policy took."""
        cold_s, device_s = cold_starts_s(self._scenarios[index], env.plan(row))
        illegal = bool(infos["illegal_action"][row])
        return Record(
            scenario=index,
            mean_delay_s=float(infos["mean_delay_s"][row]),
            device_only_s=float(infos["device_only_delay_s"][row]),
            cold_start_s=max(cold_s, device_s) if illegal else cold_s,
            device_only_cold_start_s=device_s,
            planning_s=0.0,
            decisions=len(actions),
            illegal=illegal,
            actions=actions,
        )


def _asking(observation: Observations, rows: Bools) -> Observations:
    """Return observations in which only some rows may act; the masks of the others are empty, so that none plans."""
    if rows.all():
        return observation
    return {**observation, "action_mask": observation["action_mask"] * rows[:, np.newaxis]}


def _confirmed(known: Record, again: Record) -> Record:
    """Return a known record; raise an error if the scenario has now ended otherwise."""
    if not math.isclose(known.mean_delay_s, again.mean_delay_s, rel_tol=1e-9):
        raise ValueError(
            f"scenario {known.scenario} now has a mean delay of {again.mean_delay_s} s, not {known.mean_delay_s} s as "
            "before the evaluation was stopped; begin anew with --overwrite, or name another --out."
        )
    return known
