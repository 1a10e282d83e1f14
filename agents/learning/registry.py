"""Learning algorithms by name: the SB3 class, our policy class for it, and settings that suit these scenarios.

Shared by all of them: episodes are short and end at a fixed horizon, so nothing is discounted (gamma 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dnnmig_env.files.own_code import imported

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


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
        found: type[BaseAlgorithm] = imported(":".join(self.model))
        return found

    @property
    def policy_class(self) -> type[Any]:
        """The policy's class."""
        found: type[Any] = imported(":".join(self.policy))
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
        ("agents.learning.groups.grpo", "GRPO"),
        ("agents.learning.masked_policy", "MaskedActorCriticPolicy"),
        256,
        MappingProxyType({}),
    ),
    "self-labelling": Algorithm(
        ("agents.learning.groups.self_labelling", "SelfLabelling"),
        ("agents.learning.masked_policy", "MaskedActorCriticPolicy"),
        256,
        MappingProxyType({}),
    ),
}
"""The algorithms by name."""
