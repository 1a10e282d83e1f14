"""The plan of joint efficiency, compiled: what saves most delay per second of upload comes next.

`agents/planners/joint_efficiency/joint_efficiency.py` says what the rule is and what was tried; here it plans for one row, from what a
state says is uploaded until nothing helps.
"""

from __future__ import annotations

from agents.planners.joint_efficiency.intervals import ROUNDING, Efficiencies, best_interval, finest_part, measure
from dnnmig_env.compiling.jit import fill, uncounted
from dnnmig_env.simulation.dynamics import begin, complete, horizon_s
from dnnmig_env.simulation.packed import Ints, Problem, Small
from dnnmig_env.simulation.state import State
from dnnmig_env.simulation.state_rows import copy_row


@uncounted
def upload_by_efficiency(
    p: Problem,
    b: int,
    s: State,
    now: int,
    e: Efficiencies,
    i: int,
    legal: Small,
    one_server: bool,
    tolerance: float,
    intervals: Ints,
    sent: Ints,
) -> tuple[int, float]:
    """Plan the uploads of scenario `b`; return how many partitions there are and J times the rate of all queries.

    Args:
        p: The problem; slot 0's rates count.
        b: The scenario.
        s: A state; two of its rows are used.
        now: The row that follows the plan; the one after it tries what comes next.
        e: Efficiencies.
        i: Their row.
        legal: Uploads that may be made, shape (U * L * S,); those made or given up are taken out.
        one_server: Keep every user to the server of its first upload.
        tolerance: Relative change of a slowdown below which efficiencies are not measured anew.
        intervals: Receives (user, server 1..S, first layer, last layer) of each partition, shape (K, 4).
        sent: Receives the number (from 1) of the partition in which each layer is uploaded, shape (U, L).
    """
    then, num_servers, count, time_s, cost_s = now + 1, e.per_s.shape[2], 0, 0.0, 0.0
    begin(p, b, s, now)
    e.stale[i] = True
    while True:
        total_s = _total_delay_s(p, b, s, now)
        measure(p, p, b, s, now, legal, e, i, tolerance)
        while True:
            u, server, first, last = _choose(p, b, s, now, time_s, e, i)
            if u < 0:
                return count, cost_s + total_s * (horizon_s(p, b) - time_s)
            uploads = legal[u * sent.shape[1] * num_servers : (u + 1) * sent.shape[1] * num_servers]
            uploads = uploads.reshape((-1, num_servers))
            copy_row(s, now, s, then)
            _upload(p, b, s, then, u, server, first, last, uploads)
            if _total_delay_s(p, b, s, then) < (1.0 - ROUNDING) * total_s:
                break
            e.per_s[i, u, server - 1, first, last] = 0.0
            e.stale[i, u] = True
        copy_row(s, then, s, now)
        intervals[count, 0], intervals[count, 1], intervals[count, 2], intervals[count, 3] = u, server, first, last
        count += 1
        size_bytes = e.size_bytes[i, u, server - 1, first, last]
        upload_s = size_bytes / p.up_bytes_per_s[b, 0, u, server - 1]
        time_s, cost_s = time_s + upload_s, cost_s + total_s * upload_s
        s.memory_left_bytes[now, server - 1] -= size_bytes
        for v in range(first, last + 1):
            if uploads[v, server - 1] != 0:
                fill(uploads[v], 0)
                sent[u, v] = count
        if one_server:
            for other in range(num_servers):
                if other != server - 1:
                    fill(uploads[:, other], 0)
        e.stale[i, u] = True


@uncounted
def _choose(
    p: Problem, b: int, s: State, now: int, time_s: float, e: Efficiencies, i: int
) -> tuple[int, int, int, int]:
    """Return the (user, server, first, last) to upload next; the user is -1 if no candidate is left."""
    best, left_s = 0.0, horizon_s(p, b) - time_s
    user, server, first, last = -1, 0, 0, 0
    for u in range(p.num_users[b]):
        for q in range(p.num_servers[b]):
            most_bytes = min(s.memory_left_bytes[now, q], left_s * p.up_bytes_per_s[b, 0, u, q])
            low, high = best_interval(e, i, u, q, most_bytes)
            if low >= 0 and e.per_s[i, u, q, low, high] > best:
                best = e.per_s[i, u, q, low, high]
                user, server, first, last = u, q + 1, low, high
    if user >= 0:
        first, last = finest_part(e, i, user, server - 1, first, last)
    return user, server, first, last


@uncounted
def _upload(p: Problem, b: int, s: State, i: int, u: int, server: int, first: int, last: int, uploads: Small) -> None:
    """Make an interval usable in row `i`, and let everybody react."""
    for v in range(first, last + 1):
        if uploads[v, server - 1] != 0:
            s.node[i, u, v], s.usable[i, u, v] = server, True
    complete(p, b, s, i, u)


@uncounted
def _total_delay_s(p: Problem, b: int, s: State, i: int) -> float:
    """Return the users' delays weighted by their query rates."""
    total = 0.0
    for u in range(p.num_users[b]):
        if p.query_rate_hz[b, 0, u] > 0.0:  # the delay of an absent user may be infinite
            total += p.query_rate_hz[b, 0, u] * s.delay_s[i, u]
    return total
