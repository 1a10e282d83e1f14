"""What a process is told: which node it plays, the scenario, the plan, and where layers run after each event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dnnmig_env.arrays import Int8s
from dnnmig_env.files.strict_model import checked
from dnnmig_env.scenarios.file.read import scenario_of
from dnnmig_env.scenarios.file.schema import ScenarioForm
from dnnmig_env.scenarios.file.write import description_of
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload


@dataclass(frozen=True, eq=False)
class Events:
    """The events of the predicted timeline, E of them: they say where queries run once as much has happened for real.

    Attributes:
        arrived: Partitions that have arrived at each event, counted in the plan's order.
        slot: Time slot of each event.
        assignment: Node of each layer from each event on, shape (E, U, L).
    """

    arrived: tuple[int, ...]
    slot: tuple[int, ...]
    assignment: Int8s

    def at(self, arrived: int, slot: int) -> int:
        """Return the last event for which enough partitions have arrived and whose slot has begun."""
        reached = [
            event
            for event, (its_arrived, its_slot) in enumerate(zip(self.arrived, self.slot, strict=True))
            if its_arrived <= arrived and its_slot <= slot
        ]
        return reached[-1] if reached else 0


@dataclass(frozen=True, eq=False)
class Job:
    """What one process has to do.

    Attributes:
        node: The node that it plays: 0 is a user's device, s is server s.
        user: Index of the user whose device it is; -1 for a server.
        scenario: The scenario, with the seconds that each layer is to take on each node.
        plan: The plan.
        events: The events of the predicted timeline.
    """

    node: int
    user: int
    scenario: Scenario
    plan: Plan
    events: Events

    def to_plain(self) -> dict[str, Any]:
        """Return the job as plain data that JSON can hold; `from_plain` reads it back."""
        return {
            "node": self.node,
            "user": self.user,
            "scenario": description_of(self.scenario),
            "plan": [
                [upload.user, upload.server, list(map(int, upload.layers)), upload.not_before_s]
                for upload in self.plan.uploads
            ],
            "arrived": list(self.events.arrived),
            "slot": list(self.events.slot),
            "assignment": self.events.assignment.tolist(),
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Job:
        """Return the job that `to_plain` described."""
        uploads = (Upload(user, server, tuple(layers), start_s) for user, server, layers, start_s in data["plan"])
        events = Events(tuple(data["arrived"]), tuple(data["slot"]), np.array(data["assignment"], np.int8))
        scenario = scenario_of(checked(ScenarioForm, data["scenario"]), Path())
        return cls(data["node"], data["user"], scenario, Plan(tuple(uploads)), events)

    @property
    def name(self) -> str:
        """How messages name the process."""
        if self.node == 0:
            return f"device of user {self.scenario.users[self.user].name!r}"
        return f"server {self.scenario.servers[self.node - 1].name!r}"
