"""What a policy sees, and what else a reward may be: strategies that are handed to an environment.

The environment itself shows plain facts and pays delays, both written by the compiled step. Whoever decides may bring
something else: an observer writes observations of its own, a rewarder pays rewards of its own. Either is made for one
batch of episodes, is told of every start and step, and reads from the batch whatever it needs. Some have a name, so that
`gymnasium.make(..., observation="candidates")` finds them; what the name stands for is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

from dnnmig_env.arrays import Bools, Float32s, Floats, Ints

if TYPE_CHECKING:
    from dnnmig_env.envs.batch import EpisodeBatch

ObservationKind = Literal["plain", "candidates"]
"""`plain`: every fact about every user, layer, server and link (`dnnmig_env.envs.facts`). `candidates`: the most
promising uploads only, each with its prospects (`agents.candidates`)."""

OBSERVERS = {"candidates": "agents.candidates.observer:CandidateObserver"}
"""Module and class of the observers that have a name."""

REWARDERS = {"reference": "agents.candidates.rewarder:ReferenceRewarder"}
"""Module and class of the rewarders that have a name."""


class Layout(Protocol):
    """How an observation is laid out."""

    @property
    def users(self) -> int:
        """Most users, U."""

    @property
    def layers(self) -> int:
        """Most layers per network, L."""

    @property
    def servers(self) -> int:
        """Most servers, S."""

    @property
    def size(self) -> int:
        """Length of an observation, D."""


class Observer(Protocol):
    """Writes what a policy sees of a batch of episodes."""

    kind: str
    """Name of what is seen; a model that was trained on one kind acts on no other."""

    layout: Layout

    observation: Float32s
    """Of every row, shape (B, D), within [-1, 1]."""

    def start(self, rows: Ints) -> None:
        """Write the observations of rows whose episodes have just begun, shape (N,)."""

    def step(self, rows: Ints, actions: Ints) -> None:
        """Write the observations of rows, shape (N,), that have taken a decision, after their actions, (N,)."""


class Rewarder(Protocol):
    """Pays for decisions in a batch of episodes."""

    def start(self, rows: Ints) -> None:
        """Note that episodes have begun in some rows, shape (N,)."""

    def step(self, actions: Ints, active: Bools) -> Floats:
        """Return the rewards of the latest actions in seconds per query, shape (B,); only active rows count."""


class FactsObserver:
    """Shows plain facts. The compiled step has written them already: a call of its own would cost more than that.

    Args:
        episodes: The batch.
    """

    kind = "plain"

    def __init__(self, episodes: EpisodeBatch) -> None:
        self.layout: Layout = episodes.facts
        self.observation = episodes.outputs.observation

    def start(self, rows: Ints) -> None:
        """Nothing is left to do."""

    def step(self, rows: Ints, actions: Ints) -> None:
        """Nothing is left to do."""


MakeObserver = Callable[["EpisodeBatch"], Observer]
MakeRewarder = Callable[["EpisodeBatch"], Rewarder]


def find_observer(observation: str | MakeObserver) -> MakeObserver:
    """Return what makes the observer of a name, or the given one.

    Raises:
        ValueError: If there is none of that name, or it is not installed.
    """
    if not isinstance(observation, str):
        return observation
    if observation not in get_args(ObservationKind):
        raise ValueError(f"observation is {observation!r}; choose one of {', '.join(get_args(ObservationKind))}.")
    return FactsObserver if observation == "plain" else cast(MakeObserver, load(OBSERVERS[observation]))


def load(entry_point: str) -> Any:
    """Return what `module:name` stands for.

    Raises:
        ValueError: If the module is not installed.
    """
    module, _, name = entry_point.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ValueError(f"{module} is not installed ({error}); run from a checkout of the project.") from None
