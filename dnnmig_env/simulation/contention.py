"""How queries slow each other, compiled: a closed queueing network, solved by approximate mean value analysis.

Servers, the radio uplink, the radio downlink and the servers' outgoing wires are *stations*. A query spends seconds at
a station: the layers that run on a server, the tensors that cross a link. At most one query of each user is in flight,
so a user starts a query every `cycle` seconds, where `cycle = max(1 / query rate, delay)`, and nothing queues at its
device. Sources: Bard (1979) and Schweitzer (1979); Lazowska et al., *Quantitative System Performance* (1984), chapter
7. With `residence`, the seconds at a station times the user's slowdown there:

    present[j, k] = min(1, residence[j, k] / cycle_j)          mean number of queries of user j at station k
    slowdown_u[k] = 1 + sum of present[j, k] over all j but u   what a query of u finds there (processor sharing)

So n users that never leave a server slow each other n times, and nobody slows itself. What goes between a device and a
server is at the radio only, at the rate of the slowest link on its way. What goes from server to server is at the
sender's outgoing wire. Every cell has an uplink and a downlink of its own, which the users in it share. Each user has
one of either only, so that one column of `present` is enough for the uplinks of all cells.

Under the reading `SHARED` of the uplink, weights on their way are one more customer: on a wire they have the last row
of `present`, after the users; on the uplinks of the cells they are counted in `sending`.
"""

from __future__ import annotations

from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import fill, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios

UPLINK, DOWNLINK = -2, -1
"""The stations of a user's radio: data from devices, and data to devices. They are counted from the end of the axis."""

TOLERANCE = 2e-3
"""Change of a user's presence at a station up to which the others go on as if nothing had changed.

With it, and two sweeps over the users after an event (`picks.SWEEPS`), the mean delays of 60 plans of joint
efficiency in `multi-user` differ from those of sweeps without end by 0.005 % in the median and 0.03 % at most; with one
sweep by 0.1 % at most, in `mobile` by 1 %; with a tolerance of 0.01 and three sweeps by 0.2 %, in `mobile` by 1 %.
"""


@jit_without_refcounts
def num_stations(num_nodes: int) -> int:
    """Return the number of stations K for S + 1 nodes: the nodes, an outgoing wire of each server, up- and downlink.

    Station n is node n, up to S; station 0, the device, is never shared. Station S + s is the wire of node s, for s
    from 1 to S.
    """
    return 2 * num_nodes + 1


@jit_without_refcounts
def link_station(source: int, target: int, num_nodes: int) -> int:
    """Return the station of what goes from one node to another one."""
    if source == 0:
        return UPLINK
    if target == 0:
        return DOWNLINK
    return num_nodes - 1 + source


@jit_without_refcounts
def link_s(packed: PackedScenarios, b: int, u: int, slot: int, source: int, target: int, size_bytes: float) -> float:
    """Return the seconds for which `size_bytes` from node `source` to node `target` use their link, without latency."""
    if size_bytes == 0.0:
        return 0.0
    if source == 0:
        return float(size_bytes / packed.up_bytes_per_s[b, slot, u, target - 1])
    if target == 0:
        return float(size_bytes / packed.down_bytes_per_s[b, slot, u, source - 1])
    return float(size_bytes / packed.between_bytes_per_s[b, source - 1, target - 1])


@jit_without_refcounts
def write_seconds(packed: PackedScenarios, b: int, u: int, slot: int, assignment: Int8s, seconds: Floats) -> None:
    """Write the seconds that one query of a user needs at each station if nobody else is there, shape (K,).

    A tensor that several layers on a node read, or that returns to the device and is read there, is sent once.
    """
    fill(seconds, 0.0)
    offsets, predecessors = packed.predecessor_offsets[b, u], packed.predecessors[b, u]
    execution_s, tensor_bytes, is_output = packed.execution_s[b, u], packed.tensor_bytes[b, u], packed.is_output[b, u]
    num_layers, num_nodes = packed.num_layers[b, u], execution_s.shape[1]
    for v in range(num_layers):
        node = assignment[v]
        if node != 0:
            seconds[node] += execution_s[v, node]
        for e in range(offsets[v], offsets[v + 1]):
            tensor = predecessors[e]
            source = 0 if tensor < 0 else assignment[tensor]
            if source != node and not _reads_before(offsets, predecessors, tensor, v, assignment, node):
                size_bytes = tensor_bytes[tensor]
                seconds[link_station(source, node, num_nodes)] += link_s(packed, b, u, slot, source, node, size_bytes)
        returns = is_output[v] and node != 0
        if returns and not _reads_before(offsets, predecessors, v, num_layers, assignment, 0):
            seconds[DOWNLINK] += link_s(packed, b, u, slot, node, 0, tensor_bytes[v])


@jit_without_refcounts
def _reads_before(offsets: Ints, predecessors: Ints, tensor: int, v: int, assignment: Int8s, node: int) -> bool:
    """Return whether a layer before layer `v` runs on `node` and reads a tensor."""
    for earlier in range(tensor + 1 if tensor >= 0 else 0, v):
        if assignment[earlier] == node:
            for e in range(offsets[earlier], offsets[earlier + 1]):
                if predecessors[e] == tensor:
                    return True
    return False


@jit_without_refcounts
def meets_at(station: int, home: int, cell: int) -> bool:
    """Return whether a user in the cell of `home` is at a station that belongs to `cell` if it is one of the radio."""
    return station >= 0 or home == cell


@jit_without_refcounts
def slowdown_for(u: int, home: Int8s, present: Floats, sending: Floats, slowdown: Floats) -> None:
    """Write the factor by which the others slow user `u` at each station, shape (K,).

    Args:
        u: The user.
        home: Cell of each user, shape (U,).
        present: Mean number of queries of each user at each station, and of weights on wires in the last row, shape
            (U + 1, K).
        sending: Number of transfers of weights that move on the uplink of each cell, shape (S + 1,).
        slowdown: Receives the factors.
    """
    weights, wires = present.shape[0] - 1, slowdown.shape[0] + UPLINK
    for k in range(slowdown.shape[0]):
        slowdown[k] = 1.0 + present[weights, k]
    slowdown[UPLINK] += sending[home[u]]
    for w in range(weights):
        if w != u:
            for k in range(slowdown.shape[0] if home[w] == home[u] else wires):
                slowdown[k] += present[w, k]


@jit_without_refcounts
def cycle_s(rate_hz: float, delay_s: float) -> float:
    """Return the seconds between two starts of the queries of a user who is present."""
    return max(1.0 / rate_hz, delay_s)


@jit_without_refcounts
def write_presence(
    rate_hz: float, delay_s: float, seconds: Floats, slowdown: Floats, present: Floats, tolerance: float
) -> bool:
    """Write the mean number of queries of one user at each station, shape (K,), if it has changed.

    Args:
        rate_hz: The user's query rate, which is positive; an absent user is at no station.
        delay_s: Delay of its queries.
        seconds: What `write_seconds` has written for its assignment.
        slowdown: The factors by which the others slow it.
        present: Holds the numbers on which the others rely; receives the new ones.
        tolerance: Change of every number up to which all stay what they are.

    Returns:
        Whether the numbers have changed, so that the others are concerned.
    """
    cycle, changed = cycle_s(rate_hz, delay_s), False
    for k in range(present.shape[0]):
        share = _share(seconds[k] * slowdown[k], cycle)
        changed = changed or abs(share - present[k]) > tolerance
    if changed:
        for k in range(present.shape[0]):
            present[k] = _share(seconds[k] * slowdown[k], cycle)
    return changed


@jit_without_refcounts
def _share(residence_s: float, cycle: float) -> float:
    share = residence_s / cycle
    return share if share < 1.0 else 1.0  # also for a query that waits for a dead link for ever: infinite by infinite
