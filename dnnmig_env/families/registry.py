"""Finds the generator of a family of scenarios by the family's name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dnnmig_env.families.city import City
from dnnmig_env.families.edge_cloud import EdgeCloud
from dnnmig_env.families.mobile import Mobile
from dnnmig_env.families.multi_user import MultiUser
from dnnmig_env.families.single import Single
from dnnmig_env.families.toy import Toy
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from dnnmig_env.simulation.scenario_batch import ScenarioBatch


class Generator(Protocol):
    """Draws scenarios of one family."""

    @property
    def family(self) -> str:
        """Name of the family."""

    @property
    def limits(self) -> Limits:
        """Sizes of the largest scenario that it can draw; every batch is padded to them."""

    @property
    def chunk(self) -> int:
        """Number of scenarios that environments draw at once."""

    def draw(self, rng: np.random.Generator, count: int) -> ScenarioBatch:
        """Draw scenarios.

        Args:
            rng: Source of randomness; from the same state it gives the same scenarios.
            count: Number of scenarios.
        """


FAMILIES: dict[str, Callable[..., Generator]] = {
    "single": Single,
    "edge-cloud": EdgeCloud,
    "multi-user": MultiUser,
    "mobile": Mobile,
    "city": City,
    "toy": Toy,
}
"""The generator of each family; its keyword arguments are the family's options."""


def make_generator(family: str, **options: Any) -> Generator:
    """Return a family's generator.

    Args:
        family: A name in `FAMILIES`.
        **options: The generator's options, as its class documents them.

    Raises:
        ValueError: If the family or an option is unknown (the error suggests the nearest name and lists the known
            ones), or the value of an option is not valid.
    """
    if family not in FAMILIES:
        raise ValueError(f"unknown family {family!r}; {nearest(family, list(FAMILIES), 'families')}")
    known = options_of(family)
    for option in options:
        if option not in known:
            raise ValueError(f"family {family!r} has no option {option!r}; {nearest(option, known, 'options')}")
    return FAMILIES[family](**options)


def options_of(family: str) -> list[str]:
    """Return the names of the options of a family's generator."""
    return list(inspect.signature(FAMILIES[family]).parameters)


def scenarios(family: str, count: int, seed: int, **options: Any) -> list[Scenario]:
    """Return scenarios of a family, always the same ones for the same seed.

    A smaller number of scenarios are the first of a larger number with the same seed.

    Args:
        family: A name in `FAMILIES`.
        count: Number of scenarios.
        seed: Seed of the random numbers.
        **options: Options of the family's generator.

    Raises:
        ValueError: As `make_generator`, or if the count is negative.
    """
    if count < 0:
        raise ValueError(f"count is {count}; it must not be negative.")
    return drawn(make_generator(family, **options), count, np.random.default_rng(seed))


def drawn(generator: Generator, count: int, rng: np.random.Generator) -> list[Scenario]:
    """Return scenarios of a generator; fewer of the same random stream are the first ones of more."""
    found: list[Scenario] = []
    while len(found) < count:
        batch = generator.draw(rng, generator.chunk)
        found += [batch.scenario(row) for row in range(min(len(batch), count - len(found)))]
    return found


def nearest(name: str, known: list[str], kind: str) -> str:
    """Return sentences for an error about an unknown name: the most similar known one, if any, and all known ones."""
    close = difflib.get_close_matches(name, known, n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    return f"{suggestion}The {kind} are {', '.join(known) or 'none'}."
