"""Policies that others have written: a planner, a class with `predict`, or a saved model of Stable-Baselines3."""

from __future__ import annotations

import hashlib
import inspect
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from agents.policies.name import OwnName
from dnnmig_env.arrays import Bools, Ints
from dnnmig_env.envs.vector_env import MigrationVectorEnv, Observations
from dnnmig_env.files.own_code import imported, source_of, wrong_kind

if TYPE_CHECKING:
    from agents.policies.policy import Policy

OwnKind = Literal["planner", "policy", "model"]
"""What somebody else's policy can be. A class with a method `predict` is a policy, and a saved model if a file is given
with it; everything else that can be called is a planner."""


class SavedModel:
    """Acts by a model or policy of Stable-Baselines3; one that takes masks is given those of the observations.

    Args:
        model: The model or policy.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._takes_masks = "action_masks" in inspect.signature(model.predict).parameters

    def predict(
        self,
        observation: Observations,
        state: Any = None,
        episode_start: Bools | None = None,
        deterministic: bool = True,
    ) -> tuple[Ints, Any]:
        """Return its actions and its next state."""
        masks: dict[str, Any] = {"action_masks": observation["action_mask"]} if self._takes_masks else {}
        actions, state = self._model.predict(observation, state, episode_start, deterministic, **masks)
        return np.asarray(actions), state


def own_kind(name: OwnName) -> OwnKind:
    """Return what somebody else's policy is.

    Raises:
        ValueError: If it cannot be imported, or is none of these, or not with what stands behind its name.
    """
    reference = _bare(name)
    found = imported(reference)
    is_policy = isinstance(found, type) and hasattr(found, "predict")
    if name.model is not None:
        if not (is_policy and hasattr(found, "load")):
            wanted = f"the class of the model in {name.model}, which has the methods load and predict"
            raise wrong_kind(reference, found, wanted)
        if not Path(name.model).is_file():
            raise ValueError(f"no model at {name.model}; give the file to which {reference} was saved.")
        return "model"
    if not is_policy:
        return "planner"
    learner = getattr(sys.modules.get("stable_baselines3.common.base_class"), "BaseAlgorithm", ())
    if issubclass(found, learner):
        raise ValueError(f"{reference!r} is a learning algorithm; add a saved model: {reference}@runs/model.zip.")
    if name.reference != reference:
        raise ValueError(f"{name.reference!r}: a policy has no parameters; write {reference!r}.")
    if name.view not in ("start", "replan"):
        raise ValueError(f"{reference}@{name.view}: a policy decides anew each time; leave out @{name.view}.")
    return "policy"


def own_policy(name: OwnName, env: MigrationVectorEnv, seed: int) -> Policy:
    """Return a policy of somebody else's that is no planner, ready to act in `env`.

    A class is called with the environment, and with `seed=` if it has an argument of that name. A model is read by its
    class's `load`, which for Stable-Baselines3 unpickles: code in the file is run.

    Args:
        name: Its name.
        env: The environment in which it will act.
        seed: Seed of whatever is random in it.

    Raises:
        ValueError: If there is no such policy, or it cannot be made or act in this environment.
    """
    kind, reference = own_kind(name), _bare(name)
    found: Any = imported(reference)
    if kind == "model":
        return SavedModel(_loaded(found, reference, Path(name.model or ""), env))
    takes_seed = "seed" in inspect.signature(found).parameters
    try:
        inspect.signature(found).bind(env, **({"seed": seed} if takes_seed else {}))
    except TypeError as error:
        raise ValueError(
            f"policy {reference!r} takes {inspect.signature(found)} ({error}); it is made from the environment alone, "
            "or with seed=: give its other arguments default values."
        ) from None
    policy: Policy = found(env, seed=seed) if takes_seed else found(env)
    return policy


def own_digest(name: OwnName) -> str:
    """Return a number in hexadecimal digits that differs wherever the module's source or the model's file differs.

    What cannot be read does not count; whoever makes the policy says what is wrong with it.
    """
    content = hashlib.sha256()
    with suppress(ValueError):
        content.update(source_of(_bare(name)))
    with suppress(OSError):
        content.update(b"" if name.model is None else Path(name.model).read_bytes())
    return content.hexdigest()


def _bare(name: OwnName) -> str:
    """Return where it is, without parameters."""
    return ":".join(name.reference.split(":")[:2])


def _loaded(found: Any, reference: str, file: Path, env: MigrationVectorEnv) -> Any:
    try:
        model = found.load(file, device="cpu")
    except Exception as error:  # files that are damaged, or of another class, raise all sorts of errors
        reason = " ".join(str(error).split())[:200] or "no message"
        raise ValueError(
            f"{file} cannot be loaded by {reference} ({type(error).__name__}: {reason}); give the class that saved it."
        ) from error
    seen = getattr(model, "observation_space", env.single_observation_space)
    acts = getattr(model, "action_space", env.single_action_space)
    if seen != env.single_observation_space or acts != env.single_action_space:
        raise ValueError(
            f"{file} was trained where observations or actions have other sizes or kinds ({_sizes(seen)}; {acts}) than "
            f"here ({_sizes(env.single_observation_space)}; {env.single_action_space}); give scenarios like those of "
            "its training."
        )
    return model


def _sizes(space: Any) -> str:
    parts = getattr(space, "spaces", None)
    if isinstance(parts, dict):
        return ", ".join(f"{name} {part.shape}" for name, part in parts.items())
    return str(space)
