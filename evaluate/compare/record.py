"""What came of one scenario under one policy, and what a policy reached in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class Record:
    """What came of one scenario under one policy.

    Attributes:
        scenario: Number of the scenario, from 0.
        mean_delay_s: As in `Rollout`, like those that follow.
        device_only_s: See there.
        cold_start_s: See there.
        device_only_cold_start_s: See there.
        planning_s: See there.
        decisions: See there.
        illegal: See there.
        actions: The actions that were taken, one per decision.
    """

    scenario: int
    mean_delay_s: float
    device_only_s: float
    cold_start_s: float
    device_only_cold_start_s: float
    planning_s: float
    decisions: int
    illegal: bool
    actions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Rollout:
    """What a policy reached in N scenarios.

    Attributes:
        mean_delay_s: Mean query delay J, shape (N,).
        device_only_s: J of uploading nothing, shape (N,).
        cold_start_s: Cold-start delay of what was uploaded, mean over users (see `evaluate.compare.cold_start`), shape
            (N,). After an illegal action it is at least that of uploading nothing.
        device_only_cold_start_s: Cold-start delay of uploading nothing, shape (N,).
        planning_s: Seconds that the policy took, shape (N,). For a planner it is its own time. For other policies it is
            the time of `predict` and of the environment, which works out what they see; scenarios that are decided in
            one call share it equally.
        decisions: Number of decisions, shape (N,).
        illegal: Whether an illegal action ended the episode, shape (N,).
    """

    mean_delay_s: Floats
    device_only_s: Floats
    cold_start_s: Floats
    device_only_cold_start_s: Floats
    planning_s: Floats
    decisions: Ints
    illegal: Bools

    @classmethod
    def of(cls, records: Sequence[Record]) -> Rollout:
        """Return the rollout of records, one per scenario, in any order."""
        ordered = sorted(records, key=lambda record: record.scenario)
        return cls(**{field.name: np.array([getattr(one, field.name) for one in ordered]) for field in fields(cls)})
