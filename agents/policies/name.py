"""Names of policies, read into a value: a planner, a trained model, random decisions, or what others have written."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from dnnmig_env.files.own_code import NAME

PRETRAINED = "pretrained"
"""Name of the trained agent that comes with the project for the scenarios' family."""

RANDOM = "random"
"""Name of the policy that decides at random."""

UNTRAINED = "untrained"
"""Name of the agents' policy network as it is before any training."""

View = Literal["start", "replan", "forecast", "markov", "perdnn", "clairvoyant"]
"""What a planner knows, and when it plans. Without a suffix it plans once, at the start of an episode. It plans anew at
every decision from what is known then (`@replan`), or from the links that are expected if users keep their velocity
(`@forecast`). Or it plans once and knows all slots to come (`@clairvoyant`), which is no policy but a bound.

Where weights move between servers, planners with foresight plan anew at every decision, and send layers ahead to the
cell to which a user goes next: by its velocity (`@forecast`), by the cells that followed in the town's past
(`@markov`), by a regression of positions that was learned from it (`@perdnn`), or as it will be (`@clairvoyant`)."""

ALIASES = {"perdnn": "joint-efficiency@perdnn"}
"""Names that stand for others."""

_SUFFIXES: dict[str, View] = {f"@{view}": view for view in get_args(View) if view != "start"}
_SAMPLES = re.compile(r"(.+)@(-?\d+)")
_OWN = re.compile(rf"({NAME}:{NAME}(?::\w+=[^:@]*)*)(?:@(.*))?")


@dataclass(frozen=True)
class RandomName:
    """The name of random decisions."""


@dataclass(frozen=True)
class UntrainedName:
    """The name of a policy network before any training."""


@dataclass(frozen=True)
class PlannerName:
    """The name of a planner.

    Attributes:
        planner: The planner, as `agents.planners.planner` takes it.
        view: What it knows, and when it plans.
    """

    planner: str
    view: View = "start"


@dataclass(frozen=True)
class ModelName:
    """The name of a trained model.

    Attributes:
        model: "pretrained", a model file or a training run's folder.
        samples: Number of plans from which the best is kept, from `NAME@K`; 0 = the network acts itself, in one pass.
        replan: Whether the plans are made anew at every decision, from `NAME@K@replan`.
    """

    model: str
    samples: int = 0
    replan: bool = False

    def path(self, family: str | None) -> Path:
        """Return the file or folder that the name means.

        Raises:
            ValueError: If no agent of the family comes with the project, or the family is not given.
        """
        if self.model != PRETRAINED:
            return Path(self.model)
        if family is None:
            raise ValueError(f"family is None, so that {PRETRAINED!r} means no agent; say which family it is.")
        from agents.pretrained import pretrained_file  # which would slow down every command line

        return pretrained_file(family)


@dataclass(frozen=True)
class OwnName:
    """The name of what others have written: a planner, a policy, or a model of Stable-Baselines3 with its class.

    Attributes:
        reference: `package.module:attribute`; parameters may follow if it is a planner, as in `mine:Planner:depth=3`.
        view: What it knows and when it plans, if it is a planner.
        model: The file of the saved model, from `package.module:Class@FILE`.
    """

    reference: str
    view: View = "start"
    model: str | None = None


PolicyName = RandomName | UntrainedName | PlannerName | ModelName | OwnName


def parse_policy_name(text: str) -> PolicyName:
    """Return what a policy's name means.

    "random" and "untrained" mean themselves. `package.module:attribute` is what others have written. "pretrained" is a
    model, and so is whatever looks like a path, that is, contains "/" or ends in .zip. All else is a planner, even if a
    file or folder of that name exists. Whether there is such a planner or model is not checked.

    Raises:
        ValueError: If a model is asked for fewer samples than 1, or a suffix is unknown or does not go with what it
            stands behind.
    """
    if text in (RANDOM, UNTRAINED):
        return RandomName() if text == RANDOM else UntrainedName()
    text = ALIASES.get(text, text)
    if _looks_like_path(text) and Path(text).exists():
        return ModelName(text)  # a path may have an "@" in it
    if own := _OWN.fullmatch(text):
        return _own_name(text, *own.groups())
    bare, suffix = _split(text)
    if bare in (RANDOM, UNTRAINED):
        raise ValueError(f"{text!r}: {bare} decides anew each time; leave out {suffix}.")
    unknown = "@" + bare.rpartition("@")[2]
    if "@" in bare and not (_SAMPLES.fullmatch(bare) or _looks_like_path(unknown)):
        raise ValueError(
            f"{text!r} ends in {unknown!r}, which means nothing; planners take {', '.join(_SUFFIXES)}, and trained "
            "models a number of samples, such as @64, and @replan behind it."
        )
    sampled = _SAMPLES.fullmatch(bare)
    model = sampled.group(1) if sampled else bare
    if model != PRETRAINED and not _looks_like_path(model):
        if sampled:
            raise ValueError(f"{text!r} asks for samples, but only trained models are sampled; write {model!r}.")
        return PlannerName(bare, _SUFFIXES[suffix] if suffix else "start")
    if sampled is None and suffix:
        raise ValueError(f"{text!r}: a model decides anew each time; leave out {suffix}, or ask for samples.")
    if suffix not in ("", "@replan"):
        raise ValueError(f"{text!r}: {suffix} is for planners; leave it out, or write @replan.")
    samples = int(sampled.group(2)) if sampled else 0
    if sampled and samples < 1:
        raise ValueError(f"{text!r} asks for {samples} samples; give 1 or more, such as '{model}@64'.")
    return ModelName(model, samples, replan=bool(suffix))


def replanning(name: PolicyName) -> PolicyName:
    """Return the name of the same policy planning anew at every decision; one that does not plan keeps its name."""
    if isinstance(name, PlannerName) or (isinstance(name, OwnName) and name.model is None):
        return replace(name, view="replan") if name.view == "start" else name
    return replace(name, replan=True) if isinstance(name, ModelName) and name.samples else name


def _own_name(text: str, reference: str, behind: str | None) -> OwnName:
    """Return the name of what others have written, given what stands before and behind the "@"."""
    if behind is None or f"@{behind}" in _SUFFIXES:
        return OwnName(reference, "start" if behind is None else _SUFFIXES[f"@{behind}"])
    if not _looks_like_path(behind):
        raise ValueError(
            f"{text!r} ends in '@{behind}', which means nothing; planners take {', '.join(_SUFFIXES)}, and classes of "
            "Stable-Baselines3 the file of a saved model, such as @runs/model.zip."
        )
    return OwnName(reference, model=behind)


def _split(text: str) -> tuple[str, str]:
    """Return a name without its suffix, and the suffix ("" if it has none)."""
    for suffix in _SUFFIXES:
        if text.endswith(suffix):
            return text.removesuffix(suffix), suffix
    return text, ""


def _looks_like_path(text: str) -> bool:
    return "/" in text or text.endswith(".zip")
