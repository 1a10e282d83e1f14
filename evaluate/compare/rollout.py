"""Lets a policy act in scenarios, and notes the delay in each and the time that the policy took."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.policies.name import PolicyName, parse_policy_name
from agents.policies.plan_policy import PlanPolicy
from agents.policies.policy import Policy, plans, resolve_policy
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.families.registry import Generator
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.cold_start import cold_starts_s
from evaluate.compare.record import Record, Rollout

ROWS = 16
"""Number of scenarios that are played side by side: enough to spare a network most of its overhead, few enough to be
divided among workers. Always the same ones are, as a network's scores may depend on their number in the last digits.
Policies that plan play one at a time, so that a plan that took hours is kept before the next one is made."""


class Arena:
    """An environment in which policies play given scenarios, each once and several side by side.

    Args:
        limits: Sizes of the environment.
        scenarios: The scenarios.
        family: Family to which they belong, if models that were trained on another may not act.
        decisions: "joint" or "two-phase".
        generator: The generator that drew the scenarios, if policies may learn from what it knows of their town.
        rows: Number of scenarios that are played side by side, by policies that do not plan.
        first: Number of the first scenario, where these are a part of more. What is random in a policy follows from the
            number of the scenario, so that it does not matter who plays which part.

    Attributes:
        limits: As given.
        decisions: As given.

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
        rows: int = ROWS,
        first: int = 0,
    ) -> None:
        if not scenarios:
            raise ValueError("scenarios is 0; evaluate at least 1.")
        for scenario in scenarios:
            limits.check(scenario)
        self.limits, self.decisions = limits, decisions
        self._scenarios, self._family, self._generator = scenarios, family, generator
        self._rows, self._first = rows, first

    @property
    def numbers(self) -> range:
        """The numbers of the scenarios, N of them."""
        return range(self._first, self._first + len(self._scenarios))

    def scenario(self, number: int) -> Scenario:
        """Return the scenario of a number."""
        return self._scenarios[number - self._first]

    def parts(self, name: str | PolicyName) -> list[Arena]:
        """Return arenas with the scenarios that a policy plays side by side; each can be played by another worker."""
        size = 1 if plans(_parsed(name)) else self._rows
        return [
            Arena(
                self.limits,
                self._scenarios[begin : begin + size],
                self._family,
                self.decisions,
                self._generator,
                self._rows,
                self._first + begin,
            )
            for begin in range(0, len(self._scenarios), size)
        ]

    def policy(self, name: str | PolicyName, seed: int) -> tuple[Policy, MigrationVectorEnv]:
        """Return a policy and the environment in which it acts.

        Raises:
            ValueError: If no policy has that name, or it cannot act here.
        """
        env = self._env(1 if plans(_parsed(name)) else min(len(self._scenarios), self._rows))
        return resolve_policy(name, env, seed, self._family, self._first), env

    def warm_up(self, name: str | PolicyName, seed: int) -> None:
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
        """Play every scenario once: one after another if the policy plans, and else side by side.

        What is played side by side is played as a whole, again if only some of its records are known.

        Args:
            policy: The policy.
            env: The environment that `policy` returned with it.
            on_end: Called at the end of each episode with its record; also for records that were known.
            known: Records of an earlier rollout that was stopped, by the number of their scenario.

        Raises:
            ValueError: If there are more scenarios than are played side by side (play the `parts` then), or a known
                scenario is played again and ends otherwise than it did.
        """
        known, found = {} if known is None else known, list[Record]()
        records: Iterable[Record]
        if all(number in known for number in self.numbers):
            records = [known[number] for number in self.numbers]
        elif isinstance(policy, PlanPolicy):
            records = self._one_by_one(policy, env, known)
        else:
            records = self._side_by_side(policy, env)
        for record in records:
            found.append(_confirmed(known.get(record.scenario, record), record))
            on_end(found[-1])
        return Rollout.of(found)

    def plans(self, actions: Iterable[Sequence[int]]) -> Iterator[Plan]:
        """Yield the plan that a policy decided in each scenario, given its actions there, which are taken again."""
        env = self._env(1)
        for scenario, taken in zip(self._scenarios, actions, strict=True):
            env.reset(options={"scenarios": [scenario]})
            for action in taken:
                env.step(np.array([action]))
            yield env.plan(0)

    def timelines(self, actions: Iterable[Sequence[int]]) -> Iterator[Timeline]:
        """Yield what happens in each scenario under the plan that a policy decided there, given its actions."""
        for scenario, plan in zip(self._scenarios, self.plans(actions), strict=True):
            yield simulate(scenario, plan)

    def _one_by_one(self, policy: PlanPolicy, env: MigrationVectorEnv, known: Mapping[int, Record]) -> Iterator[Record]:
        """Yield the record of each scenario in turn: the one that is known, or else that of an episode played now."""
        for index, number in enumerate(self.numbers):
            policy.use_stream(0, (number, 0))
            yield known[number] if number in known else self._planned(index, policy, env)

    def _planned(self, index: int, policy: PlanPolicy, env: MigrationVectorEnv) -> Record:
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

    def _side_by_side(self, policy: Policy, env: MigrationVectorEnv) -> Iterator[Record]:
        """Play every scenario in a row of its own; yield the record of each when it ends."""
        count = len(self._scenarios)
        if count != env.num_envs:
            raise ValueError(f"there are {count} scenarios for the {env.num_envs} rows of the environment; play parts.")
        began_s = time.perf_counter()
        observation, _ = env.reset(options={"scenarios": self._scenarios})
        planning_s = np.full(count, (time.perf_counter() - began_s) / count)
        playing, begins, state = np.ones(count, np.bool_), np.ones(count, np.bool_), None
        taken: list[list[int]] = [[] for _ in self._scenarios]
        while playing.any():
            began_s = time.perf_counter()
            actions, state = policy.predict(observation, state, begins, deterministic=True)
            observation, _, ended, _, infos = env.step(actions)
            planning_s[playing] += (time.perf_counter() - began_s) / playing.sum()
            for row in np.flatnonzero(playing).tolist():
                taken[row].append(int(actions[row]))
                if ended[row]:
                    yield self._record(row, env, row, infos, taken[row], float(planning_s[row]))
            playing &= ~ended
            begins[:] = False

    def _env(self, rows: int) -> MigrationVectorEnv:
        return MigrationVectorEnv(
            rows,
            self._generator,
            limits=self.limits,
            decisions=self.decisions,
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
            scenario=self._first + index,
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


def _parsed(name: str | PolicyName) -> PolicyName:
    return parse_policy_name(name) if isinstance(name, str) else name


def _confirmed(known: Record, again: Record) -> Record:
    """Return a known record; raise an error if the scenario has now ended otherwise."""
    if not math.isclose(known.mean_delay_s, again.mean_delay_s, rel_tol=1e-9):
        raise ValueError(
            f"scenario {known.scenario} now has a mean delay of {again.mean_delay_s} s, not {known.mean_delay_s} s as "
            "before the evaluation was stopped; begin anew with --overwrite, or name another --out."
        )
    return known
