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

from agents.candidates.planning import Workshop, keep_if_better
from agents.candidates.reference_plan import Reference, adopt
from dnnmig_env.compiling.jit import uncounted
from dnnmig_env.simulation.packed import Problem
from dnnmig_env.simulation.state import State


@uncounted
def polish(p: Problem, s: State, r: Reference, w: Workshop, i: int, tries: int) -> None:
    """Try some changes of row `i`'s plan.

    Args:
        p: The scenarios as they are expected to go on.
        s: Where the episodes stand.
        r: Their plans.
        w: Where plans are tried out.
        i: The row.
        tries: How many.
    """
    _drop_uploaded(s, r, i)
    for _ in range(tries):
        adopt(w.trial, r, i)
        _change(p, s, r, w.trial, i)
        keep_if_better(p, s, r, w, i)


@uncounted
def _drop_uploaded(s: State, r: Reference, i: int) -> None:
    length = 0
    for k in range(r.length[i]):
        if s.node[i, r.user[i, k], r.layer[i, k]] == 0:
            if k == r.following[i]:
                r.following[i] = length
            r.user[i, length], r.layer[i, length], r.server[i, length] = r.user[i, k], r.layer[i, k], r.server[i, k]
            length += 1
    r.length[i] = length


@uncounted
def _change(p: Problem, s: State, r: Reference, trial: Reference, i: int) -> None:
    """Change the plan on trial; random numbers are drawn from `r`."""
    length = trial.length[i]
    if length == 0:
        _gather(p, s, r, trial, i, True)
        return
    first = _draw(r, i, length)
    end = first + 1
    while (
        end < length and trial.user[i, end] == trial.user[i, first] and trial.server[i, end] == trial.server[i, first]
    ):
        end += 1
    end = first + 1 + _draw(r, i, end - first)
    kind = _draw(r, i, 20)
    if kind < 6:
        _move(trial, i, first, end, _draw(r, i, length))
    elif kind < 9:
        server = 1 + _draw(r, i, p.num_servers[i])
        for k in range(first, end):
            trial.server[i, k] = server
    elif kind < 15:
        _gather(p, s, r, trial, i, kind < 11)
    elif kind < 18:
        _exchange(trial, i, first, 1 + _draw(r, i, p.num_servers[i]), _draw(r, i, p.num_users[i]))
    else:
        _move(trial, i, first, end, length)
        trial.length[i] = length - (end - first)


@uncounted
def _exchange(trial: Reference, i: int, one: int, there: int, other: int) -> None:
    """Send all that an upload's user has on its server to another; what another user (perhaps) has there comes back."""
    user, here = trial.user[i, one], trial.server[i, one]
    for k in range(trial.length[i]):
        if trial.user[i, k] == user and trial.server[i, k] == here:
            trial.server[i, k] = there
        elif trial.user[i, k] == other and other != user and trial.server[i, k] == there:
            trial.server[i, k] = here


@uncounted
def _gather(p: Problem, s: State, r: Reference, trial: Reference, i: int, whole: bool) -> None:
    """Send neighbouring layers of a user, or all, one after another to one server, where the first was or anywhere."""
    u = _draw(r, i, p.num_users[i])
    if p.query_rate_hz[i, s.slot[i], u] == 0.0:
        return
    first, end, server = 0, p.num_layers[i, u], 1 + _draw(r, i, p.num_servers[i])
    if not whole:
        first = _draw(r, i, end)
        end = min(first + 1 + _draw(r, i, 5), end)
    kept, place = 0, -1
    for k in range(trial.length[i]):
        if trial.user[i, k] == u and first <= trial.layer[i, k] < end:
            place = kept if place < 0 else place
        else:
            trial.user[i, kept], trial.layer[i, kept] = trial.user[i, k], trial.layer[i, k]
            trial.server[i, kept] = trial.server[i, k]
            kept += 1
    length = kept
    for v in range(first, end):
        if s.node[i, u, v] == 0 and p.weight_bytes[i, u, v] > 0.0:
            trial.user[i, length], trial.layer[i, length], trial.server[i, length] = u, v, server
            length += 1
    trial.length[i] = length
    if place < 0 or _draw(r, i, 2) == 0:
        place = _draw(r, i, kept + 1)
    _move(trial, i, kept, length, place)


@uncounted
def _move(r: Reference, i: int, first: int, end: int, target: int) -> None:
    """Move uploads [first, end) so that they begin at `target`, or end at the plan's end."""
    target = min(target, r.length[i] - (end - first))
    if target < first:
        _reverse(r, i, target, first)
        _reverse(r, i, first, end)
        _reverse(r, i, target, end)
    elif target > first:
        last = target + (end - first)
        _reverse(r, i, first, end)
        _reverse(r, i, end, last)
        _reverse(r, i, first, last)


@uncounted
def _reverse(r: Reference, i: int, first: int, end: int) -> None:
    low, high = first, end - 1
    while low < high:
        r.user[i, low], r.user[i, high] = r.user[i, high], r.user[i, low]
        r.layer[i, low], r.layer[i, high] = r.layer[i, high], r.layer[i, low]
        r.server[i, low], r.server[i, high] = r.server[i, high], r.server[i, low]
        low, high = low + 1, high - 1


@uncounted
def _draw(r: Reference, i: int, count: int) -> int:
    """Return a random number below `count` (Marsaglia's xorshift, 2003)."""
    x = r.dice[i]
    x ^= x << 13
    x ^= (x >> 7) & 0x01FF_FFFF_FFFF_FFFF
    x ^= x << 17
    r.dice[i] = x
    return int((x & 0x7FFF_FFFF_FFFF_FFFF) % count)
