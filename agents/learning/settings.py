"""Settings of the learning algorithms: which arguments of their classes can be set, and to what."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agents.learning.own_classes import NO_DEFAULT, own_defaults, own_setting

MOST = 10**9
"""Largest whole number that a setting takes; more would fit into no memory."""


@dataclass(frozen=True)
class Kind:
    """What a setting may be.

    Attributes:
        wanted: The same in words, as they follow "give".
        fits: Says whether a finite number fits.
        is_whole: Whether only whole numbers fit.
        is_optional: Whether None fits too.
    """

    wanted: str
    fits: Callable[[float], bool]
    is_whole: bool = False
    is_optional: bool = False

    def checked(self, value: Any) -> Any:
        """Return a value in the type that algorithms expect.

        Raises:
            ValueError: If the value does not fit; without a message.
            OverflowError: If it is far too large.
        """
        if self is _YES_OR_NO:
            if not isinstance(value, bool):
                raise ValueError
            return value
        if value is None and self.is_optional:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not (abs(value) <= MOST if self.is_whole else math.isfinite(value)) or not self.fits(value):
            raise ValueError
        if not self.is_whole:
            return float(value)
        if value != int(value):
            raise ValueError
        return int(value)


def _whole(least: int) -> Kind:
    return Kind(f"a whole number from {least} to {MOST}", lambda value: value >= least, is_whole=True)


_YES_OR_NO = Kind("True or False", lambda _: False)
_SHARE = Kind("a number from 0 to 1", lambda value: 0.0 <= value <= 1.0)
_PART = Kind("a number above 0 and at most 1", lambda value: 0.0 < value <= 1.0)
_POSITIVE = Kind("a number above 0", lambda value: value > 0.0)
_MAYBE_POSITIVE = Kind("a number above 0, or None", lambda value: value > 0.0, is_optional=True)
_FROM_ZERO = Kind("0 or a number above it", lambda value: value >= 0.0)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "batch_size": _whole(1),
        "buffer_size": _whole(1),
        "clip_range": _POSITIVE,
        "clip_range_vf": _MAYBE_POSITIVE,
        "ent_coef": _FROM_ZERO,
        "exploration_final_eps": _SHARE,
        "exploration_fraction": _SHARE,
        "exploration_initial_eps": _SHARE,
        "gae_lambda": _SHARE,
        "gamma": _SHARE,
        "gradient_steps": Kind(
            "a whole number from 1, or -1 for as many as there were decisions",
            lambda value: value >= 1 or value == -1,
            is_whole=True,
        ),
        "group_size": _whole(2),
        "learning_rate": _POSITIVE,
        "learning_starts": _whole(0),
        "max_grad_norm": _POSITIVE,
        "others_weight": _SHARE,
        "memory_s": _MAYBE_POSITIVE,
        "most_gigabytes": _POSITIVE,
        "n_epochs": _whole(1),
        "n_steps": _whole(1),
        "normalize_advantage": _YES_OR_NO,
        "rms_prop_eps": _POSITIVE,
        "stats_window_size": _whole(1),
        "target_kl": _MAYBE_POSITIVE,
        "target_update_interval": _whole(1),
        "tau": _PART,
        "train_freq": _whole(1),
        "use_rms_prop": _YES_OR_NO,
        "vf_coef": _FROM_ZERO,
    }
)
"""The settings and what each may be. Other arguments of the algorithms' classes have no effect here: they are for
continuous actions, take objects, or are given by the training itself."""

_ONE_ONLY = MappingProxyType({"dqn": ("n_steps",)})
"""Arguments whose only possible value here is their default: SB3 adds up rewards of flat observations only."""


def defaults(name: str, model_class: type[Any], kind: str | None) -> dict[str, Any]:
    """Return the settings of an algorithm and what its class takes them to be.

    Args:
        name: Name of the algorithm.
        model_class: Its class.
        kind: Name of the algorithm of this project from which it is derived, its own if it is one; None = of none.
    """
    own = {} if name == kind else _own_only(model_class)
    return {
        setting: default
        for setting, default in own_defaults(model_class).items()
        if (setting in KINDS or setting in own) and setting not in _ONE_ONLY.get(kind or "", ())
    }


def checked_settings(
    name: str, model_class: type[Any], settings: Mapping[str, Any], kind: str | None
) -> dict[str, Any]:
    """Return settings in the types that an algorithm expects.

    Args:
        name: Name of the algorithm.
        model_class: Its class.
        settings: The settings by their names.
        kind: As for `defaults`.

    Raises:
        ValueError: If the algorithm does not have one of them, or it cannot have that value.
    """
    known, checked = defaults(name, model_class, kind), {}
    for setting, value in settings.items():
        if setting not in known:
            raise ValueError(f"algorithm {name!r} has no setting {setting!r}; it knows {', '.join(sorted(known))}.")
        if setting not in KINDS:
            checked[setting] = own_setting(f"setting {setting!r} of algorithm {name!r}", value, known[setting])
            continue
        try:
            checked[setting] = KINDS[setting].checked(value)
        except (ValueError, OverflowError):
            raise ValueError(
                f"setting {setting!r} of algorithm {name!r} is {value!r}; give {KINDS[setting].wanted}."
            ) from None
    return checked


def _own_only(model_class: type[Any]) -> set[str]:
    """Return the arguments that only a class of one's own has, and not one of the libraries from which it is derived.

    Of these it is not known what they may be; they count as settings if their default values are numbers, texts, truth
    values or None, or if they have none.
    """
    libraries = [
        each for each in model_class.__mro__ if each.__module__.startswith(("stable_baselines3", "sb3_contrib"))
    ]
    theirs = own_defaults(libraries[0]) if libraries else {}
    return {
        key
        for key, value in own_defaults(model_class).items()
        if key not in theirs and (value is None or value is NO_DEFAULT or isinstance(value, bool | int | float | str))
    }


def check_batches(settings: Mapping[str, Any], num_envs: int, *, normalizes_single: bool) -> None:
    """Check that advantages can be normalised, for which it takes two decisions at least.

    Args:
        settings: All settings of an algorithm.
        num_envs: Number of environments that are stepped at once.
        normalizes_single: Whether the algorithm normalises even a batch of a single decision, which gives NaN.

    Raises:
        ValueError: If they cannot.
    """
    if not settings.get("normalize_advantage") or "n_steps" not in settings:
        return
    collected = settings["n_steps"] * num_envs
    if collected < 2:
        raise ValueError(
            f"n_steps is {settings['n_steps']} and num_envs {num_envs}, but two decisions at least are learned from at "
            "a time; give a larger one, or normalize_advantage=False."
        )
    batch = settings.get("batch_size", collected)
    if batch < 2 or (normalizes_single and collected % batch == 1):
        raise ValueError(
            f"batch_size is {batch}, which leaves a single decision of {collected} to learn from at a time; "
            "give 2 or more that divide them evenly, or normalize_advantage=False."
        )
