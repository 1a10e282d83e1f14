"""What a run must be for its training to go on: the same in its model file as in its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.learning.checkpoint import read_training
from agents.policies.card import FORMAT
from agents.policies.trained import load, read_card
from dnnmig_env.envs.vector_env import MigrationVectorEnv
from train.config import TrainConfig


def check_same_run(
    file: Path, config: TrainConfig, env: MigrationVectorEnv, settings: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Check that training can go on with a model file.

    Args:
        file: The model file.
        config: The run's configuration.
        env: The environment in which the training goes on.
        settings: The settings in that configuration.

    Returns:
        The number of decisions on which the model was trained, and all its settings.

    Raises:
        ValueError: If the file is damaged, was made by another version, or does not fit the configuration, or nothing
            is left to train.
    """
    if not file.is_file():
        raise ValueError(f"{file} is missing, so that no training can go on; restore it, or train anew.")
    card, layout = read_card(file), env.episodes.layout
    if card.policy_class is None:
        load(file)  # raises if its weights are no complete network
    if card.format != FORMAT:
        raise ValueError(
            f"{file} was written by another version of this project (format {card.format}, not {FORMAT}), and its "
            f"training cannot go on; evaluate it as it is, or begin another run with its weights: --begin-with {file}."
        )
    training = read_training(file)
    configured = {
        "algorithm": (card.algorithm, config.algorithm),
        "policy class": (card.policy_class, config.policy_class),
        "family": (card.family, None if env.episodes.generator is None else env.episodes.generator.family),
        "decisions": (card.decisions, config.decisions),
        "width": (card.width, config.network.width),
        "context": (card.context, config.network.context),
        "most users": (card.users, layout.users),
        "most layers": (card.layers, layout.layers),
        "most servers": (card.servers, layout.servers),
        **{name: (training.settings.get(name), value) for name, value in settings.items()},
    }
    for name, (of_model, of_config) in configured.items():
        if of_model != of_config:
            raise ValueError(
                f"{file} was trained with {name} {of_model!r}, but config.json beside it says {of_config!r}; "
                "restore the one that was changed, or train anew."
            )
    if card.steps >= config.total_steps:
        raise ValueError(
            f"{file} has been trained for {card.steps} of {config.total_steps} steps (a run ends with a whole round of "
            f"learning); give a --total-steps above {card.steps} to go on."
        )
    return card.steps, training.settings
