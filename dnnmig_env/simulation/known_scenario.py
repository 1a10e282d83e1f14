"""The scenario that a planner may know in the middle of an episode: the present, never the slots to come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User, derived
from dnnmig_env.simulation.state import State

OUTAGE_BYTES_PER_S = 1.0
"""Rate that planners are told for a link that is down at present; no scenario may have a link that is always down."""


def known_scenario(
    scenario: Scenario, state: State, row: int, next_cells: Mapping[int, int] | None = None
) -> Scenario | None:
    """Return what a planner sees of a scenario now, as a scenario in which nothing changes.

    It has one time slot with the present rates, positions and velocities; its horizon is what is left of the whole
    one, and what has been uploaded so far, or is on its way, counts as uploaded at its start. Users who are absent now
    keep their index, with query rate 0. Where weights may move, what users who have left leave behind counts as
    dropped, and so do layers that a user's home server holds as well: they are, as soon as room is needed. Those on the
    server of a user's next cell count as kept, if next cells are given.

    Args:
        scenario: The whole scenario, its future included.
        state: Where the episodes stand.
        row: The episode's row of the state.
        next_cells: For some users, the server (1..S) in whose cell they are taken to be next.

    Returns:
        The scenario as known, or None if no user is present or the horizon is over.
    """
    slot, time_s = int(state.slot[row]), float(state.time_s[row])
    rates = [float(np.asarray(user.query_rate_hz)[slot]) for user in scenario.users]
    if not any(rates) or time_s >= scenario.horizon_s:
        return None
    next_cells = {} if next_cells is None else next_cells
    users = tuple(
        _known_user(scenario, state, row, user, slot, rate, next_cells.get(user)) for user, rate in enumerate(rates)
    )
    return derived(
        scenario,
        users=users,
        execution_s=scenario.execution_s,
        links=_links_in(scenario.links, slot, 0.0 if scenario.moves else OUTAGE_BYTES_PER_S),
        horizon_s=scenario.horizon_s - time_s,
        slot_starts_s=np.zeros(1),
        mobility=None if scenario.mobility is None else _mobility_in(scenario.mobility, slot, _slot_s(scenario, slot)),
    )


def _known_user(
    scenario: Scenario, state: State, row: int, user: int, slot: int, rate_hz: float, next_cell: int | None
) -> User:
    """Return a user with its present query rate, and with what servers hold of it."""
    known, rate, layers = scenario.users[user], np.array([rate_hz]), len(scenario.users[user].graph)
    if not scenario.moves:
        there = state.usable[row, user, :layers].copy()
        on_the_way = state.moving_user[row] == user
        there[state.moving_layer[row, on_the_way]] = True
        return replace(known, query_rate_hz=rate, uploaded=np.where(there, state.node[row, user, :layers], 0))
    held = state.held[row, user, :layers, : len(scenario.servers)].astype(np.int64)
    held[held < 0] = state.arrivals[row] + 1  # on its way
    rates = np.asarray(known.query_rate_hz)
    home = int(np.asarray(scenario.links.home)[slot, user])
    if rate_hz == 0 and (rates[:slot] > 0).any():
        held[:] = 0
    elif home > 0:
        servers = np.arange(1, held.shape[1] + 1)
        held[held[:, home - 1] > 0] *= (servers == home) | (servers == next_cell)
    latest = held.argmax(axis=1)
    uploaded = np.where(held.any(axis=1), latest + 1, 0).astype(np.int8)
    copies = (held > 0) & (np.arange(held.shape[1]) != latest[:, None])
    return replace(known, query_rate_hz=rate, uploaded=uploaded, copies=copies)


def _links_in(links: Links, slot: int, least_bytes_per_s: float) -> Links:
    now = slice(slot, slot + 1)
    return replace(
        links,
        up_bytes_per_s=np.maximum(np.asarray(links.up_bytes_per_s)[now], least_bytes_per_s),
        down_bytes_per_s=np.maximum(np.asarray(links.down_bytes_per_s)[now], least_bytes_per_s),
        up_latency_s=np.asarray(links.up_latency_s)[now],
        down_latency_s=np.asarray(links.down_latency_s)[now],
        home=np.asarray(links.home)[now],
    )


def _slot_s(scenario: Scenario, slot: int) -> float:
    edges_s = [*np.asarray(scenario.slot_starts_s).tolist(), scenario.horizon_s]
    return float(edges_s[slot + 1] - edges_s[slot])


def _mobility_in(mobility: Mobility, slot: int, slot_s: float) -> Mobility:
    return replace(
        mobility,
        user_positions_m=np.asarray(mobility.user_positions_m)[slot : slot + 1],
        user_velocities_m_per_s=np.asarray(mobility.user_velocities_m_per_s)[slot : slot + 1],
        slot_s=slot_s if mobility.slot_s is None else mobility.slot_s,
    )
