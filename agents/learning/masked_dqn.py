"""DQN that explores and acts among legal actions only, and bootstraps from their values only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn

from agents.learning.masked_policy import OwnArguments
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.arrays import Ints

ADVANTAGE_PER_SCORE = 0.02
"""Factor from a network's scores to advantages. Scores begin as logarithms of efficiencies, which differ by some nats;
the values of decisions differ by some hundredths of the return."""


class MaskedQNetwork(QNetwork):
    """Values of actions, `ILLEGAL` for illegal ones, so that both the greedy action and the bootstrap target are legal.

    Args:
        make_network: Makes the policy network, which scores the actions of a state and gives its value.
        **kwargs: As of SB3's `QNetwork`.
    """

    def __init__(self, make_network: Callable[[], nn.Module], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.q_net = nn.Identity()  # type: ignore[assignment]
        self.network = make_network()

    def forward(self, obs: dict[str, Tensor]) -> Tensor:  # type: ignore[override]
        """Return the action values, shape (B, A): the state's value plus the action's advantage (dueling)."""
        parts: Any = self.extract_features(obs, self.features_extractor)
        scores, value = self.network(parts["observation"], parts["action_mask"])
        legal = scores > 0.1 * ILLEGAL  # the action is legal and, if the network sees candidates, one of them
        mean = torch.where(legal, scores, 0.0).sum(-1, keepdim=True) / legal.sum(-1, keepdim=True).clamp(min=1)
        return torch.where(legal, value + ADVANTAGE_PER_SCORE * (scores - mean), scores)


class MaskedDQNPolicy(OwnArguments, DQNPolicy):
    """Policy for `MaskedDQN`."""

    def make_q_net(self) -> MaskedQNetwork:
        """Return a new network."""
        own: BaseFeaturesExtractor | None = None
        arguments = self._update_features_extractor(self.net_args, features_extractor=own)
        return MaskedQNetwork(self.make_network, **arguments).to(self.device)


class MaskedDQN(DQN):
    """SB3's DQN, exploring uniformly among legal actions, independently in each environment."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Return the greedy actions; unless `deterministic`, a random legal one with probability `exploration_rate`."""
        actions, state = self.policy.predict(observation, state, episode_start, deterministic=True)
        if deterministic:
            return actions, state
        random = self._random_legal(observation["action_mask"])
        explores = np.random.random(actions.shape) < self.exploration_rate
        return np.where(explores, random, actions), state

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the actions to take and to store; before learning starts they are random legal ones."""
        observation: Any = self._last_obs
        if self.num_timesteps < learning_starts:
            actions = self._random_legal(observation["action_mask"])
        else:
            actions, _ = self.predict(observation, deterministic=False)
        return actions, actions

    @staticmethod
    def _random_legal(mask: NDArray[Any]) -> Ints:
        # SB3 seeds numpy's global generator, from which its own DQN explores too.
        return np.asarray(np.argmax(np.random.random(mask.shape) * mask, axis=-1), np.int64)
