"""The scenario that a planner may know in the middle of an episode: the present, never the slots to come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario
from dnnmig_env.simulation.state import State

OUTAGE_BYTES_PER_S = 1.0
"""Rate that planners are told for a link that is down at present; no scenario may have a link that is always down."""


def known_scenario(scenario: Scenario, state: State, row: int) -> Scenario | None:
    """Return what a planner sees of a scenario now, as a scenario in which nothing changes.

    It has one time slot with the present rates, positions and velocities; its horizon is what is left of the whole
    one, and what has been uploaded so far counts as uploaded at its start. Users who are absent now keep their index,
    with query rate 0.

    Args:
        scenario: The whole scenario, its future included.
        state: Where the episodes stand.
        row: The episode's row of the state.

    Returns:
        The scenario as known, or None if no user is present or the horizon is over.
    """
    slot, time_s = int(state.slot[row]), float(state.time_s[row])
    rates = [float(np.asarray(user.query_rate_hz)[slot]) for user in scenario.users]
    if not any(rates) or time_s >= scenario.horizon_s:
        return None
    users = tuple(
        replace(
            user,
            query_rate_hz=rate,
            uploaded=np.where(
                state.usable[row, user_index, : len(user.graph)], state.node[row, user_index, : len(user.graph)], 0
            ),
        )
        for user_index, (user, rate) in enumerate(zip(scenario.users, rates, strict=True))
    )
    return replace(
        scenario,
        users=users,
        links=_links_in(scenario.links, slot),
        horizon_s=scenario.horizon_s - time_s,
        slot_starts_s=(0.0,),
        mobility=None if scenario.mobility is None else _mobility_in(scenario.mobility, slot, _slot_s(scenario, slot)),
    )


def _links_in(links: Links, slot: int) -> Links:
    return replace(
        links,
        up_bytes_per_s=np.maximum(np.asarray(links.up_bytes_per_s)[slot], OUTAGE_BYTES_PER_S),
        down_bytes_per_s=np.maximum(np.asarray(links.down_bytes_per_s)[slot], OUTAGE_BYTES_PER_S),
        up_latency_s=np.asarray(links.up_latency_s)[slot],
        down_latency_s=np.asarray(links.down_latency_s)[slot],
    )


def _slot_s(scenario: Scenario, slot: int) -> float:
    edges_s = [*np.asarray(scenario.slot_starts_s).tolist(), scenario.horizon_s]
    return float(edges_s[slot + 1] - edges_s[slot])


def _mobility_in(mobility: Mobility, slot: int, slot_s: float) -> Mobility:
    return replace(
        mobility,
        user_positions_m=np.asarray(mobility.user_positions_m)[slot],
        user_velocities_m_per_s=np.asarray(mobility.user_velocities_m_per_s)[slot],
        slot_s=slot_s if mobility.slot_s is None else mobility.slot_s,
    )
