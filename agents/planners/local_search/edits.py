"""Edits of the plan on trial: uploads change places, are taken out and put in, and give way where memory ends."""

from __future__ import annotations

from agents.planners.local_search.chains import ITEM, NOWHERE, SERVER, TRIAL, Movable, Walk
from agents.planners.local_search.random import below
from dnnmig_env.compiling.jit import copy, jit_without_refcounts


@jit_without_refcounts
def copy_plan(walk: Walk, source: int, target: int) -> None:
    """Copy a plan of a chain and its cost to another one of the chain's plans."""
    walk.length[target], walk.cost_s[target] = walk.length[source], walk.cost_s[source]
    for k in range(walk.length[source]):
        copy(walk.uploads[target, k], walk.uploads[source, k])


@jit_without_refcounts
def swap(walk: Walk, one: int, other: int) -> None:
    """Let two uploads change places."""
    plan = walk.uploads[TRIAL]
    for column in range(plan.shape[1]):
        plan[one, column], plan[other, column] = plan[other, column], plan[one, column]


@jit_without_refcounts
def put(walk: Walk, size: int, place: int) -> None:
    """Put the first `size` uploads of `walk.taken` in at a place, one after another.

    They are first taken out wherever they are; the place counts without them.
    """
    take_out(walk, size)
    plan, length = walk.uploads[TRIAL], walk.length[TRIAL]
    for k in range(length - 1, place - 1, -1):
        copy(plan[k + size], plan[k])
    for k in range(size):
        copy(plan[place + k], walk.taken[k])
    walk.length[TRIAL] = length + size


@jit_without_refcounts
def take_out(walk: Walk, size: int) -> None:
    """Take the layers of the first `size` uploads of `walk.taken` out of the plan."""
    plan = walk.uploads[TRIAL]
    for k in range(size):
        walk.leaves[walk.taken[k, ITEM]] = 1
    for k in range(walk.length[TRIAL]):
        if walk.leaves[plan[k, ITEM]] == 1:
            plan[k, SERVER] = NOWHERE
    for k in range(size):
        walk.leaves[walk.taken[k, ITEM]] = 0
    _close_gaps(walk)


@jit_without_refcounts
def make_room(movable: Movable, walk: Walk) -> None:
    """Where a server's memory is exceeded, send its latest uploads to other servers, or leave them out.

    Uploads that go to the same server as in the present plan give way first, so that what a move changes prevails.
    """
    copy(walk.left_bytes, movable.memory_left_bytes)
    plan, length, full = walk.uploads[TRIAL], walk.length[TRIAL], False
    for k in range(length):
        walk.left_bytes[plan[k, SERVER] - 1] -= movable.weight_bytes[plan[k, ITEM]]
        full = full or walk.left_bytes[plan[k, SERVER] - 1] < 0.0
    if not full:
        return
    for changed in (False, True):
        for k in range(length - 1, -1, -1):
            item, server = plan[k, ITEM], plan[k, SERVER]
            gives_way = server != NOWHERE and (server != walk.server[item]) == changed
            if gives_way and walk.left_bytes[server - 1] < 0.0:
                plan[k, SERVER] = _server_with_room(movable, walk, item)
                walk.left_bytes[server - 1] += movable.weight_bytes[item]
                if plan[k, SERVER] != NOWHERE:
                    walk.left_bytes[plan[k, SERVER] - 1] -= movable.weight_bytes[item]
    _close_gaps(walk)


@jit_without_refcounts
def _server_with_room(movable: Movable, walk: Walk, item: int) -> int:
    """Return a server on which a layer fits, looking from a random one on; `NOWHERE` if there is none."""
    count = movable.num_servers[item]
    first = below(walk.random, count)
    for k in range(count):
        server = movable.servers[item, (first + k) % count]
        if walk.left_bytes[server - 1] >= movable.weight_bytes[item]:
            return int(server)
    return NOWHERE


@jit_without_refcounts
def _close_gaps(walk: Walk) -> None:
    """Take out the uploads that go nowhere."""
    plan, length = walk.uploads[TRIAL], 0
    for k in range(walk.length[TRIAL]):
        if plan[k, SERVER] != NOWHERE:
            if length < k:
                copy(plan[length], plan[k])
            length += 1
    walk.length[TRIAL] = length
