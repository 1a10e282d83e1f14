"""Registers the environments with Gymnasium: one id per family of scenarios, and one for any other family."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

from dnnmig_env.envs.arguments import METADATA

if TYPE_CHECKING:
    from dnnmig_env.envs.env import MigrationEnv
    from dnnmig_env.envs.vector_env import MigrationVectorEnv
    from dnnmig_env.families.registry import Generator

ENVIRONMENT_IDS = {
    "single": "dnnmig/Single-v0",
    "edge-cloud": "dnnmig/EdgeCloud-v0",
    "multi-user": "dnnmig/MultiUser-v0",
    "mobile": "dnnmig/Mobile-v0",
    "city": "dnnmig/City-v0",
    "toy": "dnnmig/Toy-v0",
}
"""Gymnasium id of each family's environment."""

ANY_FAMILY_ID = "dnnmig/Family-v0"
"""Gymnasium id of the environment whose family is given: `gymnasium.make(ANY_FAMILY_ID, family="my_family.yaml")`."""


def register_environments() -> None:
    """Register every family's environment with Gymnasium, once."""
    ids = {name: {"family": family} for family, name in ENVIRONMENT_IDS.items()}
    for name, options in {**ids, ANY_FAMILY_ID: {}}.items():
        if name not in registry:
            register(
                name,
                entry_point="dnnmig_env.envs.registration:make_env",
                vector_entry_point="dnnmig_env.envs.registration:make_vector_env",
                kwargs=options,
            )


def make_env(family: str, **options: Any) -> MigrationEnv:
    """Return an environment of a family; options that are not the environment's own go to the generator.

    Raises:
        TypeError: If neither the environment nor the family's generator has an option of that name.
    """
    from dnnmig_env.envs.env import MigrationEnv

    own, generator = _split(family, options, "make_env", MigrationEnv)
    return MigrationEnv(generator, **own)


def make_vector_env(family: str, num_envs: int = 1, **options: Any) -> MigrationVectorEnv:
    """Return a vector environment of a family; options that are not the environment's own go to the generator.

    Raises:
        TypeError: If neither the environment nor the family's generator has an option of that name.
    """
    from dnnmig_env.envs.vector_env import MigrationVectorEnv

    own, generator = _split(family, options, "make_vector_env", MigrationVectorEnv)
    return MigrationVectorEnv(num_envs, generator, **own)


# `gymnasium.make` reads here which modes it may add wrappers to.
make_env.metadata = METADATA  # type: ignore[attr-defined]


def _split(family: str, options: dict[str, Any], function: str, made: type) -> tuple[dict[str, Any], Generator]:
    """Return the options of the environment, and the generator that the others describe.

    Args:
        family: Name of the family.
        options: Options of both.
        function: Name of the function that they were given to.
        made: Class of the environment.
    """
    from dnnmig_env.families.registry import make_generator, nearest, options_of

    own = list(inspect.signature(made).parameters)
    others = options_of(family)
    for name in options:
        if name not in own + others:
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}. "
                f"{_ELSEWHERE.get(name) or nearest(name, own + others, 'options')}"
            )
    rest = {name: value for name, value in options.items() if name not in own}
    kept = {name: value for name, value in options.items() if name in own and name != "generator"}
    given = options.get("generator")
    if given is not None and rest:
        raise ValueError(f"{next(iter(rest))!r} was given beside a generator; set it in the generator instead.")
    return kept, make_generator(family, **rest) if given is None else given


_ELSEWHERE = {
    "autoreset_mode": "It is an option of gymnasium.make_vec.",
    "num_envs": "It is an option of gymnasium.make_vec.",
}
