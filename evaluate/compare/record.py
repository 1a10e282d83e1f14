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
        handovers: See there.
        cold_starts: See there.
        radio_bytes: See there.
        wire_bytes: See there.
        vain_bytes: See there.
        on_device_share: See there.
        handover_s: See there.
        handover_queries: See there.
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
    handovers: int = 0
    cold_starts: int = 0
    radio_bytes: float = 0.0
    wire_bytes: float = 0.0
    vain_bytes: float = 0.0
    on_device_share: float = 1.0
    handover_s: float = 0.0
    handover_queries: float = 0.0


@dataclass(frozen=True, eq=False)
class Rollout:
    """What a policy reached in N scenarios.

    Attributes:
        mean_delay_s: Mean query delay J, shape (N,).
        device_only_s: J of uploading nothing, shape (N,).
        cold_start_s: Cold-start delay of what was uploaded, mean over users (see `evaluate.compare.cold_start`), shape
            (N,). After an illegal action it is at least that of uploading nothing. NaN with several lanes.
        device_only_cold_start_s: Cold-start delay of uploading nothing, shape (N,).
        planning_s: Seconds that the policy took, shape (N,). For a planner it is its own time. For other policies it is
            the time of `predict` and of the environment, which works out what they see; scenarios that are decided in
            one call share it equally.
        decisions: Number of decisions, shape (N,).
        illegal: Whether an illegal action ended the episode, shape (N,).
        handovers: How often users came from one cell to another, shape (N,).
        cold_starts: After how many of them they ran on their device alone, shape (N,).
        radio_bytes: Bytes of weights that devices sent, shape (N,).
        wire_bytes: Bytes of weights that servers sent, shape (N,).
        vain_bytes: Bytes of either that no query has used, shape (N,).
        on_device_share: Share of the users' time in which they ran on their device alone, shape (N,).
        handover_s: Seconds of presence that count as just after a handover (`AFTER_HANDOVER_S`), shape (N,).
        handover_queries: Mean number of queries that users started in these seconds, shape (N,).
        actions: The actions that were taken in each scenario, N of them.
    """

    mean_delay_s: Floats
    device_only_s: Floats
    cold_start_s: Floats
    device_only_cold_start_s: Floats
    planning_s: Floats
    decisions: Ints
    illegal: Bools
    handovers: Ints
    cold_starts: Ints
    radio_bytes: Floats
    wire_bytes: Floats
    vain_bytes: Floats
    on_device_share: Floats
    handover_s: Floats
    handover_queries: Floats
    actions: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Rollout:
        """Return the rollout of records, one per scenario, in any order."""
        ordered = sorted(records, key=lambda record: record.scenario)
        columns = {field.name: [getattr(one, field.name) for one in ordered] for field in fields(cls)}
        actions = tuple(columns.pop("actions"))
        return cls(**{name: np.array(column) for name, column in columns.items()}, actions=actions)
