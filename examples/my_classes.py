r"""A planner, a policy, a policy class and a learning algorithm of one's own, named package.module:NAME in commands.

From the repository's root, for example:

    python -m evaluate --family multi-user --scenarios 5 --out results/my_policies \
        --policies examples.my_classes:largest_first,examples.my_classes:Largest,joint-efficiency
    python -m train --family toy --algorithm examples.my_classes:LouderPPO --settings loudness=3.0 --out runs/my_ppo
"""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import nn

from agents.learning.masked_policy import MaskedActorCriticPolicy
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, plan_of


def largest_first(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Plan to upload every user's layers to the first server, those with most weights first, as far as they fit."""
    room = scenario.servers[0].memory_bytes
    steps = []
    for number, user in enumerate(scenario.users):
        present = user.query_rate_hz[0] > 0
        for layer in np.argsort(-user.graph.weight_bytes, kind="stable").tolist():
            size = user.graph.weight_bytes[layer]
            if present and user.graph.movable[layer] and not user.uploaded[layer] and size <= room:
                room -= size
                steps.append((number, layer, 1))
    return plan_of(steps)


class Largest:
    """Decides likewise, one upload after another: the largest layer, of whichever user, that the first server can take.

    Args:
        env: The environment in which it acts.
    """

    def __init__(self, env: Any) -> None:
        self.env = env

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Return one action per row of the batch of observations, and the next state, which is not used here."""
        masks = observation["action_mask"]
        return np.array([self._action(row, mask) for row, mask in enumerate(masks)]), state

    def _action(self, row: int, mask: Any) -> int:
        users = self.env.scenario(row).users
        best, most = self.env.stop_action, 0.0
        for action in np.flatnonzero(mask):
            chosen = self.env.layout.decode(int(action))
            if chosen is None or chosen[2] != 1:
                continue
            user, layer, _ = chosen
            if users[user].graph.weight_bytes[layer] > most:
                best, most = int(action), users[user].graph.weight_bytes[layer]
        return best


class LouderPPO(PPO):
    """PPO whose entropy counts `loudness` times as much.

    Args:
        *args: As of PPO.
        loudness: The factor, a setting like PPO's own.
        **kwargs: As of PPO.
    """

    def __init__(self, *args: Any, loudness: float = 2.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ent_coef *= loudness


class Doubtful(MaskedActorCriticPolicy):
    """The project's policy with scores that are divided by a temperature before actions are drawn.

    Args:
        *args: As of `MaskedActorCriticPolicy`.
        temperature: The divisor, `--settings policy.temperature=2.0`.
        **kwargs: As of `MaskedActorCriticPolicy`.
    """

    def __init__(self, *args: Any, temperature: float = 1.0, **kwargs: Any) -> None:
        self.temperature = temperature
        super().__init__(*args, **kwargs)

    def make_network(self) -> nn.Module:
        """Return the project's network behind the temperature."""
        return _Cooled(super().make_network(), self.temperature)


class _Cooled(nn.Module):
    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, observation: Any, mask: Any) -> Any:
        scores, values = self.network(observation, mask)
        return scores / self.temperature, values
