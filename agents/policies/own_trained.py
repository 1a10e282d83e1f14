"""Trained models whose policy is of a class of one's own: that class is imported, and acts by its own `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agents.policies.card import Card
from agents.policies.own_policy import SavedModel
from agents.policies.trained import check_fit, find, read_model
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from dnnmig_env.files.own_code import arguments_of, imported, wrong_kind


class OwnTrainedPolicy(SavedModel):
    """A policy of Stable-Baselines3 that acts; one that takes masks is given those of the observations.

    Args:
        policy: The policy.
        card: What it was trained for.
    """

    def __init__(self, policy: Any, card: Card) -> None:
        super().__init__(policy)
        self.card = card


def load_own(path: str | Path, env: MigrationVectorEnv, family: str | None = None) -> OwnTrainedPolicy:
    """Read a trained policy whose card names a class of one's own.

    Args:
        path: A model file, or a training run's folder, of which the best model is read.
        env: The environment in which the policy will act.
        family: Family of the scenarios in which it will act; None = any.

    Raises:
        ValueError: If there is no such file, it is no complete model, the class cannot be imported or made, its weights
            do not fit here, or the model was trained for something else.
    """
    from stable_baselines3.common.policies import BasePolicy

    file = find(path)
    card, weights = read_model(file)
    check_fit(file, card, env, family)
    name = card.policy_class or ""
    found: Any
    try:
        found = imported(name)
    except ValueError as error:
        raise ValueError(f"{file} was trained with a policy class of its own: {error}") from None
    if not isinstance(found, type) or not issubclass(found, BasePolicy):
        raise wrong_kind(name, found, "the policy class with which the model was trained")
    known = {"layout": env.episodes.facts, "width": card.width, "context": card.context}
    made: Any = found
    try:
        policy = made(
            env.single_observation_space,
            env.single_action_space,
            lambda _: 0.0,  # a learning rate, since nothing is learned any more
            **(known if any(one.name == "layout" for one in arguments_of(made)) else {}),
            **card.policy_settings,
        )
    except Exception as error:  # whatever the class raises
        raise ValueError(
            f"{file}: its policy class {name} cannot be made ({type(error).__name__}: {error}); use the edition of the "
            "class that was trained."
        ) from error
    try:
        policy.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError):
        raise ValueError(
            f"the weights in {file} do not fit {name} in scenarios of {env.episodes.facts.users} users, "
            f"{env.episodes.facts.layers} layers and {env.episodes.facts.servers} servers at most; it was trained for "
            f"{card.users}, {card.layers} and {card.servers}: give scenarios of these sizes, or train again."
        ) from None
    if not all(bool(torch.isfinite(weight).all()) for weight in policy.state_dict().values()):
        raise ValueError(
            f"{file} has weights that are not finite (NaN or infinite): its training has failed; "
            "take an earlier model, or train anew with a smaller learning rate."
        )
    policy.set_training_mode(False)
    return OwnTrainedPolicy(policy, card)
