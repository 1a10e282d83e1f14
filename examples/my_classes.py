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
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from torch import Tensor, nn

from agents.learning.masked_policy import MaskedActorCriticPolicy
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, plan_of


def largest_first(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Plan to upload every user's layers to the first server, those with most weights first, as far as they fit."""
    held = [user.graph.weight_bytes[np.asarray(user.uploaded) == 1].sum() for user in scenario.users]
    room = scenario.servers[0].memory_bytes - sum(held)  # what is there already takes room, too
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


class TwoLayers(MaskedActorCriticPolicy):
    """The project's policy around a network of one's own, which is all that most policies of one's own replace."""

    def make_network(self) -> nn.Module:
        """Return a network of two hidden layers; it fits observations of one size only."""
        return _Mlp(self.layout.size, int(self.action_space.n))  # type: ignore[attr-defined]


class _Mlp(nn.Module):
    """What `make_network` returns is called with observations (B, D) and masks (B, A).

    It returns scores of the actions, shape (B, A), and values, shape (B, 1). Scores of illegal actions are `ILLEGAL`,
    so that they are never taken; all numbers are finite.
    """

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh())
        self.scores, self.value = nn.Linear(128, actions), nn.Linear(128, 1)

    def forward(self, observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(observation)
        return self.scores(hidden).masked_fill(mask == 0, ILLEGAL), self.value(hidden)


class PlainSb3(MultiInputActorCriticPolicy):
    """A policy of Stable-Baselines3 as it is, made to honour the mask, which is a part of the observation.

    Everything else, such as its hidden layers, is set as in Stable-Baselines3.
    """

    def extract_features(self, obs: Any, features_extractor: Any = None) -> Any:
        """Return the features of observations, and remember which actions are legal."""
        self._mask = obs["action_mask"]
        return super().extract_features(obs, features_extractor)

    def get_distribution(self, obs: Any) -> Distribution:
        """Return the probabilities of actions, for which Stable-Baselines3 extracts features in another way."""
        self._mask = obs["action_mask"]
        return super().get_distribution(obs)

    def _get_action_dist_from_latent(self, latent_pi: Tensor) -> Distribution:
        scores = self.action_net(latent_pi).masked_fill(self._mask == 0, ILLEGAL)
        return self.action_dist.proba_distribution(action_logits=scores)


class _Cooled(nn.Module):
    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, observation: Any, mask: Any) -> Any:
        scores, values = self.network(observation, mask)
        return scores / self.temperature, values
