"""What to send ahead of users: the plan that would be made if they were in the cells to which they go next.

After PerDNN (Jeong et al., ICDCS 2020), which sends layers to the server that a client is going to visit, over the
wires between servers and in the order of their efficiency. RECONSTRUCTION: that the planner at hand says what is sent,
and that what is needed now goes before what is sent ahead, is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from agents.planners.foresight.uploads_view import clouds, held_by_servers, plan_in_view
from agents.planners.protocol import Planner
from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario, derived
from dnnmig_env.simulation.plan import Plan, Upload


def plan_ahead(
    planner: Planner, known: Scenario, next_cells: Mapping[int, int], rng: np.random.Generator, share: float = 1.0
) -> Plan:
    """Return what to send to the servers in whose cells users are next.

    Args:
        planner: The planner, which plans as if these users, and nobody else, were there already.
        known: What is known of the scenario, in one slot, if what lies in these next cells counts as kept
            (`known_scenario`); otherwise what was sent ahead for one user would make way for another's.
        next_cells: For each user who goes to another cell, the server (1..S) of that.
        rng: Source of randomness of the planner.
        share: Most bytes to be sent ahead for each user, as a share of its weights; what is there already counts.
    """
    if not next_cells:
        return Plan()
    plan = plan_in_view(planner, _as_if_there(known, next_cells), list(next_cells), rng)
    there = {
        user: float(_weights(known, user) @ held_by_servers(known.users[user], len(known.servers))[:, server - 1])
        for user, server in next_cells.items()
    }
    chosen = []
    for upload in plan.uploads:
        if next_cells.get(upload.user) == upload.server:
            there[upload.user] += float(_weights(known, upload.user)[upload.layers[0]])
            if there[upload.user] <= share * _weights(known, upload.user).sum():
                chosen.append(Upload(upload.user, upload.server, upload.layers))
    return Plan(tuple(chosen))


def _weights(known: Scenario, user: int) -> Floats:
    return known.users[user].graph.weight_bytes


def _as_if_there(known: Scenario, next_cells: Mapping[int, int]) -> Scenario:
    """Return a known scenario in which the given users are in their next cells.

    They have the rate to the server there that they have to their home server now, and reach other servers over the
    wires from there; clouds, as they do now. A server of another cell that they do not reach now stays out of reach.
    """
    links = known.links
    home, up, down = (np.array(each)[0] for each in (links.home, links.up_bytes_per_s, links.down_bytes_per_s))
    is_cloud, between = clouds(known), np.asarray(links.between_bytes_per_s)
    for user, server in next_cells.items():
        for rates in (up, down):
            access = rates[user, home[user] - 1]
            others_in_reach = (rates[user] > 0) & ~is_cloud
            if others_in_reach.sum() > 1:
                rates[user, ~is_cloud] = np.minimum(access, between[server - 1, ~is_cloud])
            else:
                rates[user, ~is_cloud] = 0.0
            rates[user, server - 1] = access
        home[user] = server
    there = replace(links, home=home[None], up_bytes_per_s=up[None], down_bytes_per_s=down[None])
    return derived(known, links=there)
