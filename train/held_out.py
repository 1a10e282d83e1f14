"""Scenarios that are never trained on, and how well a policy does on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dnnmig_env.arrays import Floats
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.observer import ObservationKind
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.families.registry import Generator, drawn

HELD_OUT_SEED = 2**40
"""Seed of the held-out scenarios; those of training are below 2**33 (`train.run.environment_seed`)."""


class Acting(Protocol):
    """What SB3's models and this project's policies have in common."""

    def predict(
        self, observation: Observations, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Return actions and the next state."""
        ...


@dataclass(frozen=True, eq=False)
class Delays:
    """Mean query delays on the held-out scenarios, shape (N,) each.

    Attributes:
        policy_s: Of the policy.
        device_only_s: Of uploading nothing.
    """

    policy_s: Floats
    device_only_s: Floats

    @property
    def mean_s(self) -> float:
        """Mean over scenarios, in seconds."""
        return float(self.policy_s.mean())

    @property
    def share_of_device_only(self) -> float:
        """Mean over scenarios of delay / device-only delay: slow networks weigh no more than fast ones."""
        return float((self.policy_s / self.device_only_s).mean())


class HeldOut:
    """Some fixed scenarios, and the environment in which policies meet them.

    Args:
        generator: Draws the scenarios.
        decisions: "joint" or "two-phase".
        count: Number of scenarios.
        observation: What policies see.
    """

    def __init__(
        self, generator: Generator, decisions: DecisionMode, count: int, observation: ObservationKind = "plain"
    ) -> None:
        self.scenarios = drawn(generator, count, np.random.default_rng(HELD_OUT_SEED))
        self.env = MigrationVectorEnv(count, generator, decisions, observation=observation)

    def play(self, policy: Acting, advance: Callable[[], object] = lambda: None) -> Delays:
        """Let a policy decide in every scenario, greedily.

        Args:
            policy: The policy.
            advance: Called after every step.
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
        return Delays(delays, device)
