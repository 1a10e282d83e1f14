"""Registers the environments with Gymnasium: one id per family of scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

if TYPE_CHECKING:
    from dnnmig_env.envs.env import MigrationEnv
    from dnnmig_env.envs.vector_env import MigrationVectorEnv

ENVIRONMENT_IDS = {
    "single": "dnnmig/Single-v0",
    "edge-cloud": "dnnmig/EdgeCloud-v0",
    "multi-user": "dnnmig/MultiUser-v0",
    "mobile": "dnnmig/Mobile-v0",
    "toy": "dnnmig/Toy-v0",
}
"""Gymnasium id of each family's environment."""

ENVIRONMENT_OPTIONS = ("scenario", "decisions", "reward", "scale", "observation", "render_mode", "autoreset_mode")
"""Options of `gymnasium.make` that are the environment's own; all others are options of the family's generator."""


def register_environments() -> None:
    """Register every family's environment with Gymnasium, once."""
    for family, name in ENVIRONMENT_IDS.items():
        if name not in registry:
            register(
                name,
                entry_point="dnnmig_env.envs.registration:make_env",
                vector_entry_point="dnnmig_env.envs.registration:make_vector_env",
                kwargs={"family": family},
            )


def make_env(family: str, **options: Any) -> MigrationEnv:
    """Return an environment of a family; options that are not the environment's own go to the generator."""
    from dnnmig_env.envs.env import MigrationEnv

    own, generator = _split(family, options)
    return MigrationEnv(generator, **own)


def make_vector_env(family: str, num_envs: int = 1, **options: Any) -> MigrationVectorEnv:
    """Return a vector environment of a family; options that are not the environment's own go to the generator."""
    from dnnmig_env.envs.vector_env import MigrationVectorEnv

    own, generator = _split(family, options)
    own.pop("render_mode", None)
    return MigrationVectorEnv(num_envs, generator, **own)


def _split(family: str, options: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from dnnmig_env.families.registry import make_generator

    own = {name: value for name, value in options.items() if name in ENVIRONMENT_OPTIONS}
    rest = {name: value for name, value in options.items() if name not in (*ENVIRONMENT_OPTIONS, "generator")}
    given = options.get("generator")
    if given is not None and rest:
        raise ValueError(f"{next(iter(rest))!r} was given beside a generator; set it in the generator instead.")
    return own, make_generator(family, **rest) if given is None else given
