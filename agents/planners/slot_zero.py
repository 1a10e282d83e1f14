"""What a planner may know of a scenario: slot 0 alone, taken to last until the horizon."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, PackedScenarios, pack


def slot_zero_packed(scenario: Scenario, limits: Limits | None = None) -> PackedScenarios:
    """Return a scenario packed as one row with one slot, in which slot 0's rates hold until the horizon.

    Args:
        scenario: The scenario.
        limits: Sizes to which it is padded, except for slots; by default its own.

    Raises:
        ValueError: If the scenario exceeds the limits.
    """
    packed = pack([scenario], limits)
    sliced = {
        name: getattr(packed, name)[:, :1]
        for name in PackedScenarios._fields
        if name.startswith(("query_", "up_", "down_", "user_", "home"))
    }
    edges_s = np.array([[0.0, scenario.horizon_s]])
    # Velocities are given per slot, and the slot is longer now.
    sliced["user_velocities"] = sliced["user_velocities"] * (scenario.horizon_s / packed.slot_edges_s[0, 1])
    return packed._replace(num_slots=np.ones(1, np.int64), slot_edges_s=edges_s, **sliced)


def first_change_s(scenario: Scenario) -> float | None:
    """Return when something first changes: who is present, where and how often they query, or a link's rate or latency.

    Returns:
        The start of the first slot that differs from slot 0, or None if all are alike.
    """
    links = scenario.links
    rates = (links.up_bytes_per_s, links.down_bytes_per_s, links.up_latency_s, links.down_latency_s)
    courses = [np.asarray(user.query_rate_hz) for user in scenario.users] + [np.asarray(rate) for rate in rates]
    courses.append(np.asarray(links.home))
    arrays = [course.reshape(scenario.num_slots, -1) for course in courses]
    differs = np.any([(array != array[:1]).any(axis=1) for array in arrays], axis=0)
    return float(np.asarray(scenario.slot_starts_s)[np.argmax(differs)]) if differs.any() else None


def present_users(scenario: Scenario) -> list[int]:
    """Return the indices of the users who raise queries in slot 0."""
    return [user_index for user_index, user in enumerate(scenario.users) if np.asarray(user.query_rate_hz)[0] > 0]


def movable_layers(scenario: Scenario) -> Bools:
    """Return which layers a plan may upload, shape (U, L): with weights, not uploaded, of a user who is present."""
    movable = np.zeros((len(scenario.users), max(len(user.graph) for user in scenario.users)), np.bool_)
    for user_index in present_users(scenario):
        user = scenario.users[user_index]
        movable[user_index, : len(user.graph)] = user.graph.movable & (np.asarray(user.uploaded) == 0)
    return movable


def reachable_servers(scenario: Scenario) -> Bools:
    """Return which servers each user can send to and receive from in slot 0, shape (U, S)."""
    links = scenario.links
    return np.asarray((np.asarray(links.up_bytes_per_s)[0] > 0) & (np.asarray(links.down_bytes_per_s)[0] > 0))


def memory_left_bytes(scenario: Scenario) -> Floats:
    """Return the bytes that still fit on each server, shape (S,)."""
    left = np.array([server.memory_bytes for server in scenario.servers])
    for user in scenario.users:
        for server in range(1, len(left) + 1):
            left[server - 1] -= user.graph.weight_bytes[np.asarray(user.uploaded) == server].sum()
    return left
