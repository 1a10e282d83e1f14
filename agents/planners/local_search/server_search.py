"""Server search: joint efficiency again and again, each time with other servers allowed to each user.

Joint efficiency takes one decision after another and revises none: the user that is served first takes the memory and
the servers that suit it best. If some users are forbidden some servers, it shares them out differently. This is a local
search over what is allowed, in which joint efficiency makes the plans (ours, no published counterpart):

    allow all servers to all users
    repeat: draw a user, in half the cases two; allow each a single server, or all, or one more or less than before
            keep what is allowed now unless its plan costs more

What was allowed before is not planned again. O(tries) plans of joint efficiency.
"""

from __future__ import annotations

import time

import numpy as np

from agents.planners.joint_efficiency.compiled_plan import upload_by_efficiency
from agents.planners.joint_efficiency.intervals import Efficiencies, new_efficiencies
from agents.planners.joint_efficiency.joint_efficiency import CONTENTION_TOLERANCE
from agents.planners.local_search.chains import Movable
from dnnmig_env.arrays import Bools
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import empty_plans, plan_in_row
from dnnmig_env.simulation.state import State, new_state

TWO_USERS, ONE_SERVER, ALL_SERVERS = 0.5, 0.8, 0.1
"""Chances that what two users are allowed is changed, and that a user is allowed a single server, or all servers."""


def server_search(
    packed: PackedScenarios, movable: Movable, tries: int, rng: np.random.Generator, until_s: float = np.inf
) -> list[Plan]:
    """Return the plans found, the one of least cost under slot 0's rates first.

    Args:
        packed: The packed scenario; slot 0's rates count.
        movable: The layers that may be uploaded.
        tries: How often to change what is allowed.
        rng: Source of randomness.
        until_s: Time of `time.perf_counter` from which on no more is tried.
    """
    state, efficiencies = new_state(packed, 2), new_efficiencies(packed, 1)
    reachable = np.zeros((packed.num_users[0], packed.num_servers[0]), np.bool_)
    for user, servers in zip(movable.user, movable.servers, strict=True):
        reachable[user, servers[servers > 0] - 1] = True
    allowed, cost_s = reachable, np.inf
    found: dict[bytes, tuple[float, Plan]] = {}
    for turn in range(1 + tries):
        if turn > 0 and time.perf_counter() >= until_s:
            break
        changed = _changed(allowed, reachable, rng) if turn > 0 else reachable
        key = changed.tobytes()
        if key not in found:
            found[key] = _planned(packed, state, efficiencies, movable, changed)
        if found[key][0] <= cost_s:
            allowed, cost_s = changed, found[key][0]
    return [plan for _, plan in sorted(found.values(), key=lambda each: each[0])]


def _changed(allowed: Bools, reachable: Bools, rng: np.random.Generator) -> Bools:
    """Return which servers are allowed to each user, shape (U, S), after a random change."""
    changed, users = allowed.copy(), np.flatnonzero(reachable.any(axis=1))
    for user in rng.choice(users, min(len(users), 2 if rng.random() < TWO_USERS else 1), replace=False):
        server, kind = rng.choice(np.flatnonzero(reachable[user])), rng.random()
        if kind < ONE_SERVER:
            changed[user] = False
            changed[user, server] = True
        elif kind < ONE_SERVER + ALL_SERVERS:
            changed[user] = reachable[user]
        else:
            changed[user, server] ^= True
    return changed


def _planned(
    packed: PackedScenarios, state: State, efficiencies: Efficiencies, movable: Movable, allowed: Bools
) -> tuple[float, Plan]:
    """Return the plan that joint efficiency makes with what is allowed, and before it J times the number of queries."""
    uploads = np.zeros((*packed.weight_bytes[0].shape, allowed.shape[1]), np.int8)
    uploads[movable.user, movable.layer] = allowed[movable.user]
    plans = empty_plans(1, len(movable.user))
    cost_s = upload_by_efficiency(
        packed, 0, state, 0, efficiencies, 0, uploads.ravel(), False, CONTENTION_TOLERANCE, plans, 0
    )
    return cost_s, plan_in_row(plans, 0).singletons()
