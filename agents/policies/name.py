"""Names of trained models among the names of policies: which file is meant, and how its network is to decide."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agents.pretrained import pretrained_file

PRETRAINED = "pretrained"
"""Name of the trained agent that comes with the project for the scenarios' family."""

REPLAN = "@replan"
"""Suffix of a name: plan anew at every decision from what is known then."""

_SAMPLES = re.compile(r"(.+)@(-?\d+)")


@dataclass(frozen=True)
class ModelName:
    """What the name of a trained model says.

    Attributes:
        model: "pretrained", a model file or a training run's folder.
        samples: Plans from which to keep the best, from `NAME@K`; 0 = the network acts itself, in one pass.
        replan: Whether to do so anew at every decision, from `NAME@K@replan`.
    """

    model: str
    samples: int = 0
    replan: bool = False

    def path(self, family: str) -> Path:
        """Return the file or folder meant.

        Raises:
            ValueError: If no agent of the family comes with the project.
        """
        return pretrained_file(family) if self.model == PRETRAINED else Path(self.model)


@dataclass(frozen=True)
class HalfName:
    """What a name says of which one half is a trained model's and the other a planner's.

    Attributes:
        model: The model.
        planner: Name of the planner of the other half.
        places: Whether the model places and the planner orders (`MODEL+ORDER`), or else the other way round.
    """

    model: ModelName
    planner: str
    places: bool


def parse_half_name(name: str) -> HalfName | None:
    """Return what a planner's name says of half a model, or None if it does not name one.

    `MODEL+ORDER` and `PLACEMENT+MODEL` do; MODEL is "pretrained", a file whose name ends in .zip, or a path with "/".

    Raises:
        ValueError: If both halves are models', or samples are asked for.
    """
    if Path(_SAMPLES.sub(r"\1", name.removesuffix(REPLAN))).exists():
        return None  # a path may have a "+" in it
    before, _, order = name.rpartition("+")
    placement, _, after = name.partition("+")
    places, orders = _is_path(before), _is_path(after)
    if places and not _is_path(order):
        model, planner = before, order
    elif orders and not _is_path(placement):
        model, planner = after, placement
    elif places or orders:
        raise ValueError(f"{name!r} names a model for both halves; put a planner beside one of them.")
    else:
        return None
    if _SAMPLES.fullmatch(model):
        raise ValueError(f"{name!r} asks for samples of half a model, which decides greedily; leave out the number.")
    return HalfName(ModelName(model), planner, places=model == before)


def parse_model_name(name: str) -> ModelName | None:
    """Return what a policy's name says of a trained model, or None if it names none.

    Raises:
        ValueError: If there is no sample to choose from, or samples are asked of something else than a trained model.
    """
    if Path(name).exists():
        return ModelName(name)
    if parse_half_name(name) is not None:
        return None
    bare = name.removesuffix(REPLAN)
    match = _SAMPLES.fullmatch(bare)
    model = match.group(1) if match else bare
    is_model = Path(model).exists() or _is_path(model)
    if match is None:
        if is_model and bare != name:
            raise ValueError(f"{name!r}: a model decides anew each time; leave out {REPLAN}, or ask for samples.")
        return ModelName(model) if is_model else None
    if not is_model:
        raise ValueError(f"{name!r} asks for samples, but only trained models are sampled; write {model!r}.")
    samples = int(match.group(2))
    if samples < 1:
        raise ValueError(f"{name!r} asks for {samples} samples; give 1 or more, such as '{model}@64'.")
    return ModelName(model, samples, bare != name)


def _is_path(text: str) -> bool:
    """Return whether a text can mean nothing but a model, be there one or not."""
    return _SAMPLES.sub(r"\1", text) == PRETRAINED or text.endswith(".zip") or "/" in text
