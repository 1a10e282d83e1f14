"""Joint efficiency: users, intervals of layers and servers compete for the channel by seconds saved per second spent.

Shin, Jeong and Moon, "Enhanced Partitioning of DNN Layers for Uploading from Mobile Devices to Edge Servers", EMDL
2019, order one user's uploads to one server by efficiency. Here (ours, no published counterpart) all users and servers
compete, which decides placement and order at once:

    efficiency(u, I, s) = rate_u * (T_u(now) - T_u(now + I on s)) / (w(I) / B_us)

I is an interval: layers with weights, none of them uploaded yet, consecutive in topological order but for layers
already uploaded, which it may span. T_u is the query delay under the present contention, rate_u the query rate, w the
weight bytes, B_us the rate to server s. Candidates fit the server's memory and arrive before the horizon.

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
from dnnmig_env.kernel import begin, complete, compose, horizon_s, query_delay_s, slowdown_for
from dnnmig_env.plan import Plan, Upload
from dnnmig_env.problem import Bools, Floats, Ints, Problem
from dnnmig_env.scenario import Scenario
from dnnmig_env.state import State, new_state

CONTENTION_TOLERANCE = 1e-3
"""Relative change of a slowdown below which efficiencies are not measured anew."""

ROUNDING = 1e-9
"""Savings below this share of a delay are rounding errors."""


def joint_efficiency(scenario: Scenario, rng: np.random.Generator) -> Plan:
    """Return the plan that always uploads what saves most delay per second of upload; it stops when nothing helps.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    p, movable, reachable = present_problem(scenario), movable_layers(scenario), reachable_servers(scenario)
    state, best, best_s = new_state(p, 2), Plan(), np.inf
    for one_server in (False, True):
        intervals, sent = np.zeros((np.count_nonzero(movable), 4), np.int64), np.zeros(movable.shape, np.int64)
        count, cost_s = upload_by_efficiency(
            p, 0, state, 0, 1, movable.copy(), reachable.copy(), one_server, intervals, sent
        )
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
    p: Problem,
    b: int,
    s: State,
    now: int,
    then: int,
    movable: Bools,
    reachable: Bools,
    one_server: bool,
    intervals: Ints,
    sent: Ints,
) -> tuple[int, float]:
    """Plan the uploads of scenario `b`; return how many partitions there are and J times the rate of all queries.

    Args:
        p: The problem; slot 0's rates count.
        b: The scenario.
        s: A state.
        now: Its row that follows the plan.
        then: Its row that tries what comes next.
        movable: Layers that may be uploaded, shape (U, L); those uploaded are taken out.
        reachable: Servers that each user can use, shape (U, S); with `one_server`, the chosen one is left.
        one_server: Keep every user to the server of its first upload.
        intervals: Receives (user, server 1..S, first layer, last layer) of each partition, shape (K, 4).
        sent: Receives the number (from 1) of the partition in which each layer is uploaded, shape (U, L).
    """
    p, s = borrowed(p), borrowed(s)
    num_users, num_servers, num_layers = p.num_users[b], p.num_servers[b], movable.shape[1]
    efficiency = np.zeros((num_users, num_servers, num_layers, num_layers))
    weight_bytes = np.zeros((num_users, num_layers, num_layers))
    slowdown = np.ones((num_users, num_servers + 1))
    stale = np.ones(num_users, np.bool_)
    chosen = np.zeros(4, np.int64)
    begin(p, b, s, now)
    time_s, cost_s, count = 0.0, 0.0, 0
    while True:
        total_s = _total_delay_s(p, b, s, now)
        _measure(p, b, s, now, movable, reachable, stale, slowdown, efficiency, weight_bytes)
        while True:
            _choose(p, b, s, now, time_s, efficiency, weight_bytes, chosen)
            u, server, first, last = int(chosen[0]), int(chosen[1]), int(chosen[2]), int(chosen[3])
            if u < 0:
                return count, cost_s + total_s * (horizon_s(p, b) - time_s)
            _copy_row(s, now, then)
            _upload(p, b, s, then, u, server, first, last, movable)
            if _total_delay_s(p, b, s, then) < (1.0 - ROUNDING) * total_s:
                break
            efficiency[u, server - 1, first, last] = 0.0
            stale[u] = True
        _copy_row(s, then, now)
        intervals[count] = chosen
        count += 1
        upload_s = weight_bytes[u, first, last] / p.up_bytes_per_s[b, 0, u, server - 1]
        time_s, cost_s = time_s + upload_s, cost_s + total_s * upload_s
        s.memory_left_bytes[now, server - 1] -= weight_bytes[u, first, last]
        for v in range(first, last + 1):
            if movable[u, v]:
                movable[u, v], sent[u, v] = False, count
        if one_server:
            for other in range(1, num_servers + 1):
                reachable[u, other - 1] = other == server
        stale[u] = True


@compiled
def _measure(
    p: Problem,
    b: int,
    s: State,
    i: int,
    movable: Bools,
    reachable: Bools,
    stale: Bools,
    slowdown: Floats,
    efficiency: Floats,
    weight_bytes: Floats,
) -> None:
    """Write the efficiency (0 = no use) and bytes of candidates whose user is stale or whose contention changed."""
    num_layers, slot = movable.shape[1], s.slot[i]
    present, finish_s = np.ones(slowdown.shape[1]), np.empty(num_layers)
    node, usable, assignment = s.node[i, 0].copy(), s.usable[i, 0].copy(), np.zeros(num_layers, np.int8)
    for u in range(p.num_users[b]):
        slowdown_for(p, b, u, s.load[i], present)
        if not stale[u] and np.all(np.abs(present / slowdown[u] - 1.0) <= CONTENTION_TOLERANCE):
            continue
        stale[u], slowdown[u], efficiency[u] = False, present, 0.0
        rate_hz, delay_s = p.query_rate_hz[b, 0, u], s.delay_s[i, u]
        for first in range(p.num_layers[b, u]):
            if not movable[u, first]:
                continue
            for server in range(1, p.num_servers[b] + 1):
                if not reachable[u, server - 1]:
                    continue
                node[:], usable[:] = s.node[i, u], s.usable[i, u]
                size_bytes = 0.0
                for last in range(first, p.num_layers[b, u]):
                    if not movable[u, last]:
                        continue
                    node[last], usable[last] = server, True
                    size_bytes += p.weight_bytes[b, u, last]
                    weight_bytes[u, first, last] = size_bytes
                    if size_bytes > s.memory_left_bytes[i, server - 1]:
                        break
                    compose(p, b, u, node, usable, assignment)
                    saved_s = delay_s - query_delay_s(p, b, u, slot, assignment, present, finish_s, s.free_s[i])
                    if saved_s > ROUNDING * delay_s:
                        upload_s = size_bytes / p.up_bytes_per_s[b, 0, u, server - 1]
                        efficiency[u, server - 1, first, last] = rate_hz * saved_s / upload_s


@compiled
def _choose(
    p: Problem, b: int, s: State, i: int, time_s: float, efficiency: Floats, weight_bytes: Floats, chosen: Ints
) -> None:
    """Write the (user, server, first, last) to upload next; the user is -1 if no candidate is left."""
    best, left_s, num_layers = 0.0, horizon_s(p, b) - time_s, weight_bytes.shape[1]
    chosen[0] = -1
    for u in range(efficiency.shape[0]):
        for server in range(1, efficiency.shape[1] + 1):
            most_bytes = min(s.memory_left_bytes[i, server - 1], left_s * p.up_bytes_per_s[b, 0, u, server - 1])
            for first in range(num_layers):
                for last in range(first, num_layers):
                    value = efficiency[u, server - 1, first, last]
                    if value > best and weight_bytes[u, first, last] <= most_bytes:
                        best = value
                        chosen[0], chosen[1], chosen[2], chosen[3] = u, server, first, last
    finer = chosen[0] >= 0
    while finer:
        finer, best = False, 0.0
        u, server, begin_, end = int(chosen[0]), int(chosen[1]), int(chosen[2]), int(chosen[3])
        for first in range(begin_, end + 1):
            for last in range(first, end + 1):
                value = efficiency[u, server - 1, first, last]
                if value > best and weight_bytes[u, first, last] < weight_bytes[u, begin_, end]:
                    best, finer = value, True
                    chosen[2], chosen[3] = first, last


@compiled
def _upload(p: Problem, b: int, s: State, i: int, u: int, server: int, first: int, last: int, movable: Bools) -> None:
    """Make an interval usable in row `i`, and let everybody react."""
    for v in range(first, last + 1):
        if movable[u, v]:
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
