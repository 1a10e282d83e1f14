"""What an environment can be asked about its rows, in addition to Gymnasium's interface."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dnnmig_env.envs.actions import ActionLayout
from dnnmig_env.envs.batch import DecisionMode, EpisodeBatch
from dnnmig_env.envs.observer import Layout
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan


class RowView:
    """Base class of both environments: answers questions about a row, which is one of several episodes side by side.

    An environment of a single episode has row 0 only.
    """

    episodes: EpisodeBatch

    @property
    def layout(self) -> ActionLayout:
        """How actions are numbered: `layout.encode(user, layer, server)`, `layout.decode(action)`, `layout.stop`."""
        return self.episodes.actions

    @property
    def observation_layout(self) -> Layout:
        """Where everything stands in an observation: `slices` and `shapes` name its parts."""
        return self.episodes.layout

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

    def known_scenario(self, row: int = 0, next_cells: Mapping[int, int] | None = None) -> Scenario | None:
        """Return what a planner may know of a row's scenario now; None if no user is present.

        Args:
            row: The row.
            next_cells: For some users, the server (1..S) in whose cell they are taken to be next: what lies there for
                them counts as kept.
        """
        return self.episodes.known_scenario(row, next_cells)

    def plan(self, row: int = 0) -> Plan:
        """Return the uploads that a row has decided so far."""
        self.episodes.check_begun()
        return self.episodes.plan(row)

    def pending_layer(self, row: int = 0) -> tuple[int, int] | None:
        """Return the (user, layer) to be placed next; None if the next decision is an upload."""
        self.episodes.check_begun()
        return self.episodes.pending_layer(row)

    def time_s(self, row: int = 0) -> float:
        """Return the time at which a row's next decision is taken."""
        self.episodes.check_begun()
        return float(self.episodes.state.time_s[row])

    def encode(self, user: int, layer: int, server: int) -> int:
        """Return the action that chooses `server` (1..S) for a layer of a user."""
        return self.episodes.actions.encode(user, layer, server)

    @property
    def stop_action(self) -> int:
        """The action "stop"."""
        return self.episodes.actions.stop

    def frame(self, render_mode: str, row: int = 0) -> NDArray[np.uint8] | str:
        """Return a row's uploads so far and the delays they lead to, as a picture or as text.

        Args:
            render_mode: "rgb_array": an array (height, width, 3), whose size never changes; or "ansi".
            row: The row.
        """
        from dnnmig_env.simulation.simulator import simulate
        from dnnmig_env.simulation.viewer import describe, frame

        timeline = simulate(self.scenario(row), self.plan(row))
        return describe(timeline) if render_mode == "ansi" else frame(timeline)
