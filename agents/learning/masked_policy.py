"""Policies for SB3's PPO and A2C and for MaskablePPO that choose among legal actions only.

The mask is a part of the observation. So nothing has to be fetched from the environments, and no way of calling a
policy (SB3's `predict`, `evaluate_policy`, callbacks) can forget it.
"""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.distributions import MaskableCategoricalDistribution
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import Tensor, nn

from agents.policy_networks.facts import FactsNetwork
from agents.policy_networks.likeliest import likeliest
from dnnmig_env.envs.facts.layout import FactsLayout

SEEN = ("observation", "action_mask")
"""The parts of an observation with which a policy network is called, in this order."""


class NotFiniteError(ValueError):
    """A number of a model or of its training is NaN or infinite, so that nothing good can come any more.

    Args:
        what: The number, or numbers, and a verb, such as "weights are".
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not finite")


def all_finite(scores: Tensor, values: Tensor) -> None:
    """Check what a policy network has returned.

    Raises:
        NotFiniteError: If a score or value is NaN or infinite.
    """
    if not torch.isfinite(scores.detach().sum() + values.detach().sum()):
        raise NotFiniteError("scores or values of the policy network are")


class Unchanged(BaseFeaturesExtractor):
    """Hands the parts of an observation on as they are; the policy network behind it takes them apart."""

    def __init__(self, observation_space: spaces.Space[Any]) -> None:
        super().__init__(observation_space, features_dim=1)

    def forward(self, observations: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the observations."""
        return observations


class ScoresAndValue(nn.Module):
    """The policy network under the three method names by which SB3 calls it.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, observations: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return scores (B, A) and values (B, 1).

        Raises:
            NotFiniteError: If one is NaN or infinite.
        """
        scores, values = self.network(observations["observation"], observations["action_mask"])
        all_finite(scores, values)
        return scores, values

    def forward_actor(self, observations: dict[str, Tensor]) -> Tensor:
        """Return scores (B, A)."""
        return self.forward(observations)[0]

    def forward_critic(self, observations: dict[str, Tensor]) -> Tensor:
        """Return values (B, 1)."""
        return self.forward(observations)[1]


class MaskedCategorical(torch.distributions.Categorical):
    """A categorical distribution over scores some of which are `ILLEGAL`; faster than torch's own.

    Actions are drawn by inverting the cumulative distribution: one random number per row instead of one per action.
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return one action per row."""
        cumulative = self.probs.cumsum(-1)
        levels = torch.rand_like(cumulative[..., :1]) * cumulative[..., -1:]
        # The first action whose cumulative sum exceeds the level is a legal one: illegal ones add nothing to the sum.
        chosen = torch.searchsorted(cumulative, levels, right=True).squeeze(-1)
        return chosen.clamp(max=self.logits.shape[-1] - 1)  # if rounding leaves none above: the last action, "stop"

    def entropy(self) -> Tensor:
        """Return the entropy of each row in nats; illegal actions add exactly 0."""
        return -(self.logits * self.probs).sum(-1)


class Likeliest:
    """What SB3's distributions are given: the decision that is taken if none is drawn.

    A distribution inherits this class first, then one of SB3's classes.

    Args:
        action_dim: Number of actions.
        lanes: Whether there are several lanes, see `likeliest`.
    """

    distribution: Any

    def __init__(self, action_dim: int, *, lanes: bool) -> None:
        super().__init__(action_dim)  # type: ignore[call-arg]
        self._lanes = lanes

    def mode(self) -> Tensor:
        """Return the likeliest decision of each row."""
        return likeliest(self.distribution.logits, lanes=self._lanes)


class MaskedDistribution(Likeliest, CategoricalDistribution):
    """SB3's categorical distribution on top of `MaskedCategorical`."""

    def proba_distribution(self, action_logits: Tensor) -> MaskedDistribution:
        """Set the scores of the actions."""
        self.distribution = MaskedCategorical(action_logits)
        return self


class MaskableDistribution(Likeliest, MaskableCategoricalDistribution):
    """sb3-contrib's categorical distribution with masks."""


class OwnArguments:
    """What our policies have in common: the arguments of `FactsNetwork` beside those of SB3's policies.

    A policy inherits this class first, then one of SB3's policy classes.

    Args:
        observation_space: The environment's.
        action_space: The environment's.
        lr_schedule: Learning rate as a function of the remaining share of training.
        layout: How the environment lays its observations out; give it as `policy_kwargs`.
        width: See `FactsNetwork`.
        context: See `FactsNetwork`.
        **kwargs: As of SB3's policy class.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        layout: FactsLayout,
        width: int = 32,
        context: int = 64,
        **kwargs: Any,
    ) -> None:
        self.layout, self.width, self.context = layout, width, context
        super().__init__(observation_space, action_space, lr_schedule, features_extractor_class=Unchanged, **kwargs)  # type: ignore

    def make_network(self) -> nn.Module:
        """Return a new policy network."""
        return FactsNetwork(self.layout, self.width, self.context)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Return the parameters by which SB3 makes the same policy again: with ours, less the one that is fixed."""
        parameters: dict[str, Any] = super()._get_constructor_parameters()  # type: ignore[misc]
        parameters.pop("features_extractor_class")
        own = ("layout", "width", "context")
        return {**parameters, **{name: getattr(self, name) for name in own}}


class MaskedActorCriticPolicy(OwnArguments, ActorCriticPolicy):
    """Policy for PPO and A2C."""

    def _build(self, lr_schedule: Schedule) -> None:
        self.action_dist = MaskedDistribution(int(self.action_space.n), lanes=self.layout.lanes)  # type: ignore[attr-defined]
        _build(self, lr_schedule)


class MaskableMigrationPolicy(OwnArguments, MaskableActorCriticPolicy):
    """Policy for sb3-contrib's MaskablePPO. The mask in the observation holds even where it hands over none."""

    def _build(self, lr_schedule: Schedule) -> None:
        self.action_dist = MaskableDistribution(int(self.action_space.n), lanes=self.layout.lanes)  # type: ignore[attr-defined]
        _build(self, lr_schedule)


def _build(policy: MaskedActorCriticPolicy | MaskableMigrationPolicy, lr_schedule: Schedule) -> None:
    """Put the policy network where SB3 expects hidden layers; its scores and values are used as they are."""
    policy.mlp_extractor = ScoresAndValue(policy.make_network())  # type: ignore[assignment]
    policy.action_net = nn.Identity()
    policy.value_net = nn.Identity()  # type: ignore[assignment]
    optimizer_class: Any = policy.optimizer_class
    policy.optimizer = optimizer_class(policy.parameters(), lr=lr_schedule(1), **policy.optimizer_kwargs)
