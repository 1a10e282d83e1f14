"""Observers and rewarders: objects given to an environment that write what a policy sees, or what it is paid.

By itself an environment shows plain facts and pays delays, both of which the compiled step writes. In their place, an
observer writes other observations and a rewarder pays other rewards. Either is made for one batch of episodes, is
called at every start and step, and reads from the batch whatever it needs:
`gymnasium.make(..., observation=MyObserver)`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from dnnmig_env.arrays import Bools, Float32s, Floats, Ints
from dnnmig_env.envs.actions import Decisions
from dnnmig_env.envs.outputs import Outputs
from dnnmig_env.simulation.packed import Limits, PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State

ObservationKind = Literal["plain"]
"""`plain`: every fact about every user, layer, server and link (`dnnmig_env.envs.facts`)."""


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


class Episodes(Protocol):
    """What an observer or a rewarder may read of a batch of episodes (`dnnmig_env.envs.batch.EpisodeBatch`)."""

    @property
    def rows(self) -> int:
        """Number of rows, B."""

    @property
    def limits(self) -> Limits:
        """Sizes to which the scenarios are padded."""

    @property
    def decision_mode(self) -> str:
        """How decisions are split, "joint" or "two-phase"."""

    @property
    def packed(self) -> PackedScenarios:
        """The scenarios being played, one per row."""

    @property
    def state(self) -> State:
        """Where the episodes stand."""

    @property
    def decisions(self) -> Decisions:
        """What has been decided in them, apart from the uploads."""

    @property
    def uploads(self) -> PlanArrays:
        """The uploads that have been decided."""

    @property
    def outputs(self) -> Outputs:
        """Mask, reward and plain facts of each row."""

    @property
    def facts(self) -> Layout:
        """How the plain facts are laid out."""

    @property
    def observer(self) -> Observer:
        """What writes the observations; rewarders are made after it."""


class Observer(Protocol):
    """Writes what a policy sees of a batch of episodes."""

    kind: str
    """Name of the kind of observation; a model that was trained on one kind cannot act on another."""

    layout: Layout

    observation: Float32s
    """Observation of every row, shape (B, D), within [-1, 1]."""

    def start(self, rows: Ints) -> None:
        """Write the observations of the given rows, shape (N,), whose episodes have just begun."""

    def step(self, rows: Ints, actions: Ints) -> None:
        """Write the observations of the given rows, shape (N,), after they have taken the given actions, shape (N,)."""


class Rewarder(Protocol):
    """Pays for decisions in a batch of episodes."""

    def start(self, rows: Ints) -> None:
        """Take note that episodes have begun in the given rows, shape (N,)."""

    def step(self, actions: Ints, active: Bools) -> Floats:
        """Return the rewards of the latest actions in seconds per query, shape (B,); only active rows are used."""


class FactsObserver:
    """Shows plain facts, which the compiled step itself writes: a separate call would cost more than writing them.

    Args:
        episodes: The batch.
    """

    kind = "plain"

    def __init__(self, episodes: Episodes) -> None:
        self.layout: Layout = episodes.facts
        self.observation = episodes.outputs.observation

    def start(self, rows: Ints) -> None:
        """Do nothing: the observations have been written."""

    def step(self, rows: Ints, actions: Ints) -> None:
        """Do nothing: the observations have been written."""


MakeObserver = Callable[[Episodes], Observer]
"""Function that makes an observer for a batch of episodes."""
MakeRewarder = Callable[[Episodes], Rewarder]
"""Function that makes a rewarder for a batch of episodes."""


def find_observer(observation: str | MakeObserver) -> MakeObserver:
    """Return the function that makes the observer of a name; if a function is given, return that.

    Raises:
        ValueError: If there is no observer of that name.
    """
    if not isinstance(observation, str):
        return observation
    if observation != "plain":
        raise ValueError(f"observation is {observation!r}; give 'plain', or a function that makes an observer.")
    return FactsObserver
