"""Neighbours of a plan, drawn at random: what annealing tries next.

| move | what changes |
|---|---|
| shift | one upload goes elsewhere in the order |
| shift-some | some consecutive uploads go elsewhere in the order together |
| swap | two uploads change places |
| reverse | some consecutive uploads go in reverse order |
| gather | neighbouring layers of one user go elsewhere in the order, front to back, one after another |
| gather-at | the same, to one server drawn at random; those of the layers that were not uploaded now are |
| place | neighbouring layers of one user go to one server drawn at random, their order unchanged |
| drop | neighbouring layers of one user are no longer uploaded |
| whole | gather-at or place for all layers of one user |
| exchange | what a user has on one server goes to another; what another user has there may come back |
| wait | one upload waits for the start of a later slot, or no longer waits |

"Elsewhere" is near in most cases, anywhere in others. Where memory ends, other uploads give way (`make_room`): without
that, users who share a full server could not change places in one move.
"""

from __future__ import annotations

from agents.planners.local_search.chains import (
    ITEM,
    NONE,
    NOWHERE,
    ONE,
    PRESENT,
    SERVER,
    TRIAL,
    WAIT,
    Movable,
    Walk,
)
from agents.planners.local_search.edits import copy_plan, make_room, put, swap, take_out
from agents.planners.local_search.random import below, few, uniform
from dnnmig_env.arrays import Floats
from dnnmig_env.compiling.jit import copy, jit_without_refcounts
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

CHANCES = {
    "shift": 0.20,
    "shift-some": 0.15,
    "swap": 0.10,
    "reverse": 0.05,
    "gather": 0.15,
    "gather-at": 0.15,
    "place": 0.10,
    "drop": 0.05,
    "whole": 0.05,
    "exchange": 0.03,
    "wait": 0.05,
}
"""How often each move is tried, in relation to the others."""

SHIFT, SHIFT_SOME, SWAP, REVERSE, GATHER, GATHER_AT, PLACE, DROP, WHOLE, EXCHANGE, DEFER = range(len(CHANCES))

ANYWHERE = 0.3
"""Share of moves in the order that go anywhere; the others stay near."""

MEAN_DISTANCE, MEAN_RUN, MEAN_WAIT = 4.0, 3.0, 2.0
"""About how many places a near move goes, how many neighbouring layers it takes, and how many slots an upload waits."""


@jit_without_refcounts
def propose(
    packed: PackedScenarios, b: int, state: State, row: int, movable: Movable, walk: Walk, chances: Floats
) -> None:
    """Write a random neighbour of the present plan as the plan on trial; it may be the same plan.

    Args:
        packed: The packed scenarios.
        b: The scenario.
        state: The state, with snapshots of the present plan.
        row: The chain's first row of it.
        movable: The layers that may be uploaded.
        walk: The chain.
        chances: How often each move is tried, in the order of `CHANCES`, adding up to 1; the last ones may be missing.
    """
    copy_plan(walk, PRESENT, TRIAL)
    drawn, move = uniform(walk.random), 0
    while move < len(chances) - 1 and drawn >= chances[move]:
        drawn -= chances[move]
        move += 1
    if move == PLACE or (move == WHOLE and uniform(walk.random) < 0.5):
        _place_run(movable, walk, move == WHOLE)
    elif GATHER <= move <= WHOLE:
        _gather_run(movable, walk, move)
    elif walk.length[PRESENT] > 0:
        one = below(walk.random, walk.length[PRESENT])
        if move == EXCHANGE:
            _exchange(movable, walk, one)
        elif move == DEFER:
            later = state.slot[row + one] + few(walk.random, MEAN_WAIT)
            waits = walk.uploads[TRIAL, one, WAIT] > 0
            walk.uploads[TRIAL, one, WAIT] = 0 if waits or later >= packed.num_slots[b] else later
        else:
            _reorder(walk, one, move)


@jit_without_refcounts
def _reorder(walk: Walk, one: int, move: int) -> None:
    """Change the order by a move that begins at upload `one`."""
    length = walk.length[TRIAL]
    if move == SWAP:
        swap(walk, one, below(walk.random, length))
    elif move == REVERSE:
        last = min(one + few(walk.random, MEAN_RUN), length - 1)
        for k in range((last - one + 1) // 2):
            swap(walk, one + k, last - k)
    else:
        size = ONE if move == SHIFT else min(1 + few(walk.random, MEAN_RUN), length - one)
        for k in range(size):
            copy(walk.taken[k], walk.uploads[TRIAL, one + k])
        put(walk, size, _place(walk, one, length - size))


@jit_without_refcounts
def _gather_run(movable: Movable, walk: Walk, move: int) -> None:
    """Move neighbouring layers of a user elsewhere in the order, or take them out of the plan."""
    first, last = _run(movable, walk, move == WHOLE)
    server = movable.servers[first, below(walk.random, movable.num_servers[first])]
    size, absent = NONE, 0
    for item in range(first, last + 1):
        present = walk.server[item]
        absent += present == NOWHERE
        if present != NOWHERE or move in (GATHER_AT, WHOLE):
            walk.taken[size, ITEM], walk.taken[size, WAIT] = item, 0
            walk.taken[size, SERVER] = present if move == GATHER else server
            size += 1
    if move == DROP:
        take_out(walk, size)
        return
    at, others = 0, walk.length[TRIAL] - (last - first + 1 - absent)
    while at < walk.length[TRIAL] and not first <= walk.uploads[TRIAL, at, ITEM] <= last:
        at += 1
    put(walk, size, below(walk.random, others + 1) if at > others else _place(walk, at, others))
    make_room(movable, walk)


@jit_without_refcounts
def _place_run(movable: Movable, walk: Walk, whole: bool) -> None:
    """Send those of some neighbouring layers that are uploaded to one server."""
    first, last = _run(movable, walk, whole)
    server = movable.servers[first, below(walk.random, movable.num_servers[first])]
    for k in range(walk.length[TRIAL]):
        if first <= walk.uploads[TRIAL, k, ITEM] <= last:
            walk.uploads[TRIAL, k, SERVER] = server
    make_room(movable, walk)


@jit_without_refcounts
def _exchange(movable: Movable, walk: Walk, one: int) -> None:
    """Send all that the user of upload `one` has on its server to another; what another user has there comes back."""
    plan = walk.uploads[TRIAL]
    item, here = plan[one, ITEM], plan[one, SERVER]
    there = movable.servers[item, below(walk.random, movable.num_servers[item])]
    user, other = movable.user[item], movable.user[below(walk.random, len(movable.user))]
    for k in range(walk.length[TRIAL]):
        item = plan[k, ITEM]
        if movable.user[item] == user and plan[k, SERVER] == here:
            plan[k, SERVER] = there
        elif movable.user[item] == other and other != user and plan[k, SERVER] == there and _goes(movable, item, here):
            plan[k, SERVER] = here
    make_room(movable, walk)


@jit_without_refcounts
def _goes(movable: Movable, item: int, server: int) -> bool:
    """Return whether a layer may go to a server."""
    for k in range(movable.num_servers[item]):  # noqa: SIM110  generators do not compile
        if movable.servers[item, k] == server:
            return True
    return False


@jit_without_refcounts
def _run(movable: Movable, walk: Walk, whole: bool) -> tuple[int, int]:
    """Return the first and last of some neighbouring movable layers of a user, or of all of them (`whole`)."""
    first = below(walk.random, len(movable.user))
    if whole:
        return int(movable.first[first]), int(movable.last[first])
    return first, int(min(first + few(walk.random, MEAN_RUN) - 1, movable.last[first]))


@jit_without_refcounts
def _place(walk: Walk, near: int, most: int) -> int:
    """Return a place from 0 to `most`, in most cases one near to `near`."""
    if uniform(walk.random) < ANYWHERE:
        return below(walk.random, most + 1)
    distance = few(walk.random, MEAN_DISTANCE)
    return min(near + distance, most) if uniform(walk.random) < 0.5 else max(near - distance, 0)
