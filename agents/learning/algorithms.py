"""Finds learning algorithms and their policies by name, and makes models of them.

On plain observations, training uses `reward="shaped", scale="device-only"`: an upload is credited at once with all that
it saves until the horizon, as a share of the device-only delay. So rewards come early, the return lies between 0 and 1
for every scenario, and slow DNNs do not drown fast ones; the best policy for a scenario stays the same (see
`dnnmig_env.envs.reward`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agents.learning.own_classes import (
    NO_DEFAULT,
    POLICY,
    checked_policy_settings,
    own_algorithm,
    own_defaults,
    own_policy_class,
    policy_arguments,
    split_settings,
)
from agents.learning.registry import ALGORITHMS, Algorithm
from agents.learning.settings import check_batches, checked_settings, defaults
from dnnmig_env.files.own_code import imported, is_reference

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

    from agents.learning.sb3_vec_env import Sb3VecEnv

TRAINING_REWARD: Mapping[str, str] = MappingProxyType({"reward": "shaped", "scale": "device-only"})
"""Options of training environments."""


OTHER_ENVS = 16
"""Number of environments of an algorithm of one's own that is derived from none of `ALGORITHMS`."""


def algorithm(name: str) -> Algorithm:
    """Return the algorithm of a name.

    A class of one's own, `package.module:Class`, has policy, settings and number of environments of the algorithm from
    which it is derived; default values of its own constructor come before these settings.

    Raises:
        ValueError: If there is none; the message says the nearest name and the known ones.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    if not is_reference(name):
        close = difflib.get_close_matches(name, ALGORITHMS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        known = f"{', '.join(ALGORITHMS)}, or a class of your own, package.module:Class"
        raise ValueError(f"unknown algorithm {name!r}; {hint}The algorithms are {known}.")
    found, (module, _, attribute) = own_algorithm(name), name.partition(":")
    kind = algorithm_kind(name)
    if kind is None:
        return Algorithm((module, attribute), ("", ""), OTHER_ENVS, {})
    base = ALGORITHMS[kind]
    usual = own_defaults(base.model_class)
    own = {key: value for key, value in own_defaults(found).items() if key in usual and value != usual[key]}
    settings = {key: value for key, value in base.settings.items() if key not in own}
    warm = {key: value for key, value in base.warm_start_settings.items() if key not in own}
    return Algorithm((module, attribute), base.policy, base.num_envs, settings, warm)


def algorithm_kind(name: str) -> str | None:
    """Return an algorithm's name, for a class of one's own that of the algorithm from which it is derived.

    It is None if there is no such algorithm in `ALGORITHMS`.

    Raises:
        ValueError: If the class cannot be imported, or is no algorithm.
    """
    if name in ALGORITHMS:
        return name
    kinds: dict[type[Any], str] = {each.model_class: kind for kind, each in ALGORITHMS.items()}
    return next((kinds[each] for each in own_algorithm(name).__mro__ if each in kinds), None)


def policy_class(name: str, own: str | None) -> type[Any]:
    """Return the class of the policy that an algorithm trains.

    Args:
        name: Name of the algorithm.
        own: Class of one's own, `package.module:Class`; None = the algorithm's.

    Raises:
        ValueError: If there is no such class, the algorithm cannot train it, or none is given for an algorithm of one's
            own that has none.
    """
    kind = algorithm_kind(name)
    if own is None:
        if kind is None:
            raise ValueError(
                f"algorithm {name!r} is derived from none of {', '.join(ALGORITHMS)}, so that its policy is not known; "
                "give --policy-class package.module:Class."
            )
        return algorithm(name).policy_class
    base = None if kind is None else _POLICY_BASES[kind]
    return own_policy_class(own, None if base is None else imported(base))


_POLICY_BASES = {
    "ppo": "stable_baselines3.common.policies:ActorCriticPolicy",
    "a2c": "stable_baselines3.common.policies:ActorCriticPolicy",
    "dqn": "agents.learning.masked_dqn:MaskedDQNPolicy",
    "maskable-ppo": "sb3_contrib.common.maskable.policies:MaskableActorCriticPolicy",
    "grpo": "agents.learning.masked_policy:MaskedActorCriticPolicy",
    "self-labelling": "agents.learning.masked_policy:MaskedActorCriticPolicy",
}
"""What the policy of each algorithm has to be derived from."""


def check_settings(name: str, settings: Mapping[str, Any], own_policy: str | None = None) -> dict[str, Any]:
    """Return settings of an algorithm, and of a policy class of one's own, in the types that they expect.

    Args:
        name: Name of the algorithm.
        settings: The settings; names of those of the policy class begin with "policy.".
        own_policy: The policy class.

    Raises:
        ValueError: If there is none of that name, or it cannot have that value.
    """
    of_algorithm, of_policy = split_settings(settings)
    checked = checked_settings(name, algorithm(name).model_class, of_algorithm, algorithm_kind(name))
    kept = checked_policy_settings(own_policy, policy_class(name, own_policy), of_policy)
    return {**checked, **{f"{POLICY}{key}": value for key, value in kept.items()}}


def make_model(
    name: str,
    env: Sb3VecEnv,
    seed: int,
    device: str = "auto",
    settings: Mapping[str, Any] = MappingProxyType({}),
    network: Mapping[str, Any] = MappingProxyType({}),
    is_warm_started: bool = False,
    own_policy: str | None = None,
) -> BaseAlgorithm:
    """Return a new, untrained model.

    Its attribute `settings` has all its settings by their names, `sizes` what the model's card says of sizes, and
    `own_policy` the name of a policy class of one's own.

    Args:
        name: A name in `ALGORITHMS`, or `package.module:Class`.
        env: The environments to train in.
        seed: Seed of the weights and of exploration.
        device: As torch names it, or "auto": a GPU where there is one.
        settings: Arguments of the SB3 class that replace those in `ALGORITHMS`, and of the policy class ("policy.").
        network: `width` and `context` of `FactsNetwork`.
        is_warm_started: Whether the model imitates a teacher before it learns by itself; see
            `Algorithm.warm_start_settings`.
        own_policy: Policy class of one's own, `package.module:Class`.

    Raises:
        ValueError: If the algorithm or a setting is unknown, or a setting has an impossible value.
    """
    chosen, kind = algorithm(name), algorithm_kind(name)
    layout: Any = env.env.episodes.layout
    settings, of_policy = split_settings(check_settings(name, settings, own_policy))
    policy_type = policy_class(name, own_policy)
    policy = policy_arguments(policy_type, {"layout": layout, **network})
    if policy and kind != "dqn":
        policy["optimizer_kwargs"] = {"eps": 1e-5, "fused": True}
    model_class: Any = chosen.model_class
    merged = {
        **{key: value for key, value in defaults(name, model_class, kind).items() if value is not NO_DEFAULT},
        **chosen.settings,
        **(chosen.warm_start_settings if is_warm_started else {}),
        **settings,
    }
    if "batch_size" not in settings and "n_steps" in merged and "batch_size" in merged:
        merged["batch_size"] = _even_batch(merged["n_steps"] * env.num_envs, merged["batch_size"])
    check_batches(merged, env.num_envs, normalizes_single=kind == "maskable-ppo")
    given = {"seed": seed, "device": device, "policy_kwargs": {**policy, **of_policy}, "verbose": 0, **merged}
    try:
        model: Any = model_class(policy_type, env, **given)
    except TypeError as error:
        if name in ALGORITHMS and own_policy is None:
            raise
        raise ValueError(f"{name} with {policy_type.__qualname__} cannot be made ({error}); mend its class.") from error
    model.settings = {**merged, **{f"{POLICY}{key}": value for key, value in of_policy.items()}}
    usual = {"width": 32, "context": 64, **network}
    model.sizes = {**asdict(layout), **{key: getattr(model.policy, key, value) for key, value in usual.items()}}
    model.own_policy = own_policy
    made: BaseAlgorithm = model
    return made


def _even_batch(samples: int, most: int) -> int:
    """Return the largest batch size up to `most` that divides a rollout's samples evenly; if only 1 does, `most`."""
    size = next(size for size in range(min(samples, most), 0, -1) if samples % size == 0)
    return size if size > 1 else min(samples, most)
