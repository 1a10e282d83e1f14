"""Finds the generator of a family of scenarios by the family's name.

A name is a key of `FAMILIES`, a file (`dnnmig_env.families.family_file`), the name by which a distribution registers a
generator, or a generator's class as `package.module:attribute`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from dnnmig_env.families.city import City
from dnnmig_env.families.edge_cloud import EdgeCloud
from dnnmig_env.families.family_file import GIVEN, is_family_file, read_family
from dnnmig_env.families.mobile import Mobile
from dnnmig_env.families.multi_user import MultiUser
from dnnmig_env.families.single import Single
from dnnmig_env.families.toy import Toy
from dnnmig_env.files.own_code import imported, is_reference, registered, wrong_kind
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


FAMILIES_GROUP = "dnnmig.families"
"""Group of entry points by which a distribution registers generators of its own."""


def make_generator(family: str, **options: Any) -> Generator:
    """Return a family's generator.

    Args:
        family: A name in `FAMILIES`, that of a file, one that a distribution registers, or
            `package.module:attribute`.
        **options: The generator's options, as its class documents them; they replace those of a file.

    Raises:
        ValueError: If the family or an option is unknown (the error suggests the nearest name and lists the known
            ones), or the value of an option is not valid.
    """
    if is_family_file(family):
        form = read_family(family)
        try:
            return make_generator(_in_file(form.family), **{**form.options, **options})
        except ValueError as error:
            raise ValueError(f"{family}: {error}") from None
    maker, known = _maker(family), options_of(family)
    for option in options:
        if option not in known:
            whose = "a family of scenario files" if family == GIVEN else f"family {family!r}"
            raise ValueError(f"{whose} has no option {option!r}; {nearest(option, known, 'options')}")
    generator = maker(**options)
    for name in ("family", "limits", "chunk", "draw"):
        if not hasattr(generator, name):
            raise wrong_kind(family, generator, f"one of whose objects has {name} (see {__name__}.Generator)")
    return generator


def options_of(family: str) -> list[str]:
    """Return the names of the options of a family's generator.

    Raises:
        ValueError: If the family is unknown, or its file cannot be read.
    """
    if is_family_file(family):
        return options_of(_in_file(read_family(family).family))
    return list(inspect.signature(_maker(family)).parameters)


def is_family(family: str) -> bool:
    """Return whether a family is one of this project or one that a distribution registers."""
    return family in FAMILIES or family in registered(FAMILIES_GROUP)


def scenarios(family: str, count: int, seed: int, **options: Any) -> list[Scenario]:
    """Return scenarios of a family, always the same ones for the same seed.

    A smaller number of scenarios are the first of a larger number with the same seed.

    Args:
        family: A name as `make_generator` takes it.
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


def _maker(family: str) -> Callable[..., Generator]:
    """Return the generator of a family that is no file."""
    if family in FAMILIES:
        return FAMILIES[family]
    others = registered(FAMILIES_GROUP)
    reference = others.get(family, family)
    if not is_reference(reference):
        known = nearest(family, [*FAMILIES, *others], "families")
        raise ValueError(f"unknown family {family!r}; {known} Or name a file (.yaml), or package.module:attribute.")
    found: Callable[..., Generator] = imported(reference)
    if not callable(found):
        raise wrong_kind(family, found, "a class of generators, whose arguments are its options")
    return found


def _in_file(family: str) -> str:
    """Return the family that a file names; it is no file itself."""
    if is_family_file(family):
        raise ValueError(f"family: {family!r}; it is a file, too: name the family whose generator draws.")
    return family
