"""Lets a policy act in scenarios, and notes the delay in each and the time that the policy took."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.policies.name import ModelName, PlannerName, PolicyName, parse_policy_name
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import Policy, resolve_policy
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import Generator
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from evaluate.compare.cold_start import cold_starts_s
from evaluate.compare.record import Record, Rollout

MOST_ROWS = 16
"""Most scenarios that are played side by side: enough to spare a network most of its overhead, few enough to show
progress. Policies that plan play one at a time, so that a plan that took hours is kept before the next one is made."""


class Arena:
    """An environment in which policies play given scenarios, each once and several side by side.

    Args:
        limits: Sizes of the environment.
        scenarios: The scenarios.
        family: Family to which they belong, if models that were trained on another may not act.
        decisions: "joint" or "two-phase".
        generator: The generator that drew the scenarios, if policies may learn from what it knows of their town.

    Raises:
        ValueError: If there is no scenario, or one does not fit the limits.
    """

    def __init__(
        self,
        limits: Limits,
        scenarios: Sequence[Scenario],
        family: str | None,
        decisions: DecisionMode = "joint",
        generator: Generator | None = None,
    ) -> None:
        if not scenarios:
            raise ValueError("scenarios is 0; evaluate at least 1.")
        for scenario in scenarios:
            limits.check(scenario)
        self._limits, self._scenarios, self._family, self._decisions = limits, scenarios, family, decisions
        self._generator = generator

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
        plans = isinstance(name, PlannerName) or (isinstance(name, ModelName) and name.samples > 0)
        env = self._env(1 if plans else min(len(self._scenarios), MOST_ROWS))
        policy = resolve_policy(name, env, seed, self._family)
        if isinstance(policy, PlanPolicy):
            for scenario in self._scenarios:
                policy.check(scenario)
        return policy, env

    def warm_up(self, name: str, seed: int) -> None:
        """Let a policy decide once, so that compilation and first calls do not count as planning."""
        env = self._env(1)
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

        Policies that plan play one scenario after another, others several side by side. Either way the random numbers
        are those of `MOST_ROWS` rows side by side, whatever is known already.

        Args:
            policy: The policy.
            env: The environment that `policy` returned with it.
            on_end: Called at the end of each episode with its record; also for records that were known.
            known: Records of an earlier rollout that was stopped, by the number of their scenario.

        Raises:
            ValueError: If a known scenario is played again and ends otherwise than it did.
        """
        known = {} if known is None else known
        if len(known) == len(self._scenarios):
            records = iter(known.values())
        elif isinstance(policy, PlanPolicy):
            records = self._one_by_one(policy, env, known)
        else:
            records = self._side_by_side(policy, env, known)
        found = []
        for record in records:
            found.append(record)
            on_end(record)
        return Rollout.of(found)

    def plans(self, rollout: Rollout) -> Iterator[Plan]:
        """Yield the plan that a policy decided in each scenario; its actions are taken again."""
        env = self._env(1)
        for scenario, actions in zip(self._scenarios, rollout.actions, strict=True):
            env.reset(options={"scenarios": [scenario]})
            for action in actions:
                env.step(np.array([action]))
            yield env.plan(0)

    def _one_by_one(self, policy: PlanPolicy, env: MigrationVectorEnv, known: Mapping[int, Record]) -> Iterator[Record]:
        """Yield the record of each scenario in turn: the one that is known, or else that of an episode played now."""
        episode = env.episode(0) + 1
        free = [(0, row, episode) for row in range(min(len(self._scenarios), MOST_ROWS))]
        for index in range(len(self._scenarios)):
            step, row, episode = heapq.heappop(free)  # the row that would be the first to be free
            record = known.get(index)
            if record is None:
                policy.use_stream(0, (row, episode))
                record = self._played(index, policy, env)
            yield record
            heapq.heappush(free, (step + record.decisions, row, episode + 1))

    def _played(self, index: int, policy: PlanPolicy, env: MigrationVectorEnv) -> Record:
        """Play a scenario in the one row of an environment, with a policy that plans."""
        observation, _ = env.reset(options={"scenarios": [self._scenarios[index]]})
        begins, ended, state, taken = np.ones(1, np.bool_), np.zeros(1, np.bool_), None, list[int]()
        infos: dict[str, Any] = {}
        while not ended[0]:
            actions, state = policy.predict(observation, state, begins, deterministic=True)
            observation, _, ended, _, infos = env.step(actions)
            taken.append(int(actions[0]))
            begins[:] = False
        return self._record(index, env, 0, infos, taken, float(policy.planning_s[0]))

    def _side_by_side(self, policy: Policy, env: MigrationVectorEnv, known: Mapping[int, Record]) -> Iterator[Record]:
        """Yield the record of each scenario when it ends; the actions of those that are known are taken again."""
        planning_s = np.zeros(len(self._scenarios))
        taken: list[list[int]] = [[] for _ in self._scenarios]
        waiting = deque(range(env.num_envs, len(self._scenarios)))
        playing = np.arange(env.num_envs)  # scenario of each row, -1 = none left
        began_s = time.perf_counter()
        observation, _ = env.reset(options={"scenarios": self._scenarios[: env.num_envs]})
        planning_s[: env.num_envs] += (time.perf_counter() - began_s) / env.num_envs
        begins, state = np.ones(env.num_envs, np.bool_), None
        while (playing >= 0).any():
            began_s = time.perf_counter()
            chosen, state = policy.predict(observation, state, begins, deterministic=True)
            actions = np.array(chosen)
            for row, index in enumerate(playing.tolist()):
                if index in known:
                    actions[row] = known[index].actions[len(taken[index])]
            observation, _, ended, _, infos = env.step(actions)
            spent_s = time.perf_counter() - began_s
            active = playing[playing >= 0]
            planning_s[active] += spent_s / len(active)
            for row, index in enumerate(playing.tolist()):
                if index >= 0:
                    taken[index].append(int(actions[row]))
            begins[:] = False
            for row in np.flatnonzero(ended & (playing >= 0)).tolist():
                index = int(playing[row])
                record = self._record(index, env, row, infos, taken[index], float(planning_s[index]))
                yield _confirmed(known[index], record) if index in known else record
                playing[row] = waiting.popleft() if waiting else -1
                begins[row] = playing[row] >= 0
            if begins.any():
                following = [self._scenarios[index] for index in playing[begins]]
                began_s = time.perf_counter()
                observation, _ = env.reset(options={"scenarios": following, "reset_mask": begins})
                planning_s[playing[begins]] += (time.perf_counter() - began_s) / len(following)

    def _env(self, rows: int) -> MigrationVectorEnv:
        return MigrationVectorEnv(
            rows,
            self._generator,
            limits=self._limits,
            decisions=self._decisions,
            autoreset_mode=AutoresetMode.DISABLED,
        )

    def _record(
        self,
        index: int,
        env: MigrationVectorEnv,
        row: int,
        infos: Mapping[str, NDArray[np.generic]],
        actions: Sequence[int],
        planning_s: float,
    ) -> Record:
        """Return what came of the episode in a row of the environment."""
        timeline = simulate(self._scenarios[index], env.plan(row))
        cold_s, device_s = cold_starts_s(timeline)
        illegal = bool(infos["illegal_action"][row])
        return Record(
            scenario=index,
            mean_delay_s=float(infos["mean_delay_s"][row]),
            device_only_s=float(infos["device_only_delay_s"][row]),
            cold_start_s=max(cold_s, device_s) if illegal else cold_s,
            device_only_cold_start_s=device_s,
            planning_s=planning_s,
            decisions=len(actions),
            illegal=illegal,
            actions=tuple(actions),
            **asdict(timeline.moves),
        )


def _confirmed(known: Record, again: Record) -> Record:
    """Return a known record; raise an error if the scenario has now ended otherwise."""
    if not math.isclose(known.mean_delay_s, again.mean_delay_s, rel_tol=1e-9):
        raise ValueError(
            f"scenario {known.scenario} now has a mean delay of {again.mean_delay_s} s, not {known.mean_delay_s} s as "
            "before the evaluation was stopped; begin anew with --overwrite, or name another --out."
        )
    return known
