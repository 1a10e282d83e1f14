"""Improves a reference plan by random changes, each judged by the kernel: cheap enough to be done while deciding.

A plan is a sequence of uploads (user, layer, server). A streak is a number of uploads in a row of one user to one
server. Of twenty changes, on average,

| | |
|---|---|
| 6 | move a streak to another place |
| 3 | send a streak to another server |
| 4 | gather neighbouring layers of a user on one server, whether or not the plan uploads them so far |
| 2 | gather all layers of a user on one server |
| 3 | send all that a user has on one server to another, in its places; what another user has there may come back |
| 2 | leave a streak out |

A change is kept if it makes the plan better. `agents.planners.local_search.local_search` searches longer, with more
kinds of changes, and passes through worse plans on its way.
"""

from __future__ import annotations

from agents.candidates.planning import PlanScratch, keep_if_better
from agents.candidates.reference_plan import Reference, adopt, copy_upload
from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State


@jit_without_refcounts
def improve(
    packed: PackedScenarios, state: State, reference: Reference, scratch: PlanScratch, i: int, tries: int
) -> None:
    """Try some random changes of row `i`'s plan, and keep those that make it better.

    Args:
        packed: The scenarios as they are expected to go on.
        state: Where the episodes stand.
        reference: The reference plans.
        scratch: Where plans are tried out.
        i: The row.
        tries: Number of changes to try.
    """
    _drop_uploaded(state, reference, i)
    for _ in range(tries):
        adopt(scratch.trial, reference, i)
        _change(packed, state, reference, scratch.trial.plans, i)
        keep_if_better(packed, state, reference, scratch, i)


@jit_without_refcounts
def _drop_uploaded(state: State, reference: Reference, i: int) -> None:
    """Take the uploads that have been made out of row `i`'s plan."""
    length = 0
    for k in range(reference.plans.length[i]):
        if state.node[i, reference.plans.user[i, k], reference.plans.layer[i, k]] == 0:
            if k == reference.next_upload[i]:
                reference.next_upload[i] = length
            copy_upload(reference.plans, i, length, reference.plans, i, k)
            length += 1
    reference.plans.length[i] = length


@jit_without_refcounts
def _change(packed: PackedScenarios, state: State, reference: Reference, plans: PlanArrays, i: int) -> None:
    """Change plan `i` at random; the random numbers come from `reference`."""
    length = plans.length[i]
    if length == 0:
        _gather(packed, state, reference, plans, i, True)
        return
    first = _draw(reference, i, length)
    end = first + 1
    while (
        end < length and plans.user[i, end] == plans.user[i, first] and plans.server[i, end] == plans.server[i, first]
    ):
        end += 1
    end = first + 1 + _draw(reference, i, end - first)
    kind = _draw(reference, i, 20)
    if kind < 6:
        _move(plans, i, first, end, _draw(reference, i, length))
    elif kind < 9:
        server = 1 + _draw(reference, i, packed.num_servers[i])
        for k in range(first, end):
            plans.server[i, k] = server
    elif kind < 15:
        _gather(packed, state, reference, plans, i, kind < 11)
    elif kind < 18:
        _exchange(
            plans, i, first, 1 + _draw(reference, i, packed.num_servers[i]), _draw(reference, i, packed.num_users[i])
        )
    else:
        _move(plans, i, first, end, length)
        plans.length[i] = length - (end - first)


@jit_without_refcounts
def _exchange(plans: PlanArrays, i: int, one: int, there: int, other: int) -> None:
    """Send all that the user of upload `one` has on its server to server `there`, and what `other` has there back.

    Nothing comes back if `other` is the same user.
    """
    user, here = plans.user[i, one], plans.server[i, one]
    for k in range(plans.length[i]):
        if plans.user[i, k] == user and plans.server[i, k] == here:
            plans.server[i, k] = there
        elif plans.user[i, k] == other and other != user and plans.server[i, k] == there:
            plans.server[i, k] = here


@jit_without_refcounts
def _gather(
    packed: PackedScenarios, state: State, reference: Reference, plans: PlanArrays, i: int, whole: bool
) -> None:
    """Send neighbouring layers of a random user, or all of them (`whole`), one after another to one random server.

    In the order they come where the first of them was, or at a random place.
    """
    u = _draw(reference, i, packed.num_users[i])
    if packed.query_rate_hz[i, state.slot[i], u] == 0.0:
        return
    first, end, server = 0, packed.num_layers[i, u], 1 + _draw(reference, i, packed.num_servers[i])
    if not whole:
        first = _draw(reference, i, end)
        end = min(first + 1 + _draw(reference, i, 5), end)
    kept, place = 0, -1
    for k in range(plans.length[i]):
        if plans.user[i, k] == u and first <= plans.layer[i, k] < end:
            place = kept if place < 0 else place
        else:
            copy_upload(plans, i, kept, plans, i, k)
            kept += 1
    length = kept
    for v in range(first, end):
        if state.node[i, u, v] == 0 and packed.weight_bytes[i, u, v] > 0.0:
            plans.user[i, length], plans.layer[i, length], plans.server[i, length] = u, v, server
            length += 1
    plans.length[i] = length
    if place < 0 or _draw(reference, i, 2) == 0:
        place = _draw(reference, i, kept + 1)
    _move(plans, i, kept, length, place)


@jit_without_refcounts
def _move(plans: PlanArrays, i: int, first: int, end: int, target: int) -> None:
    """Move uploads [first, end) so that they begin at `target`, or at the latest place that the plan has for them."""
    target = min(target, plans.length[i] - (end - first))
    if target < first:
        _reverse(plans, i, target, first)
        _reverse(plans, i, first, end)
        _reverse(plans, i, target, end)
    elif target > first:
        last = target + (end - first)
        _reverse(plans, i, first, end)
        _reverse(plans, i, end, last)
        _reverse(plans, i, first, last)


@jit_without_refcounts
def _reverse(plans: PlanArrays, i: int, first: int, end: int) -> None:
    """Reverse the order of uploads [first, end)."""
    low, high = first, end - 1
    while low < high:
        plans.user[i, low], plans.user[i, high] = plans.user[i, high], plans.user[i, low]
        plans.layer[i, low], plans.layer[i, high] = plans.layer[i, high], plans.layer[i, low]
        plans.server[i, low], plans.server[i, high] = plans.server[i, high], plans.server[i, low]
        low, high = low + 1, high - 1


@jit_without_refcounts
def _draw(reference: Reference, i: int, count: int) -> int:
    """Return a random number below `count` (Marsaglia's xorshift, 2003)."""
    x = reference.rng_state[i]
    x ^= x << 13
    x ^= (x >> 7) & 0x01FF_FFFF_FFFF_FFFF
    x ^= x << 17
    reference.rng_state[i] = x
    return int((x & 0x7FFF_FFFF_FFFF_FFFF) % count)
