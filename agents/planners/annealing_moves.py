"""Neighbours of a plan, drawn at random: what annealing tries next.

| move | what changes |
|---|---|
| shift | one upload goes elsewhere in the order |
| shift-some | so do some consecutive uploads, together |
| swap | two uploads change places |
| reverse | some consecutive uploads go in reverse order |
| gather | a run (neighbouring layers of one user) goes elsewhere in the order, front to back, one after another |
| gather-at | so it does, to one server drawn; layers of the run that were not uploaded now are |
| place | a run goes to one server drawn, its order unchanged |
| drop | a run is no longer uploaded |
| whole | gather-at or place for all layers of one user |
| wait | one upload waits for the start of a slot drawn, or no longer waits (nothing where there is one slot) |

"Elsewhere" is near in some cases, anywhere in others. Neighbours that exceed a server's memory are not tried.
"""

from __future__ import annotations

import numpy as np

from agents.planners.annealing_plans import ITEM, NONE, ONE, PRESENT, SERVER, TRIAL, WAIT, Movable, Walk
from dnnmig_env.compiled import copy, inlined, uncounted
from dnnmig_env.problem import Floats, Ints, Problem
from dnnmig_env.state import State

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
    "wait": 0.05,
}
"""How often each move is tried."""

(SHIFT, SHIFT_SOME, SWAP, REVERSE, GATHER, GATHER_AT, PLACE, DROP, WHOLE, DEFER) = range(len(CHANCES))

ANYWHERE = 0.3
"""Share of moves in the order that go anywhere; the others stay near."""

MEAN_DISTANCE, MEAN_RUN, MEAN_WAIT = 4.0, 3.0, 2.0
"""Mean number of places that a near move goes, and mean length of what is moved."""

GAMMA, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
BITS_30, BITS_27, BITS_31, BITS_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@uncounted
def propose(p: Problem, b: int, s: State, row: int, movable: Movable, walk: Walk, chances: Floats) -> bool:
    """Write a neighbour of the present plan as the plan on trial; return whether it is one that can be carried out.

    Args:
        p: The problem.
        b: The scenario.
        s: The state, with snapshots of the present plan.
        row: The chain's first row of it.
        movable: The layers that may be uploaded.
        walk: The chain.
        chances: How often each move is tried, in the order of `CHANCES`, adding up to 1.
    """
    drawn, move = uniform(walk), 0
    while move < len(chances) - 1 and drawn >= chances[move]:
        drawn -= chances[move]
        move += 1
    copy_plan(walk, PRESENT, TRIAL)
    if GATHER <= move <= WHOLE:
        return _change_run(movable, walk, move) and _fits(p, b, movable, walk)
    length = walk.length[PRESENT]
    if length == 0:
        return False
    plan, one = walk.uploads[TRIAL], _below(walk, length)
    if move == SWAP:
        _swap(plan, one, _below(walk, length))
    elif move == REVERSE:
        last = min(one + _few(walk, MEAN_RUN), length - 1)
        for k in range((last - one + 1) // 2):
            _swap(plan, one + k, last - k)
    elif move == DEFER:
        later = s.slot[row + one] + _few(walk, MEAN_WAIT)
        plan[one, WAIT] = 0 if plan[one, WAIT] > 0 or later >= p.num_slots[b] else later
    else:
        size = ONE if move == SHIFT else min(1 + _few(walk, MEAN_RUN), length - one)
        for k in range(size):
            copy(walk.taken[k], plan[one + k])
        _put(walk, size, _place(walk, one, length - size))
    return True


@uncounted
def uniform(walk: Walk) -> float:
    """Return a random number in [0, 1) by SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a stream per chain."""
    walk.random[0] += GAMMA
    z = walk.random[0]
    z = (z ^ (z >> BITS_30)) * MIX_1
    z = (z ^ (z >> BITS_27)) * MIX_2
    return float((z ^ (z >> BITS_31)) >> BITS_11) / 2.0**53


@uncounted
def copy_plan(walk: Walk, source: int, target: int) -> None:
    """Copy a plan and its cost."""
    walk.length[target], walk.cost_s[target] = walk.length[source], walk.cost_s[source]
    for k in range(walk.length[source]):
        copy(walk.uploads[target, k], walk.uploads[source, k])


@uncounted
def _change_run(movable: Movable, walk: Walk, move: int) -> bool:
    """Move, place or drop a run of layers of one user; return whether something changes."""
    length, first = walk.length[PRESENT], _below(walk, len(movable.user))
    last = min(first + _few(walk, MEAN_RUN) - 1, movable.last[first])
    server = movable.servers[first, _below(walk, movable.num_servers[first])]
    if move == WHOLE:
        first, last = movable.first[first], movable.last[first]
        move = GATHER_AT if uniform(walk) < 0.5 else PLACE
    at, size, changes = length, NONE, False
    for k in range(length - 1, -1, -1):
        if first <= walk.uploads[PRESENT, k, ITEM] <= last:
            at = k
            if move == PLACE and walk.uploads[TRIAL, k, SERVER] != server:
                walk.uploads[TRIAL, k, SERVER], changes = server, True
    if move == PLACE:
        return changes
    absent = 0
    for item in range(first, last + 1):
        present = walk.server[item]
        if present == 0:
            absent += 1
        if present > 0 or move == GATHER_AT:
            walk.taken[size, ITEM], walk.taken[size, WAIT] = item, 0
            walk.taken[size, SERVER] = server if move == GATHER_AT else present
            size += 1
    left = length + absent - (last - first + 1)
    if size == 0:
        return False
    if move == DROP:
        _take_out(walk, size)
    else:
        _put(walk, size, _below(walk, left + 1) if at == length else _place(walk, min(at, left), left))
    return True


@uncounted
def _put(walk: Walk, size: int, place: int) -> None:
    """Take uploads out of the plan on trial where it has them, and put them in one after another at a place."""
    _take_out(walk, size)
    plan, length = walk.uploads[TRIAL], walk.length[TRIAL]
    for k in range(length - 1, place - 1, -1):
        copy(plan[k + size], plan[k])
    for k in range(size):
        copy(plan[place + k], walk.taken[k])
    walk.length[TRIAL] = length + size


@uncounted
def _take_out(walk: Walk, size: int) -> None:
    plan, length = walk.uploads[TRIAL], 0
    for k in range(size):
        walk.moves[walk.taken[k, ITEM]] = 1
    for k in range(walk.length[TRIAL]):
        if walk.moves[plan[k, ITEM]] == 0:
            if length < k:
                copy(plan[length], plan[k])
            length += 1
    for k in range(size):
        walk.moves[walk.taken[k, ITEM]] = 0
    walk.length[TRIAL] = length


@uncounted
def _fits(p: Problem, b: int, movable: Movable, walk: Walk) -> bool:
    """Return whether the plan on trial respects the servers' memory."""
    copy(walk.left_bytes, movable.memory_left_bytes)
    for k in range(walk.length[TRIAL]):
        item, server = walk.uploads[TRIAL, k, ITEM], walk.uploads[TRIAL, k, SERVER] - 1
        walk.left_bytes[server] -= movable.weight_bytes[item]
        if walk.left_bytes[server] < 0.0:
            return False
    return True


@inlined
def _swap(plan: Ints, one: int, other: int) -> None:
    for column in range(plan.shape[1]):
        plan[one, column], plan[other, column] = plan[other, column], plan[one, column]


@uncounted
def _place(walk: Walk, near: int, most: int) -> int:
    """Return a place from 0 to `most`, often one near another."""
    if uniform(walk) < ANYWHERE:
        return _below(walk, most + 1)
    distance = _few(walk, MEAN_DISTANCE)
    return min(near + distance, most) if uniform(walk) < 0.5 else max(near - distance, 0)


@uncounted
def _few(walk: Walk, mean: float) -> int:
    """Return a random number from 1 on, most often a small one."""
    return 1 - int((mean - 0.5) * np.log(1.0 - uniform(walk)))


@uncounted
def _below(walk: Walk, limit: int) -> int:
    """Return a random number from 0 to `limit` - 1."""
    return int(uniform(walk) * limit)
