"""Learning algorithms by name: the SB3 class, our policy class for it, and settings that suit these scenarios.

Shared by all of them: episodes are short and end at a fixed horizon, so nothing is discounted (gamma 1). On plain
observations, training uses `reward="shaped", scale="device-only"`: an upload is credited at once with all that it saves
until the horizon, as a share of the device-only delay. So rewards come early, the return lies between 0 and 1 for every
scenario, and slow DNNs do not drown fast ones; the best policy for a scenario stays the same (see
`dnnmig_env.envs.reward`).
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agents.learning.settings import check_batches, checked_settings, defaults

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from agents.learning.sb3_vec_env import Sb3VecEnv


@dataclass(frozen=True)
class Algorithm:
    """What it takes to train with an algorithm; its classes are imported only when they are asked for.

    Attributes:
        model: Module and class of the algorithm.
        policy: Module and class of its policy.
        num_envs: Number of environments that are stepped at once.
        settings: Arguments of the algorithm's class.
        warm_start_settings: Arguments that replace these where the policy network has imitated a teacher first.
    """

    model: tuple[str, str]
    policy: tuple[str, str]
    num_envs: int
    settings: Mapping[str, Any]
    warm_start_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_class(self) -> type[BaseAlgorithm]:
        """The algorithm's class."""
        found: type[BaseAlgorithm] = getattr(importlib.import_module(self.model[0]), self.model[1])
        return found

    @property
    def policy_class(self) -> type[Any]:
        """The policy's class."""
        found: type[Any] = getattr(importlib.import_module(self.policy[0]), self.policy[1])
        return found


_PPO = MappingProxyType(
    {
        # Few large batches: with SB3's default batch size of 64 all time is spent in the optimiser.
        "n_steps": 32,
        "batch_size": 1024,
        "n_epochs": 3,
        "learning_rate": 2e-3,
        "gamma": 1.0,
        "gae_lambda": 0.9,
        "ent_coef": 0.001,
        "clip_range": 0.2,
        "vf_coef": 0.5,
    }
)

# With the settings above, PPO soon forgets what it has imitated. It keeps that if advantages do not rely on the values
# that the network estimates, and if it takes fewer and smaller steps, each on more decisions.
_WARM_STARTED_PPO = MappingProxyType({"n_steps": 128, "batch_size": 4096, "learning_rate": 3e-4, "gae_lambda": 1.0})

ALGORITHMS: dict[str, Algorithm] = {
    "ppo": Algorithm(
        ("stable_baselines3", "PPO"),
        ("agents.learning.masked_policy", "MaskedActorCriticPolicy"),
        128,
        _PPO,
        _WARM_STARTED_PPO,
    ),
    "a2c": Algorithm(
        ("stable_baselines3", "A2C"),
        ("agents.learning.masked_policy", "MaskedActorCriticPolicy"),
        128,
        MappingProxyType(
            {
                "n_steps": 8,
                "learning_rate": 1e-3,
                "gamma": 1.0,
                "gae_lambda": 0.95,
                "ent_coef": 0.003,
                "vf_coef": 0.5,
                "use_rms_prop": False,  # Adam, which does not depend on the scale of the advantages
                "normalize_advantage": True,
            }
        ),
    ),
    "dqn": Algorithm(
        ("agents.learning.masked_dqn", "MaskedDQN"),
        ("agents.learning.masked_dqn", "MaskedDQNPolicy"),
        32,
        MappingProxyType(
            {
                "buffer_size": 50_000,
                "learning_starts": 5_000,
                "batch_size": 256,
                "train_freq": 4,  # calls of `step`: 4 x 32 transitions
                "gradient_steps": 8,
                "learning_rate": 5e-4,
                "gamma": 1.0,
                "tau": 1.0,
                "target_update_interval": 2_048,
                "exploration_fraction": 0.3,
                "exploration_final_eps": 0.02,
            }
        ),
    ),
    "maskable-ppo": Algorithm(
        ("sb3_contrib", "MaskablePPO"),
        ("agents.learning.masked_policy", "MaskableMigrationPolicy"),
        128,
        _PPO,
        _WARM_STARTED_PPO,
    ),
    "grpo": Algorithm(
        ("agents.learning.grpo", "GRPO"),
        ("agents.learning.masked_policy", "MaskedActorCriticPolicy"),
        256,
        MappingProxyType({}),
    ),
}
"""The algorithms by name."""

TRAINING_REWARD: Mapping[str, str] = MappingProxyType({"reward": "shaped", "scale": "device-only"})
"""Options of training environments."""


def algorithm(name: str) -> Algorithm:
    """Return the algorithm of a name.

    Raises:
        ValueError: If there is none; the message says the nearest name and the known ones.
    """
    if name not in ALGORITHMS:
        close = difflib.get_close_matches(name, ALGORITHMS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"unknown algorithm {name!r}; {hint}The algorithms are {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[name]


def check_settings(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of an algorithm in the types that it expects.

    Raises:
        ValueError: If it does not have one of them, or it cannot have that value.
    """
    return checked_settings(name, algorithm(name).model_class, settings)


def make_model(
    name: str,
    env: Sb3VecEnv,
    seed: int,
    device: str = "auto",
    settings: Mapping[str, Any] = MappingProxyType({}),
    network: Mapping[str, Any] = MappingProxyType({}),
    is_warm_started: bool = False,
) -> BaseAlgorithm:
    """Return a new, untrained model; its attribute `settings` has all its settings by their names.

    Args:
        name: A name in `ALGORITHMS`.
        env: The environments to train in.
        seed: Seed of the weights and of exploration.
        device: As torch names it, or "auto": a GPU where there is one.
        settings: Arguments of the SB3 class that replace those in `ALGORITHMS`.
        network: `width` and `context` of `FactsNetwork`.
        is_warm_started: Whether the model imitates a teacher before it learns by itself; see
            `Algorithm.warm_start_settings`.

    Raises:
        ValueError: If the algorithm or a setting is unknown, or a setting has an impossible value.
    """
    chosen = algorithm(name)
    settings = check_settings(name, settings)
    policy: dict[str, Any] = {"layout": env.env.episodes.layout, **network}
    if name != "dqn":
        policy["optimizer_kwargs"] = {"eps": 1e-5, "fused": True}
    model_class: Any = chosen.model_class
    merged = {
        **defaults(name, model_class),
        **chosen.settings,
        **(chosen.warm_start_settings if is_warm_started else {}),
        **settings,
    }
    if "batch_size" not in settings and "n_steps" in merged and "batch_size" in merged:
        merged["batch_size"] = _even_batch(merged["n_steps"] * env.num_envs, merged["batch_size"])
    check_batches(merged, env.num_envs, normalizes_single=name == "maskable-ppo")
    model: Any = model_class(
        chosen.policy_class, env, seed=seed, device=device, policy_kwargs=policy, verbose=0, **merged
    )
    model.settings = merged
    made: BaseAlgorithm = model
    return made


def _even_batch(samples: int, most: int) -> int:
    """Return the largest batch size up to `most` that divides a rollout's samples evenly; if only 1 does, `most`."""
    size = next(size for size in range(min(samples, most), 0, -1) if samples % size == 0)
    return size if size > 1 else min(samples, most)
