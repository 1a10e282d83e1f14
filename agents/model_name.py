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


def parse_model_name(name: str) -> ModelName | None:
    """Return what a policy's name says of a trained model, or None if it names none.

    Raises:
        ValueError: If there is no sample to choose from, or samples are asked of something else than a trained model.
    """
    if Path(name).exists():
        return ModelName(name)
    bare = name.removesuffix(REPLAN)
    match = re.fullmatch(r"(.+)@(-?\d+)", bare)
    model = match.group(1) if match else bare
    is_model = model == PRETRAINED or Path(model).exists() or model.endswith(".zip") or "/" in model
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
