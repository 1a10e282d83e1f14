"""Checks what a client hands to an environment, before compiled code, which checks nothing, sees it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits

if TYPE_CHECKING:
    from dnnmig_env.families.registry import Generator

METADATA: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}
"""What both environments can draw. `gymnasium.make` adds the modes human, rgb_array_list and ansi_list by wrappers."""


def check_render_mode(render_mode: str | None) -> None:
    """Raise a ValueError if an environment cannot draw in this mode."""
    modes = METADATA["render_modes"]
    if render_mode is not None and render_mode not in modes:
        raise ValueError(
            f"render_mode is {render_mode!r}; choose one of {', '.join(modes)}. "
            "Of one environment, gymnasium.make also shows human, rgb_array_list and ansi_list."
        )


def one_action(action: Any, count: int) -> int:
    """Return an action of a single environment as an integer.

    Args:
        action: An integer of any kind, or an array of integers with one element.
        count: Number of actions, A.

    Raises:
        TypeError: If the action is no integer.
        ValueError: If it is an array of several, or not within 0 to A - 1.
    """
    if type(action) is int or isinstance(action, np.integer):
        number = int(action)
    else:
        found = _array("action", action)
        if found.size != 1:
            raise ValueError(f"action has the shape {found.shape}; give one integer.")
        _check_integers("action", found)
        number = int(found.reshape(())[()])
    if not 0 <= number < count:
        raise ValueError(f"action is {number}; actions are numbered from 0 to {count - 1}.")
    return number


def row_actions(actions: Any, active: Bools, count: int) -> Ints:
    """Return the actions of a batch as an array of its own.

    Args:
        actions: An array or a sequence of integers, one per row.
        active: Which rows take their action, shape (B,); those of other rows may be any integer.
        count: Number of actions, A.

    Raises:
        TypeError: If the actions are no array or no integers.
        ValueError: If there is not one per row, or that of an active row is not within 0 to A - 1.
    """
    found = _array("actions", actions)
    if found.ndim == 0:
        raise TypeError(f"actions is {actions!r}; give {len(active)} integers, one per environment.")
    if found.shape != active.shape:
        raise ValueError(f"actions has the shape {found.shape}; it must be {active.shape}, one per environment.")
    _check_integers("actions", found)
    numbers: Ints = found.astype(np.int64)
    if np.count_nonzero(numbers.view(np.uint64) >= count):  # read so, a negative number is a huge one
        wrong = np.flatnonzero(active & ((found < 0) | (found >= count)))
        if len(wrong):
            raise ValueError(f"actions[{wrong[0]}] is {found[wrong[0]]}; actions are numbered from 0 to {count - 1}.")
    return numbers


def rows_to_reset(options: dict[str, Any], rows: int) -> Bools:
    """Return which rows a reset begins anew, shape (B,): those of `options["reset_mask"]`, or all if it is not given.

    Raises:
        TypeError: If the mask is no NumPy array of truth values.
        ValueError: If it does not have one value per row, or none is true.
    """
    if "reset_mask" not in options:
        return np.ones(rows, np.bool_)
    mask = options["reset_mask"]
    if not isinstance(mask, np.ndarray):
        raise TypeError(f"`options['reset_mask']` must be a numpy array, got {type(mask)}")
    if mask.shape != (rows,):
        raise ValueError(f"`options['reset_mask']` must have shape `({rows},)`, got {mask.shape}")
    if mask.dtype != np.bool_:
        raise TypeError(f"`options['reset_mask']` must have `dtype=np.bool_`, got {mask.dtype}")
    if not mask.any():
        raise ValueError(
            f"`options['reset_mask']` must contain a boolean array with at least one True value, got reset_mask={mask}"
        )
    return mask.copy()


def checked_options(options: Any, *known: str) -> dict[str, Any]:
    """Return the options of a reset.

    Raises:
        TypeError: If the options are no dictionary.
        ValueError: If they have a key that is not known.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise TypeError(f"options is {options!r}; give a dictionary with the keys {_listed(known)}.")
    for key in options:
        if key not in known:
            raise ValueError(f"options has the unknown key {key!r}; known: {_listed(known)}.")
    return options


def checked_scenarios(scenarios: Any, count: int) -> list[Scenario]:
    """Return the scenarios given to a reset, as a list.

    Args:
        scenarios: A sequence of scenarios.
        count: Number of rows that begin.

    Raises:
        TypeError: If they are no sequence of scenarios.
        ValueError: If there is not one per row that begins.
    """
    if isinstance(scenarios, Scenario) or not isinstance(scenarios, Sequence | np.ndarray):
        raise TypeError(f"options['scenarios'] is a {type(scenarios).__name__}; give a list of scenarios.")
    for scenario in scenarios:
        check_scenario("options['scenarios']", scenario)
    if len(scenarios) != count:
        raise ValueError(f"options['scenarios'] has {len(scenarios)} scenarios for {count} rows; give one each.")
    return list(scenarios)


def check_scenario(name: str, scenario: Any) -> None:
    """Raise a TypeError if something given by that name is no scenario."""
    if not isinstance(scenario, Scenario):
        raise TypeError(
            f"{name} has a {type(scenario).__name__} where a Scenario belongs; "
            "dnnmig_env.scenarios.file.load_scenario reads one from a file."
        )


def row_seeds(seed: Any, rows: int) -> list[int | None]:
    """Return the seed of every row: `seed + i` for row i if one number is given, None where streams go on.

    Raises:
        TypeError: If a seed is no integer.
        ValueError: If there is not one seed per row, or one is negative.
    """
    if seed is None:
        return [None] * rows
    seeds: list[int | None]
    if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str) and np.ndim(seed) == 1:
        if len(seed) != rows:
            raise ValueError(f"seed has {len(seed)} values for {rows} rows; give one number or one per row.")
        seeds = [None if one is None else _seed(one) for one in seed]
    else:
        first = _seed(seed)
        seeds = [first + row for row in range(rows)]
    return seeds


def one_seed(seed: Any) -> int | None:
    """Return the seed of a single environment; None if its stream goes on.

    Raises:
        TypeError: If the seed is no integer.
        ValueError: If it is negative.
    """
    return None if seed is None else _seed(seed)


def _seed(seed: Any) -> int:
    try:
        number = operator.index(seed)
    except TypeError:
        raise TypeError(f"seed is {seed!r}; give a whole number that is not negative.") from None
    if number < 0:
        raise ValueError(f"seed is {number}; it must not be negative.")
    return number


def _array(name: str, value: Any) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} cannot be read as integers: {error}") from None


def _check_integers(name: str, found: NDArray[Any]) -> None:
    if found.dtype.kind not in "iu":
        raise TypeError(
            f"{name} has the dtype {found.dtype} ({_first(found)!r}); actions are integers: round them yourself."
        )


def _first(found: NDArray[Any]) -> Any:
    return found.reshape(-1)[0].item() if found.size and found.dtype != object else found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)


def limits_for(generator: Generator | None, limits: Limits | None, scenario: Scenario | None) -> Limits:
    """Return the limits, by default those of the generator, or greater ones that hold the given scenario, too.

    Raises:
        TypeError: If the limits are no limits, or the generator is no generator.
        ValueError: If there is nothing from which they follow.
    """
    if isinstance(limits, Limits):
        return limits
    if limits is not None:
        raise TypeError(f"limits is {limits!r}; give a Limits, such as Limits.of([scenario]) or those of a generator.")
    if generator is not None and not hasattr(generator, "limits"):
        raise TypeError(
            f"generator is {generator!r}; give a generator, such as that of "
            "dnnmig_env.families.registry.make_generator('multi-user')."
        )
    needed = [] if generator is None else [generator.limits]
    if scenario is not None:
        needed.append(Limits.of([scenario]))
    if not needed:
        raise ValueError(
            "generator and limits are both None; give a generator, or the limits of the scenarios to come."
        )
    return Limits(**{field.name: max(getattr(each, field.name) for each in needed) for field in fields(Limits)})
