"""Joint efficiency: users, intervals of layers and servers compete for the channel by seconds saved per second spent.

Shin, Jeong and Moon, "Enhanced Partitioning of DNN Layers for Uploading from Mobile Devices to Edge Servers", EMDL
2019, order one user's uploads to one server by efficiency. Here (ours, no published counterpart) all users and servers
compete, which decides placement and order at once:

    efficiency(u, I, s) = rate_u * (T_u(now) - T_u(now + I on s)) / (w(I) / B_us)

I is an interval of layers that are not uploaded yet, see `dnnmig_env.efficiency`. Candidates fit the server's memory
and arrive before the horizon.

    repeat: I = the candidate of greatest efficiency
            while a sub-interval of I with fewer bytes saves time: I = the most efficient such sub-interval
            upload I if the delay of all users together then falls (contention included), else strike it off
    until no candidate saves time

This is done twice, the second time with every user kept to the server of its first upload, and the better of the two
plans (in the model with slot 0's rates, exactly) is returned: the greedy rule may scatter a network over servers that
are slow to reach from one another. The second pass lowered the mean query delay of drawn scenarios by 0.4 % (60 of
`multi-user`) and 0.5 % (100 of `edge-cloud`) on average, in single ones by up to 27 %.

The sub-intervals are Shin's finer partitions: their saving comes for free on the way to the coarse one's. Counting in
the efficiency also what others lose by contention was tried: it gained 0.02 % where servers were lightly loaded, lost
1 % where they were nearly saturated, and took three times as long. Weighing a candidate by the time it leaves until
the horizon gained 0.2 % when the horizon ends most uploads, and lost 0.3 to 0.5 % otherwise.

One upload costs O(S L^2) queries of O(L + E) for its owner's candidates; those of others are measured anew only when
their contention has changed by more than `CONTENTION_TOLERANCE`. At most U L uploads.
"""

from __future__ import annotations

import numpy as np

from agents.planners.present import movable_layers, present_problem, reachable_servers
from dnnmig_env.compiled import borrowed, compiled
from dnnmig_env.efficiency import ROUNDING, Efficiencies, best_interval, finest_part, measure, new_efficiencies
from dnnmig_env.kernel import begin, complete, horizon_s
from dnnmig_env.plan import Plan, Upload
from dnnmig_env.problem import Ints, Problem, Small
from dnnmig_env.scenario import Scenario
from dnnmig_env.state import State, new_state

CONTENTION_TOLERANCE = 1e-3
"""Relative change of a slowdown below which efficiencies are not measured anew."""


def joint_efficiency(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the plan that always uploads what saves most delay per second of upload; it stops when nothing helps.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    p, movable = present_problem(scenario), movable_layers(scenario)
    uploads = movable[:, :, None] & reachable_servers(scenario)[:, None]
    state, e, best, best_s = new_state(p, 2), new_efficiencies(p, 1), Plan(), np.inf
    for one_server in (False, True):
        legal = uploads.ravel().astype(np.int8)
        intervals, sent = np.zeros((np.count_nonzero(movable), 4), np.int64), np.zeros(movable.shape, np.int64)
        count, cost_s = upload_by_efficiency(p, 0, state, e, legal, one_server, intervals, sent)
        if cost_s < best_s:
            best, best_s = _plan(intervals[:count], sent), cost_s
    return best


def _plan(intervals: Ints, sent: Ints) -> Plan:
    return Plan(
        tuple(
            Upload(int(u), int(server), tuple(np.flatnonzero(sent[u] == number).tolist()))
            for number, (u, server, _, _) in enumerate(intervals, start=1)
        )
    )


@compiled
def upload_by_efficiency(
    p: Problem, b: int, s: State, e: Efficiencies, legal: Small, one_server: bool, intervals: Ints, sent: Ints
) -> tuple[int, float]:
    """Plan the uploads of scenario `b`; return how many partitions there are and J times the rate of all queries.

    Args:
        p: The problem; slot 0's rates count.
        b: The scenario.
        s: A state of two rows: the first follows the plan, the second tries what comes next.
        e: Efficiencies of one row.
        legal: Uploads that may be made, shape (U * L * S,); those made or given up are taken out.
        one_server: Keep every user to the server of its first upload.
        intervals: Receives (user, server 1..S, first layer, last layer) of each partition, shape (K, 4).
        sent: Receives the number (from 1) of the partition in which each layer is uploaded, shape (U, L).
    """
    p, s, e = borrowed(p), borrowed(s), borrowed(e)
    now, then, num_servers, count, time_s, cost_s = 0, 1, e.per_s.shape[2], 0, 0.0, 0.0
    chosen = np.zeros(4, np.int64)
    begin(p, b, s, now)
    e.stale[:] = True
    while True:
        total_s = _total_delay_s(p, b, s, now)
        measure(p, b, s, now, legal, e, CONTENTION_TOLERANCE)
        while True:
            _choose(p, b, s, now, time_s, e, chosen)
            u, server, first, last = int(chosen[0]), int(chosen[1]), int(chosen[2]), int(chosen[3])
            if u < 0:
                return count, cost_s + total_s * (horizon_s(p, b) - time_s)
            uploads = legal[u * sent.shape[1] * num_servers : (u + 1) * sent.shape[1] * num_servers]
            uploads = uploads.reshape((-1, num_servers))
            _copy_row(s, now, then)
            _upload(p, b, s, then, u, server, first, last, uploads)
            if _total_delay_s(p, b, s, then) < (1.0 - ROUNDING) * total_s:
                break
            e.per_s[now, u, server - 1, first, last] = 0.0
            e.stale[now, u] = True
        _copy_row(s, then, now)
        intervals[count] = chosen
        count += 1
        size_bytes = e.size_bytes[now, u, server - 1, first, last]
        upload_s = size_bytes / p.up_bytes_per_s[b, 0, u, server - 1]
        time_s, cost_s = time_s + upload_s, cost_s + total_s * upload_s
        s.memory_left_bytes[now, server - 1] -= size_bytes
        for v in range(first, last + 1):
            if uploads[v, server - 1] != 0:
                uploads[v, :], sent[u, v] = 0, count
        if one_server:
            for other in range(num_servers):
                if other != server - 1:
                    uploads[:, other] = 0
        e.stale[now, u] = True


@compiled
def _choose(p: Problem, b: int, s: State, i: int, time_s: float, e: Efficiencies, chosen: Ints) -> None:
    """Write the (user, server, first, last) to upload next; the user is -1 if no candidate is left."""
    best, left_s = 0.0, horizon_s(p, b) - time_s
    chosen[0] = -1
    for u in range(p.num_users[b]):
        for q in range(p.num_servers[b]):
            most_bytes = min(s.memory_left_bytes[i, q], left_s * p.up_bytes_per_s[b, 0, u, q])
            first, last = best_interval(e, i, u, q, most_bytes)
            if first >= 0 and e.per_s[i, u, q, first, last] > best:
                best = e.per_s[i, u, q, first, last]
                chosen[0], chosen[1], chosen[2], chosen[3] = u, q + 1, first, last
    if chosen[0] >= 0:
        chosen[2], chosen[3] = finest_part(e, i, chosen[0], chosen[1] - 1, chosen[2], chosen[3])


@compiled
def _upload(p: Problem, b: int, s: State, i: int, u: int, server: int, first: int, last: int, uploads: Small) -> None:
    """Make an interval usable in row `i`, and let everybody react."""
    for v in range(first, last + 1):
        if uploads[v, server - 1] != 0:
            s.node[i, u, v], s.usable[i, u, v] = server, True
    complete(p, b, s, i, u)


@compiled
def _total_delay_s(p: Problem, b: int, s: State, i: int) -> float:
    """Return the users' delays weighted by their query rates."""
    total = 0.0
    for u in range(p.num_users[b]):
        if p.query_rate_hz[b, 0, u] > 0.0:  # the delay of an absent user may be infinite
            total += p.query_rate_hz[b, 0, u] * s.delay_s[i, u]
    return total


@compiled
def _copy_row(s: State, source: int, target: int) -> None:
    """Copy what an upload may change, and the times it is judged by."""
    s.node[target], s.usable[target], s.assignment[target] = s.node[source], s.usable[source], s.assignment[source]
    s.load[target], s.delay_s[target] = s.load[source], s.delay_s[source]
    s.stale[target] = s.stale[source]
    s.device_delay_s[target], s.slot[target] = s.device_delay_s[source], s.slot[source]
