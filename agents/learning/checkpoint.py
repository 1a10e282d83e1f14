"""Saves models and goes on with them: weights, optimiser, settings, counters and what an algorithm remembers.

A model file is a zip file of JSON, weights and arrays. None of these can hold code, and nothing is unpickled: reading
the file of a stranger at worst fails. Its members:

- `dnnmig.json`: the card, see `agents.policies.card`.
- `policy.pth`: the weights of SB3's policy. The card and these are all that it takes to act.
- `training.json`: the settings of the algorithm and its counters.
- `policy.optimizer.pth` and the like: the other torch states of the algorithm.
- `memory/NAME.npy`: what the algorithm remembers beyond that, see `Remembering`.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import model_validator

from agents.learning.masked_policy import NotFiniteError
from agents.learning.own_classes import split_settings
from agents.learning.settings import KINDS
from agents.policies.card import CARD, FORMAT, Card
from agents.policies.trained import WEIGHTS, read_torch, reading
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.yaml_json import parse_json

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

TRAINING, MEMORY = "training.json", "memory/"
"""Name of the member with settings and counters, and what the names of arrays begin with."""

COUNTERS = ("_n_updates", "_episode_num", "_n_calls", "exploration_steps", "exploration_rate", "rounds")
"""Attributes of algorithms that count; each has some of them. The number of decisions is on the card."""


@runtime_checkable
class Remembering(Protocol):
    """An algorithm that learns from more than its latest decisions."""

    def memory(self) -> dict[str, NDArray[Any]]:
        """Return what it remembers, as arrays by name, in a form that compresses well."""
        ...

    def remember(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `memory` returned.

        Raises:
            ValueError: If the arrays are of something else.
        """
        ...


@dataclass(frozen=True)
class TrainingState:
    """How far the training of a model has come.

    Attributes:
        settings: All settings of the algorithm by name, as `make_model` takes them.
        counters: Values of `COUNTERS`.
    """

    settings: dict[str, Any]
    counters: dict[str, int | float]


_Setting = int | float | bool | str | None


class _Training(Form):
    settings: dict[str, _Setting | list[_Setting]]
    counters: dict[str, int | float]

    @model_validator(mode="after")
    def _has_numbers(self) -> _Training:
        for name, value in self.settings.items():  # only settings of one's own classes may be texts and lists
            if name in KINDS and isinstance(value, str | list):
                raise ValueError(f"settings.{name} is {value!r}; it must be a number")
        return self


def save(
    model: BaseAlgorithm, path: Path, family: str, decisions: str, algorithm: str, *, for_training: bool = True
) -> None:
    """Write a model made by `make_model` with its card; an older file is replaced only when the new one is complete.

    Args:
        model: The model.
        path: File to write.
        family: Family of the scenarios on which it was trained.
        decisions: "joint" or "two-phase".
        algorithm: Its name, as `make_model` takes it.
        for_training: Whether the training is to go on with this file; without, it can only act.

    Raises:
        NotFiniteError: If a weight or a number of the optimiser is NaN or infinite.
        OSError: If the file cannot be written.
    """
    states = model.get_parameters()
    for name in states:
        if not _is_finite(states[name]):
            raise NotFiniteError(f"numbers in the model's {name} are")
    made: Any = model
    of_policy = split_settings(made.settings)[1]
    card = Card(
        algorithm=algorithm,
        family=family,
        decisions=decisions,
        steps=model.num_timesteps,
        format=FORMAT,
        policy_class=made.own_policy,
        policy_settings=of_policy,
        **made.sizes,
    )
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.writestr(CARD, card.text())
                archive.writestr(WEIGHTS, _torch_bytes(states["policy"]))
                if for_training:
                    _write_training(archive, model, states)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_training(path: Path) -> TrainingState:
    """Return how far the training of a model has come.

    Raises:
        ValueError: If the file is damaged, or is not one to go on with.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        text = archive.read(TRAINING).decode() if TRAINING in archive.namelist() else None
    if text is None:
        raise ValueError(f"{path} has no {TRAINING}: it was saved to act, not to go on with; train anew.")
    try:
        found = checked(_Training, parse_json(text))
    except ValueError as error:
        raise ValueError(f"{path} is damaged in {TRAINING}: {error}") from None
    return TrainingState(dict(found.settings), dict(found.counters))


def restore(model: BaseAlgorithm, path: Path) -> None:
    """Give a new model of the same algorithm, settings and sizes the state in which another one was saved.

    Args:
        model: The model, from `make_model`.
        path: File that `save` wrote.

    Raises:
        ValueError: If the file is damaged, or is of another model.
    """
    training, learning = read_training(path), model.get_parameters()
    with reading(path), zipfile.ZipFile(path) as archive:
        states = {name: read_torch(archive, f"{name}.pth") for name in learning}
        names = [name for name in archive.namelist() if name.startswith(MEMORY)]
        arrays = {name.removeprefix(MEMORY).removesuffix(".npy"): _array(archive, name) for name in names}
    for name, state in states.items():
        if not _is_finite(state):
            raise ValueError(
                f"{path} has numbers in {name}.pth that are not finite: its training has failed; train anew with a "
                "smaller --learning-rate."
            )
    fitting: Any = model
    try:
        for name, state in states.items():
            target = fitting
            for part in name.split("."):
                target = getattr(target, part)
            if isinstance(target, torch.optim.Optimizer):
                _check_optimizer(target, state)
                # What the optimiser does follows from the settings; only what it has seen comes from the file.
                state = {"state": state["state"], "param_groups": target.state_dict()["param_groups"]}
            target.load_state_dict(state)
        for name, value in training.counters.items():
            if name in COUNTERS and hasattr(fitting, name):
                setattr(fitting, name, value)
        if isinstance(fitting, Remembering):
            fitting.remember(arrays)
    except Exception as error:  # states are made by torch, which raises whatever comes up
        raise ValueError(
            f"{path} does not fit the training that is to go on ({_line(error)}); train anew with another --out."
        ) from None


def _write_training(archive: zipfile.ZipFile, model: Any, states: Mapping[str, Any]) -> None:
    counters = {name: getattr(model, name) for name in COUNTERS if getattr(model, name, None) is not None}
    archive.writestr(TRAINING, json.dumps({"settings": model.settings, "counters": counters}, indent=1))
    for name, state in states.items():
        if name != "policy":
            archive.writestr(f"{name}.pth", _torch_bytes(state))
    if isinstance(model, Remembering):
        for name, array in model.memory().items():
            with archive.open(f"{MEMORY}{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _torch_bytes(state: Any) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with archive.open(name) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _is_finite(state: Any) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(state))


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping):
        for part in state.values():
            yield from _tensors(part)


def _check_optimizer(optimizer: torch.optim.Optimizer, state: Any) -> None:
    """Raise unless a state has the shapes of an optimiser's parameters, which torch itself notices only at a step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, own in state["state"].items():
        for tensor in _tensors(own):
            if tensor.ndim and tensor.shape != parameters[number].shape:
                raise ValueError(f"the optimiser has {tuple(tensor.shape)} for {tuple(parameters[number].shape)}")


def _line(error: Exception) -> str:
    """Return what an error says, in one line that is not too long."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= 120 else f"{words[:120]}..."
