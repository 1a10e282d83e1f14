"""Scenarios that are never trained on, and the delays of policies in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.families.registry import Generator, drawn
from dnnmig_env.simulation.plan import Plan

HELD_OUT_SEED = 2**40
"""Seed of the held-out scenarios; those of training are below 2**33 (`train.run.environment_seed`)."""


class Acting(Protocol):
    """What SB3's models and the policies of this project have in common."""

    def predict(
        self, observation: Observations, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Return actions and the next state."""
        ...


@dataclass(frozen=True, eq=False)
class Delays:
    """Mean query delays in the N held-out scenarios, in seconds.

    Attributes:
        policy_s: Delays of the policy, shape (N,).
        device_only_s: Delays if nothing is uploaded, shape (N,).
        first_plan: What the policy has decided in the first of the scenarios.
    """

    policy_s: Floats
    device_only_s: Floats
    first_plan: Plan

    @property
    def mean_s(self) -> float:
        """Mean delay of the policy over scenarios, in seconds."""
        return float(self.policy_s.mean())

    @property
    def share_of_device_only(self) -> float:
        """Mean over scenarios of the policy's delay divided by the device-only delay.

        In it slow DNNs weigh no more than fast ones.
        """
        return float((self.policy_s / self.device_only_s).mean())


class HeldOut:
    """Some fixed scenarios, and the environment in which policies play them.

    Args:
        generator: Draws the scenarios.
        decisions: "joint" or "two-phase".
        count: Number of scenarios.
    """

    def __init__(self, generator: Generator, decisions: DecisionMode, count: int) -> None:
        self.scenarios = drawn(generator, count, np.random.default_rng(HELD_OUT_SEED))
        self.env = MigrationVectorEnv(count, generator, decisions, autoreset_mode="Disabled")

    def play(self, policy: Acting, advance: Callable[[], object] = lambda: None) -> Delays:
        """Let a policy decide greedily in every scenario, and return the delays.

        Args:
            policy: The policy.
            advance: Called after every step of the environment.
        """
        count = len(self.scenarios)
        observations, _ = self.env.reset(seed=0, options={"scenarios": self.scenarios})
        delays, device = np.full(count, np.nan), np.full(count, np.nan)
        running = np.ones(count, np.bool_)
        while running.any():
            actions, _ = policy.predict(observations, deterministic=True)
            observations, _, ended, _, infos = self.env.step(actions)
            now = running & ended
            if now.any():
                delays[now], device[now] = infos["mean_delay_s"][now], infos["device_only_delay_s"][now]
                running &= ~now
            advance()
        return Delays(delays, device, self.env.plan(0))
