"""What an environment can be asked about its rows, in addition to Gymnasium's interface."""

from __future__ import annotations

from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan


class RowView:
    """Base class of both environments: answers questions about a row, which is one of several episodes side by side.

    An environment of a single episode has row 0 only.
    """

    episodes: EpisodeBatch

    @property
    def num_rows(self) -> int:
        """Number of episodes side by side."""
        return self.episodes.rows

    @property
    def decision_mode(self) -> DecisionMode:
        """Whether placing and uploading are one decision ("joint") or two ("two-phase")."""
        return self.episodes.decision_mode

    def episode(self, row: int = 0) -> int:
        """Return the number of episodes that a row has begun."""
        return int(self.episodes.begun[row])

    def scenario(self, row: int = 0) -> Scenario:
        """Return the scenario that a row plays, its future included."""
        return self.episodes.scenario(row)

    def known_scenario(self, row: int = 0) -> Scenario | None:
        """Return what a planner may know of a row's scenario now; None if no user is present."""
        return self.episodes.known_scenario(row)

    def plan(self, row: int = 0) -> Plan:
        """Return the uploads that a row has decided so far."""
        return self.episodes.plan(row)

    def pending_layer(self, row: int = 0) -> tuple[int, int] | None:
        """Return the (user, layer) to be placed next; None if the next decision is an upload."""
        return self.episodes.pending_layer(row)

    def time_s(self, row: int = 0) -> float:
        """Return the time at which a row's next decision is taken."""
        return float(self.episodes.state.time_s[row])

    def encode(self, user: int, layer: int, server: int) -> int:
        """Return the action that chooses `server` (1..S) for a layer of a user."""
        return self.episodes.actions.encode(user, layer, server)

    @property
    def stop_action(self) -> int:
        """The action "stop"."""
        return self.episodes.actions.stop
