"""A scenario whose weights move, as planners of uploads see it: every layer is sent at most once from now on.

Planners decide to which server each layer is uploaded, and in which order. Where weights move, a layer that lies on an
edge which its user has left may be sent on. So planners are shown two scenarios in which that is an upload like any
other, and the plan that is better under the present rates is taken, as the simulator finds it:

- what lies on the user's home server or on a cloud counts as uploaded, and everything else is to be uploaded anew;
- what lies on any server that the user reaches counts as uploaded.

Planners reckon with the rates of the radio. When the plan is carried out, each layer comes from where it comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agents.planners.protocol import Planner
from agents.planners.slot_zero import present_users
from dnnmig_env.arrays import Bools, Int8s
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Scenario, User, derived
from dnnmig_env.scenarios.validation import smallest_layer_bytes
from dnnmig_env.simulation.known_scenario import OUTAGE_BYTES_PER_S
from dnnmig_env.simulation.packed import pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s


def plan_moves(planner: Planner, known: Scenario, rng: np.random.Generator) -> Plan:
    """Return the better of the plans that a planner of uploads makes in the two views of a scenario.

    Args:
        planner: The planner.
        known: What is known of a scenario in which weights move, in one slot (`known_scenario`).
        rng: Source of randomness of the planner.
    """
    present = present_users(known)
    plans = [plan_in_view(planner, known, present, rng)]
    if any(_lies_elsewhere(known, user) for user in present):
        plans.append(plan_in_view(planner, known, present, rng, everywhere=True))
        delays_s = mean_delays_s(pack([known]), plan_arrays(plans))
        return plans[int(np.argmin(delays_s))]
    return plans[0]


def plan_in_view(
    planner: Planner, known: Scenario, users: Sequence[int], rng: np.random.Generator, *, everywhere: bool = False
) -> Plan:
    """Return the plan that a planner makes in a view of a scenario (`uploads_view`), each upload of a single layer."""
    plan = planner(uploads_view(known, users, everywhere=everywhere), rng)
    return Plan(tuple(replace(upload, user=users[upload.user]) for upload in plan.singletons().uploads))


def uploads_view(known: Scenario, users: Sequence[int], *, everywhere: bool) -> Scenario:
    """Return a known scenario in which weights move as one of some users, in which layers are uploaded at most once.

    Args:
        known: What is known of the scenario, in one slot.
        users: The users, N of them; what the others have on servers takes memory there.
        everywhere: Whether what lies on any server that its user reaches counts as uploaded, or only what lies on its
            home server or on a cloud.
    """
    links, up = known.links, np.asarray(known.links.up_bytes_per_s)[0]
    home = np.asarray(links.home)[0]
    numbers, is_cloud = np.arange(1, len(known.servers) + 1), clouds(known)
    taken_bytes, least_bytes, shown = np.zeros(len(numbers)), np.zeros(len(numbers)), []
    for user in known.users:
        if np.any(np.asarray(user.uploaded)):
            taken_bytes += user.graph.weight_bytes @ held_by_servers(user, len(numbers))
    for index in users:
        user = known.users[index]
        counts = held_by_servers(user, len(numbers)) & (up[index] > 0)
        if not everywhere:
            counts &= is_cloud | (numbers == home[index])
        uploaded = _used_on(counts, np.asarray(user.uploaded), int(home[index]))
        least_bytes += user.graph.weight_bytes @ (uploaded[:, None] == numbers)
        shown.append(replace(user, uploaded=uploaded, copies=None))
    left_bytes = np.array([server.memory_bytes for server in known.servers]) - (taken_bytes - least_bytes)
    np.maximum(least_bytes, smallest_layer_bytes(shown), out=least_bytes)
    of_users = {
        name: np.asarray(getattr(links, name))[:, users]
        for name in ("up_bytes_per_s", "down_bytes_per_s", "up_latency_s", "down_latency_s", "home")
    }
    for name in ("up_bytes_per_s", "down_bytes_per_s"):
        of_users[name] = np.maximum(of_users[name], OUTAGE_BYTES_PER_S)
    mobility = known.mobility
    if mobility is not None:
        mobility = replace(
            mobility,
            user_positions_m=np.asarray(mobility.user_positions_m)[:, users],
            user_velocities_m_per_s=np.asarray(mobility.user_velocities_m_per_s)[:, users],
        )
    return derived(
        known,
        users=tuple(shown),
        execution_s=tuple(known.execution_s[user] for user in users),
        servers=tuple(
            server.with_memory(float(memory_bytes))
            for server, memory_bytes in zip(known.servers, np.maximum(left_bytes, least_bytes), strict=True)
        ),
        links=replace(links, **of_users),
        mobility=mobility,
        moves=False,
    )


def held_by_servers(user: User, num_servers: int) -> Bools:
    """Return which server holds which layer of a user, shape (L, S)."""
    held: Bools = np.asarray(user.uploaded)[:, None] == np.arange(1, num_servers + 1)
    return held if user.copies is None else held | np.asarray(user.copies)


def clouds(known: Scenario) -> Bools:
    """Return which servers are clouds, shape (S,)."""
    return np.array([server.tier is Tier.CLOUD for server in known.servers])


def _used_on(held: Bools, latest: Int8s, home: int) -> Int8s:
    """Return the server on which each layer counts as uploaded, 0 = none.

    That is the home server if it holds the layer, else the one to which it was sent last, else any that holds it.
    """
    used: Int8s = (held * np.arange(1, held.shape[1] + 1, dtype=np.int8)).max(axis=1)
    (sent,) = np.nonzero(latest)
    sent = sent[held[sent, latest[sent] - 1]]
    used[sent] = latest[sent]
    if home > 0:
        used[held[:, home - 1]] = home
    return used


def _lies_elsewhere(known: Scenario, user: int) -> bool:
    """Return whether something of a user lies on an edge that it reaches, but that is not its home server."""
    if not np.any(np.asarray(known.users[user].uploaded)):
        return False
    others = ~clouds(known) & (np.asarray(known.links.up_bytes_per_s)[0, user] > 0)
    others &= np.arange(len(others)) != np.asarray(known.links.home)[0, user] - 1
    return bool(held_by_servers(known.users[user], len(others))[:, others].any())
