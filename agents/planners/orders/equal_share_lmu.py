"""Equal-share LMU: every user plans its uploads alone, and the channel serves all of them alike.

The baseline of the DNN migration article (Xue et al., IEEE Consumer Electronics Magazine 2023): no user knows of the
others, and each takes an equal share of the channel. Every user's sequence is that of `lmu` for this user alone,
without contention; a share slows all of its uploads down alike and changes no order. The article's two pages do not say
more; how the sequences meet on the channel is a reconstruction:

The model's channel takes one upload at a time. Partitions go in the order in which they would end if all users' uploads
went on at once at equal rates (fair queueing: Demers, Keshav and Shenker, SIGCOMM 1989; Parekh and Gallager, IEEE/ACM
Transactions on Networking 1993). A partition needs the upload seconds of its user's partitions up to and including
itself. As all users start at time 0, partitions would end in the order of these seconds, whatever becomes of the shares
of users who are done. When they are sent one at a time in this order, each partition is in no later than under equal
sharing: all that goes before it would have been sent by then, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from agents.planners.orders.lmu import lmu
from agents.planners.protocol import Placement
from agents.planners.slot_zero import present_users
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, Upload


def equal_share_lmu(scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
    """Return the plan in which LMU orders every user's uploads alone, and the users share the channel equally.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        rng: Not used.
    """
    ends = [
        end
        for user in present_users(scenario)
        for end in _ends(scenario, user, lmu(_alone(scenario, user), placement, rng))
    ]
    return Plan(tuple(upload for _, upload in sorted(ends, key=lambda end: end[0])))


def _alone(scenario: Scenario, user: int) -> Scenario:
    """Return the scenario with all other users absent."""
    users = (
        other if user_index == user else replace(other, query_rate_hz=0.0)
        for user_index, other in enumerate(scenario.users)
    )
    return replace(scenario, users=tuple(users))


def _ends(scenario: Scenario, user: int, plan: Plan) -> Iterator[tuple[float, Upload]]:
    """Yield each partition of one user with the seconds after which it would be in, if nobody else used the channel."""
    rates, weight_bytes = np.asarray(scenario.links.up_bytes_per_s)[0, user], scenario.users[user].graph.weight_bytes
    end_s = 0.0
    for upload in plan.uploads:
        end_s += float(weight_bytes[list(upload.layers)].sum() / rates[upload.server - 1])
        yield end_s, upload
