"""Trained models as files: the policy that is read back from one.

A model file is a zip file with weights and a card, `dnnmig.json`, that says what the model was trained for. Nothing is
unpickled, so that no code from the file is run; SB3 is not imported, and the environment may have other sizes. What
else is in the file is for going on with the training (`agents.learning.checkpoint`).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from agents.policies.card import CARD, FORMAT, Card, parsed_card
from agents.policies.name import UNTRAINED
from agents.policy_networks.facts import FactsNetwork
from agents.policy_networks.likeliest import likeliest
from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.batch import DecisionMode
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.files.own_code import is_reference

WEIGHTS = "policy.pth"
"""Name of the weights in a model file."""
MODEL, BEST_MODEL = "model.zip", "best_model.zip"
"""Names of the model files in a training run's folder: the latest model, and the best on held-out scenarios."""

NETWORK_PREFIXES = {
    **dict.fromkeys(("ppo", "a2c", "maskable-ppo", "grpo", "self-labelling"), "mlp_extractor.network."),
    "dqn": "q_net.network.",
}
"""What the names of the policy network's weights begin with in the SB3 policy that each algorithm trains."""


class TrainedPolicy:
    """A trained policy network that acts.

    Args:
        network: The network.
        card: What it was trained for.
        scores_are_values: Whether its scores say what actions are worth, as DQN's, and not how likely they are.
    """

    def __init__(self, network: nn.Module, card: Card, *, scores_are_values: bool = False) -> None:
        self.network, self.card, self.scores_are_values = network.eval(), card, scores_are_values

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return the likeliest decision of each row (or for a single observation), or one drawn by score.

        It is drawn if `deterministic` is false, unless the network was trained with DQN.
        """
        single = observation["action_mask"].ndim == 1
        scores = self.scores({name: np.atleast_2d(array) for name, array in observation.items()})
        if self.scores_are_values:
            actions = scores.argmax(-1)
        elif deterministic:
            actions = likeliest(scores, lanes=self.card.lanes)
        else:
            actions = torch.distributions.Categorical(logits=scores).sample()
        return (actions.numpy()[0] if single else actions.numpy()), state

    def scores(self, observation: Observations) -> torch.Tensor:
        """Return the scores of all actions for a batch of observations, shape (B, A), `ILLEGAL` for illegal ones.

        Raises:
            ValueError: If one is not finite, so that the network says nothing.
        """
        with torch.no_grad():
            parts = (torch.as_tensor(observation[name]) for name in ("observation", "action_mask"))
            scores: torch.Tensor = self.network(*parts)[0]
        if not torch.isfinite(scores).all():
            raise ValueError(
                f"the network that {self.card.algorithm} has trained for {self.card.steps} steps in family "
                f"{self.card.family!r} gives scores that are not finite, as its weights are too large: its training "
                "has failed; take an earlier model, or train anew with a smaller learning rate."
            )
        return scores


def load(path: str | Path, env: MigrationVectorEnv | None = None, family: str | None = None) -> TrainedPolicy:
    """Read a trained policy.

    Args:
        path: A model file, or a training run's folder, of which the best model is read.
        env: The environment in which the policy will act; by default one with the sizes of that in which it was
            trained.
        family: Family of the scenarios in which it will act; None = any.

    Raises:
        ValueError: If there is no such file, it is no complete model, or the model was trained for something else.
    """
    file = find(path)
    card, weights = read_model(file)
    if card.policy_class is not None:
        raise ValueError(
            f"{file} was trained with the policy class {card.policy_class}, which acts by itself; its network cannot "
            "be had alone."
        )
    prefix = _prefix(card, weights)
    if prefix is None:
        raise ValueError(
            f"unknown algorithm {card.algorithm!r} on the card of {file}; "
            f"the algorithms are {', '.join(NETWORK_PREFIXES)}."
        )
    if env is not None:
        check_fit(file, card, env, family)
        card = replace(card, **asdict(env.episodes.facts))
    network = FactsNetwork(card.layout, card.width, card.context)
    try:
        own = _of_network(weights, prefix, card.width)
        if not all(weight.is_floating_point() for weight in own.values()):
            raise TypeError
        network.load_state_dict(own)
    except (RuntimeError, TypeError, AttributeError, LookupError):
        raise ValueError(
            f"the weights in {file} do not fit this version's network; train again, or use the version that wrote it."
        ) from None
    if not all(bool(torch.isfinite(weight).all()) for weight in network.state_dict().values()):
        raise ValueError(
            f"{file} has weights that are not finite (NaN or infinite): its training has failed; "
            "take an earlier model, or train anew with a smaller learning rate."
        )
    return TrainedPolicy(network, card, scores_are_values=prefix == NETWORK_PREFIXES["dqn"])


def untrained(env: MigrationVectorEnv, seed: int) -> TrainedPolicy:
    """Return a policy network before any training, which sends what happens to come first."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = FactsNetwork(env.episodes.facts)
    sizes = asdict(env.episodes.facts) | {"width": network.width, "context": network.summary.out_features}
    return TrainedPolicy(network, Card(UNTRAINED, UNTRAINED, env.decision_mode, steps=0, format=FORMAT, **sizes))


def _prefix(card: Card, weights: dict[str, torch.Tensor]) -> str | None:
    """Return what the names of the network's weights begin with; where the algorithm is one's own, as they say."""
    if not is_reference(card.algorithm):
        return NETWORK_PREFIXES.get(card.algorithm)
    prefixes = set(NETWORK_PREFIXES.values())
    return next((prefix for name in weights for prefix in prefixes if name.startswith(prefix)), None)


def _of_network(weights: dict[str, torch.Tensor], prefix: str, width: int) -> dict[str, torch.Tensor]:
    """Return the weights of the policy network among those of an SB3 policy, without the prefix of their names."""
    own = {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
    if "efficiency" in own:  # until format 4, the weight of efficiency with which training began stood by itself
        own["query.bias"][width] += own.pop("efficiency")
    return own


def read_card(path: str | Path) -> Card:
    """Return a model's card.

    Raises:
        ValueError: If there is no such file, or it is no complete model.
    """
    return read_model(find(path))[0]


def find(path: str | Path) -> Path:
    """Return the model file that a path means: the file itself, or a run folder's best (else latest) model.

    Raises:
        ValueError: If there is none.
    """
    path = Path(path)
    if path.is_dir():
        for name in (BEST_MODEL, MODEL):
            if (path / name).is_file():
                return path / name
        raise ValueError(f"folder {path} holds no {BEST_MODEL} or {MODEL}; give the folder of a training run.")
    if not path.is_file():
        raise ValueError(
            f"no model at {path}; give a model file or a training run's folder (python -m train makes one)."
        )
    return path


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn whatever comes up while a model file is read into an error that names the file.

    Raises:
        ValueError: If anything comes up.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(f"cannot read {file}: {error.strerror or error}; give a file that can be read.") from None
    except Exception as error:  # damaged archives and weights raise all sorts of errors
        raise ValueError(
            f"{file} is damaged ({type(error).__name__}); copy it again, or train the model again."
        ) from None


def read_torch(archive: zipfile.ZipFile, name: str) -> Any:
    """Return a torch state in a model file, which can hold nothing but numbers and tensors."""
    return torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)


def read_model(file: Path) -> tuple[Card, dict[str, torch.Tensor]]:
    """Return a model file's card, and the weights of the policy of Stable-Baselines3 that was trained.

    Raises:
        ValueError: If it is no complete model.
    """
    with reading(file), zipfile.ZipFile(file) as archive:
        text = archive.read(CARD) if CARD in archive.namelist() else None
        weights = read_torch(archive, WEIGHTS) if text is not None else {}
        if not isinstance(weights, dict):
            raise TypeError
    if text is None:
        raise ValueError(f"{file} has no {CARD}: it is damaged, or was not saved by `python -m train`.")
    return parsed_card(file, text), weights


def check_fit(file: Path, card: Card, env: MigrationVectorEnv, family: str | None) -> None:
    """Check that a model was trained for what an environment plays.

    Args:
        file: The model file, for errors.
        card: Its card.
        env: The environment.
        family: Family of the scenarios; None = any.

    Raises:
        ValueError: If it was not.
    """
    episodes = env.episodes
    _check_decisions(file, card, episodes.decision_mode)
    if episodes.observer.kind != "plain":
        raise ValueError(f"{file} sees plain observations, not {episodes.observer.kind!r}; give observation='plain'.")
    if card.lanes != episodes.facts.lanes:
        seen, shown = ("several lanes", "one") if card.lanes else ("one lane", "several")
        raise ValueError(
            f"{file} was trained where weights go through {seen}, and here they go through {shown}; use it with "
            "scenarios like those of its training, or train another."
        )
    if family not in (None, card.family):
        raise ValueError(
            f"{file} was trained on family {card.family!r}, not {family!r}; "
            f"use it with {card.family!r} or train another."
        )


def _check_decisions(file: Path, card: Card, decisions: DecisionMode) -> None:
    if card.decisions != decisions:
        raise ValueError(
            f"{file} was trained with decisions={card.decisions!r}, not {decisions!r}; "
            f"use it with {card.decisions!r} or train another."
        )
