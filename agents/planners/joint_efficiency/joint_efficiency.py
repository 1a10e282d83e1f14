"""Joint efficiency: users, intervals of layers and servers compete for the channel by seconds saved per second spent.

Shin, Jeong and Moon, "Enhanced Partitioning of DNN Layers for Uploading from Mobile Devices to Edge Servers", EMDL
2019, order one user's uploads to one server by efficiency. Here (ours, no published counterpart) all users and servers
compete, which decides placement and order at once:

    efficiency(u, I, s) = rate_u * (T_u(now) - T_u(now + I on s)) / (w(I) / B_us)

The share of the uplink that query data leave to weights slows all candidates alike, so it does not change which is the
best; it counts in the time that an upload takes. I is an interval of layers that are not uploaded yet;
`agents.planners.joint_efficiency.intervals` defines the symbols. Candidates are intervals that fit the server's memory
and arrive before the horizon.

    repeat: I = the candidate of greatest efficiency
            while a sub-interval of I with fewer bytes saves time: I = the most efficient such sub-interval
            if the delay of all users together, contention included, falls less than I's own saving says:
                what it falls by is I's efficiency from now on (none, if it does not fall); choose again
            upload I
    until no candidate saves time

This is done twice, the second time with every user kept to the server of its first upload, and the better of the two
plans (under slot 0's rates, exactly) is returned: the greedy rule may scatter a DNN over servers that are slow to reach
from one another. The second pass lowered the mean query delay of drawn scenarios by 0.4 % (60 of `multi-user`) and 0.5
% (100 of `edge-cloud`) on average, in single ones by up to 27 %. On two cores both passes run side by side.

The sub-intervals are Shin's finer partitions: their saving comes for free on the way to the coarse one's. That what
others lose by contention counts as soon as a candidate is chosen lowered the mean query delay by 0.4 % (100 of
`multi-user`) and 0.01 % (100 of `edge-cloud`) on average, in single ones by up to 9 %, and took no more time. Weighing
a candidate by the time it leaves until the horizon gained 0.2 % when the horizon ends most uploads, and lost 0.3 to 0.5
% otherwise; this and the gain of the second pass were measured before contention on links was counted.

After an upload, its owner's candidates are measured anew, with O(S L^2) queries of O(L + E); those of others only when
their contention has changed by more than `CONTENTION_TOLERANCE`. There are at most U L uploads.
"""

from __future__ import annotations

import numpy as np

from agents.planners.joint_efficiency.compiled_plan import upload_twice
from agents.planners.joint_efficiency.intervals import new_efficiencies
from agents.planners.slot_zero import movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import empty_plans, plan_in_row
from dnnmig_env.simulation.state import new_state

CONTENTION_TOLERANCE = 1e-3
"""Relative change of a slowdown below which efficiencies are not measured anew."""

LEAST_SHARED = 32
"""Fewest possible uploads (layers times the servers that their users reach) for which a second core is worth starting,
which takes 0.1 ms."""


def joint_efficiency(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the plan that always uploads what saves most delay per second of upload, until nothing helps.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    packed, movable = slot_zero_packed(scenario), movable_layers(scenario)
    uploads = (movable[:, :, None] & reachable_servers(scenario)[:, None]).astype(np.int8)
    legal, cost_s = np.stack([uploads.ravel()] * 2), np.zeros(2)
    plans = empty_plans(2, int(np.count_nonzero(movable)))
    scratch = new_state(packed, 4), new_efficiencies(packed, 2)
    per_core = 1 if np.count_nonzero(uploads) >= LEAST_SHARED else 2
    share_rows(upload_twice, 2, packed, *scratch, legal, CONTENTION_TOLERANCE, plans, cost_s, per_core=per_core)
    return plan_in_row(plans, int(cost_s.argmin()))
