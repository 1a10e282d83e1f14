"""Learning algorithms and policy classes of one's own, found by `package.module:Class`, and their settings.

An algorithm is derived from `BaseAlgorithm` of Stable-Baselines3 (SB3), a policy class from SB3's `BasePolicy`. What
makes a policy's constructor ours (`layout`, `width`, `context`) is given to classes that take it, such as those derived
from `agents.learning.masked_policy.MaskedActorCriticPolicy`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from dnnmig_env.files.own_code import arguments_of, imported, wrong_kind
from dnnmig_env.files.suggestion import suggestion

POLICY = "policy."
"""What the names of a policy class's settings begin with."""

NO_SETTINGS = (
    *("self", "policy", "env", "seed", "device", "verbose", "tensorboard_log", "policy_kwargs", "_init_setup_model"),
    *("observation_space", "action_space", "lr_schedule", "layout", "width", "context", "supported_action_spaces"),
)
"""Arguments that the training gives itself."""

NO_DEFAULT = inspect.Parameter.empty
"""Stands for the default value of an argument that has none."""


def own_algorithm(text: str) -> type[Any]:
    """Return the algorithm's class that a text names.

    Raises:
        ValueError: If it cannot be imported, or is not derived from SB3's `BaseAlgorithm`.
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    return _derived(text, BaseAlgorithm, "a class derived from an algorithm of Stable-Baselines3, such as PPO")


def own_policy_class(text: str, base: type[Any] | None = None) -> type[Any]:
    """Return the policy class that a text names.

    Args:
        text: The text.
        base: What the algorithm needs it to be derived from; by default SB3's `BasePolicy`.

    Raises:
        ValueError: If it cannot be imported, or is not derived from that.
    """
    from stable_baselines3.common.policies import BasePolicy

    base = BasePolicy if base is None else base
    return _derived(text, base, f"a class derived from {base.__module__}.{base.__qualname__}")


def policy_arguments(found: type[Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of our arguments that a policy class takes: all of them, or none."""
    return dict(ours) if any(parameter.name == "layout" for parameter in arguments_of(found)) else {}


def own_defaults(found: type[Any]) -> dict[str, Any]:
    """Return the settings that a class has by the names of its arguments, and their default values.

    They are the arguments with a name of its constructor, and of those to which it hands on whatever else it is given
    (`**kwargs`). One without a default value has `NO_DEFAULT`.
    """
    found_here: dict[str, Any] = {}
    for parameter in arguments_of(found):
        if parameter.name not in NO_SETTINGS:
            found_here.setdefault(parameter.name, parameter.default)
    return found_here


def own_setting(where: str, value: Any, default: Any) -> Any:
    """Return the value of a setting about which nothing is known but its default value.

    Args:
        where: The setting in words, for errors.
        value: The value.
        default: The default value; a number takes a number only, and a truth value a truth value.

    Raises:
        ValueError: If the value is of another kind, or no number, text, truth value, None or list of these.
    """
    value = list(value) if isinstance(value, tuple) else value
    parts = value if isinstance(value, list) else [value]
    if not all(part is None or isinstance(part, bool | int | float | str) for part in parts):
        raise ValueError(f"{where} is {value!r}; give a number, True, False, a text, None, or a list of these.")
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{where} is {value!r}; give True or False.")
    elif isinstance(default, int | float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{where} is {value!r}; give a number.")
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


def split_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings of the algorithm, and those of the policy class without what their names begin with."""
    of_policy = {name.removeprefix(POLICY): value for name, value in settings.items() if name.startswith(POLICY)}
    return {name: value for name, value in settings.items() if not name.startswith(POLICY)}, of_policy


def checked_policy_settings(text: str | None, found: type[Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a policy class in the form in which they are kept.

    Args:
        text: The name of the policy class; None if it is the one of the project.
        found: The policy class.
        settings: The settings, without what their names begin with.

    Raises:
        ValueError: If there is no policy class of one's own, or it has no such argument or not with such a value.
    """
    if settings and text is None:
        name = next(iter(settings))
        raise ValueError(f"{POLICY}{name} is for a policy class of your own; give --policy-class, or leave it out.")
    known, checked = own_defaults(found), {}
    for name, value in settings.items():
        if name not in known:
            raise ValueError(f"policy class {text!r} has no argument {name!r}; {suggestion(name, known)}")
        checked[name] = own_setting(f"{POLICY}{name}", value, known[name])
    return checked


def _derived(text: str, base: type[Any], wanted: str) -> type[Any]:
    found = imported(text)
    if not isinstance(found, type) or not issubclass(found, base):
        raise wrong_kind(text, found, wanted)
    return found
