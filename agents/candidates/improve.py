"""Improves a reference plan by random changes, each judged by the kernel: what is cheap enough to do while deciding.

A plan is a sequence of uploads (user, layer, server). Of twenty changes

| | |
|---|---|
| 6 | move a run, that is uploads in a row of one user to one server, to another place |
| 3 | send a run to another server |
| 4 | gather neighbouring layers of a user, wherever they are in the plan or not in it, on one server |
| 2 | gather all layers of a user |
| 3 | send all that a user has on one server to another, in its places; in exchange for what another has there, or not |
| 2 | leave a run out |

and what makes the plan better is kept. `agents.planners.local_search.local_search` searches longer, with more kinds of changes, and
goes through worse plans on its way.
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
    """Try some changes of row `i`'s plan.

    Args:
        packed: The scenarios as they are expected to go on.
        state: Where the episodes stand.
        reference: Their plans.
        scratch: Where plans are tried out.
        i: The row.
        tries: How many.
    """
    _drop_uploaded(state, reference, i)
    for _ in range(tries):
        adopt(scratch.trial, reference, i)
        _change(packed, state, reference, scratch.trial.plans, i)
        keep_if_better(packed, state, reference, scratch, i)


@jit_without_refcounts
def _drop_uploaded(state: State, reference: Reference, i: int) -> None:
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
    """Change plan `i`; random numbers are drawn from `reference`."""
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
    """Send all that an upload's user has on its server to another; what another user (perhaps) has there comes back."""
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
    """Send neighbouring layers of a user, or all, one after another to one server, where the first was or anywhere."""
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
    """Move uploads [first, end) so that they begin at `target`, or end at the plan's end."""
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
