"""DQN that explores and acts among legal actions only, and bootstraps from their values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy, QNetwork
from torch import Tensor, nn

from agents.learning.masked_policy import OwnArguments, all_finite
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.arrays import Ints

ADVANTAGE_PER_SCORE = 0.02
"""Factor from a network's scores to advantages. Scores begin as logarithms of efficiencies, which differ by some nats;
the values of decisions differ by some hundredths of the return."""

_TOLD = ("actions", "rewards", "dones", "timeouts")
"""Arrays of a replay memory beside the observations."""


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
        """Return the action values, shape (B, A): the state's value plus the action's advantage (dueling).

        Raises:
            NotFiniteError: If one is NaN or infinite.
        """
        parts: Any = self.extract_features(obs, self.features_extractor)
        scores, value = self.network(parts["observation"], parts["action_mask"])
        all_finite(scores, value)
        legal = scores > 0.1 * ILLEGAL  # the action is legal
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
    """SB3's DQN, exploring uniformly among legal actions, independently in each environment.

    It explores less and less until a number of decisions that its first call of `learn` sets: a share
    (`exploration_fraction`) of those that it was to take. A longer training later on explores no more than before.

    Attributes:
        exploration_steps: The number of decisions of which that is a share.
    """

    exploration_steps: int | None = None

    def _setup_learn(self, *arguments: Any, **options: Any) -> Any:
        result = super()._setup_learn(*arguments, **options)
        if self.num_timesteps == 0 or self.exploration_steps is None:
            self.exploration_steps = self._total_timesteps
        return result

    def _on_step(self) -> None:
        super()._on_step()
        left = 1.0 - self.num_timesteps / (self.exploration_steps or self._total_timesteps)
        self.exploration_rate = self.exploration_schedule(left)
        self.logger.record("rollout/exploration_rate", self.exploration_rate)

    def memory(self) -> dict[str, NDArray[Any]]:
        """Return the replay memory.

        What a row sees changes little from one decision to the next. So differences of the bits are kept instead, which
        are mostly 0 and take a fifth of the room once they are compressed.
        """
        buffer: Any = self.replay_buffer
        size = buffer.size()
        arrays = {name: getattr(buffer, name)[:size] for name in _TOLD}
        for name, seen in buffer.observations.items():
            now, later = _bits(seen[:size]), _bits(buffer.next_observations[name][:size])
            arrays[f"change_{name}"] = np.diff(now, axis=0, prepend=np.zeros_like(now[:1]))
            arrays[f"next_{name}"] = later - np.roll(now, -1, axis=0)
        arrays["position"] = np.array([buffer.pos, buffer.full], np.int64)
        return arrays

    def remember(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over a replay memory that `memory` returned.

        Raises:
            ValueError: If it is of another size, or of other environments.
        """
        buffer: Any = self.replay_buffer
        position, full = (int(number) for number in arrays["position"])
        size = buffer.buffer_size if full else position
        if not 0 <= position < buffer.buffer_size:
            raise ValueError(f"the replay memory goes on at {position} of {buffer.buffer_size}")
        if not ((arrays["actions"] >= 0) & (arrays["actions"] < self.action_space.n)).all():  # type: ignore[attr-defined]
            raise ValueError("the replay memory has an action that does not exist")
        for name in _TOLD:
            _fill(getattr(buffer, name)[:size], name, arrays[name])
        for name, seen in buffer.observations.items():
            change, later = arrays[f"change_{name}"], arrays[f"next_{name}"]
            now = np.cumsum(change, axis=0, dtype=change.dtype)
            _fill(_bits(seen[:size]), name, now)
            _fill(_bits(buffer.next_observations[name][:size]), name, later + np.roll(now, -1, axis=0))
        buffer.pos, buffer.full = position, bool(full)

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


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array as signed integers of the same size, whose differences lose nothing."""
    return array.view(f"i{array.dtype.itemsize}")


def _fill(place: NDArray[Any], name: str, array: NDArray[Any]) -> None:
    if (array.shape, array.dtype) != (place.shape, place.dtype):
        raise ValueError(f"{name} in the replay memory has shape {array.shape}, not {place.shape}")
    place[:] = array
