"""An agent that begins with the weights of a trained one, to learn something else or to go on elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from agents.policies.name import ModelName, parse_policy_name
from agents.policies.trained import load
from agents.policy_networks.facts import FactsNetwork
from dnnmig_env.envs.vector_env import MigrationVectorEnv

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


def take_weights(model: BaseAlgorithm, name: str, env: MigrationVectorEnv, family: str) -> None:
    """Give a new model the weights of a trained one, whatever family that was trained on.

    Args:
        model: The new model, of any algorithm but DQN.
        name: The trained one: `pretrained`, a model file, or the folder of a training run.
        env: The environment in which the new model learns.
        family: Its family, for which `pretrained` looks.

    Raises:
        ValueError: If there is no such model, or its network is another one.
    """
    parsed = parse_policy_name(name)
    if not isinstance(parsed, ModelName) or parsed.samples:
        raise ValueError(f"--begin-with is {name!r}; give a trained model: pretrained, a file, or a run's folder.")
    own, trained = network_of(model), load(parsed.path(family), env)
    if trained.scores_are_values:
        raise ValueError(
            f"--begin-with is {name!r}, of which scores are no probabilities; take a model of grpo or ppo."
        )
    if not isinstance(own, FactsNetwork):
        raise ValueError(
            f"--begin-with is {name!r}, whose weights are those of the project's network, but this policy has "
            f"{type(own).__name__}; leave out --begin-with or --policy-class."
        )
    sizes = {"width": (own.width, trained.card.width), "context": (own.summary.out_features, trained.card.context)}
    other = [size for size, (of_own, of_model) in sizes.items() if of_own != of_model]
    if other:
        has = " and ".join(f"--network.{size} is {sizes[size][0]}" for size in other)
        give = " ".join(f"--network.{size} {sizes[size][1]}" for size in other)
        raise ValueError(f"{has}, but the network of {name!r} has other sizes; give {give}.")
    own.load_state_dict(trained.network.state_dict())


def network_of(model: BaseAlgorithm) -> Any:
    """Return the policy network of a model.

    Raises:
        ValueError: If it has none of which the scores are probabilities.
    """
    policy: Any = model.policy
    network: nn.Module | None = getattr(getattr(policy, "mlp_extractor", None), "network", None)
    if network is None:
        raise ValueError(
            "a warm start needs an algorithm with probabilities of actions, such as grpo; DQN has none. A policy class "
            "of your own has to be derived from MaskedActorCriticPolicy."
        )
    return network
