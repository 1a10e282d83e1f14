"""How episodes are expected to go on from now, and a plan for that: foresight, of nothing but the present.

A scenario with several time slots is taken to go on as `forecast.expect_course` says; one with a single slot is known.
At the beginning of every slot what is left of the plan is compared, by the kernel, with new plans of joint efficiency;
the best is kept and improved by a short search. An upload that is not the plan's next begins a run of layers: the rest
of the run becomes next in the plan, if the plan is better with it. So a run that was begun because all of it saves
something is not given up half-way, and who departs from the plan only for what saves something, where all is known,
ends no worse than planned.
"""

from __future__ import annotations

from agents.candidates.improve import polish
from agents.candidates.planning import Workshop, clear, improve, keep_if_better
from agents.candidates.reference_plan import Reference, adopt, complete_reference, follow, next_action
from agents.candidates.shortlist import Prospects
from agents.planners.forecast import expect_course
from dnnmig_env.compiling.jit import shared, uncounted
from dnnmig_env.envs.actions import Decisions
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Floats, Ints, Problem
from dnnmig_env.simulation.state import State

STARTED, UNCHANGED = -2, -1
"""Stand for the latest action of a row whose episode has just begun, and of one in which nothing has happened."""

TRIES = 60
"""Changes of a plan that are tried at the beginning of a slot."""


@shared
def look_ahead(
    begin: int,
    end: int,
    rows: Ints,
    actions: Ints,
    p: Problem,
    s: State,
    d: Decisions,
    course: Problem,
    c: Prospects,
    r: Reference,
    w: Workshop,
    saved_s: Floats,
) -> None:
    """Bring courses and plans of some rows, shape (N,), up to date after their latest actions, (N,).

    Args:
        begin: The first of `rows` to look at.
        end: The one after the last.
        rows: The rows.
        actions: Their latest actions; `STARTED` for new episodes.
        p: The scenarios.
        s: Where they stand.
        d: What has been decided.
        course: How they are expected to go on.
        c: Their candidates, still as they were before the latest actions.
        r: The plans.
        w: Where plans are made and tried out.
        saved_s: Receives what the latest actions have saved against the plans, in seconds of J, shape (B,). It means
            something as long as a slot lasts.
    """
    for k in range(begin, end):
        i, new = rows[k], _is_new(rows[k], actions[k], p, s, c)
        if new:
            expect_course(p, i, s.slot[i], course)
        if actions[k] == STARTED:
            clear(r, i)
            saved_s[i] = 0.0
        else:
            before_s, departs = r.cost_s[i], actions[k] != next_action(r, d, i)
            follow(course, s, d, r, w.state, w.legal, actions[k], i)
            if departs and not d.done[i]:
                _go_on(course, s, c, r, w, actions[k], i)
            saved_s[i] = (before_s - r.cost_s[i]) / s.queries[i]
        if new:
            improve(course, s, r, w, i)
            polish(course, s, r, w, i, TRIES)


@shared
def search(
    begin: int, end: int, p: Problem, s: State, r: Reference, w: Workshop, plans: Reference, dice: Ints, tries: int
) -> None:
    """Take other plans, one for each row, and improve them by a longer search; `dice` as in `Reference`."""
    for i in range(begin, end):
        adopt(r, plans, i)
        r.dice[i] = dice[i]
        complete_reference(p, s, r, w.state, w.legal[i], i)
        polish(p, s, r, w, i, tries)


@uncounted
def _is_new(i: int, action: int, p: Problem, s: State, c: Prospects) -> bool:
    """Return whether a slot has begun."""
    return bool((action == STARTED or c.slot[i] != s.slot[i]) and s.time_s[i] < horizon_s(p, i))


@uncounted
def _go_on(p: Problem, s: State, c: Prospects, r: Reference, w: Workshop, action: int, i: int) -> None:
    """Put the rest of the run that an upload has begun before all else in row `i`'s plan, if that is better."""
    layers, servers = p.weight_bytes.shape[2], p.memory_bytes.shape[1]
    u, v, q = action // (layers * servers), action // servers % layers, action % servers
    for k in range(c.value.shape[1]):
        if c.value[i, k] > 0.0 and c.chosen[i, k, 0] == u and c.chosen[i, k, 1] == v and c.chosen[i, k, 2] == q:
            _put_first(p, s, r, w.trial, i, u, v + 1, c.chosen[i, k, 3], q + 1)
            keep_if_better(p, s, r, w, i)


@uncounted
def _put_first(
    p: Problem, s: State, r: Reference, trial: Reference, i: int, u: int, first: int, last: int, server: int
) -> None:
    """Write a plan that begins with layers `first` to `last` of a user, as far as they fit, and goes on as another."""
    length, left_bytes = 0, s.memory_left_bytes[i, server - 1]
    for v in range(first, last + 1):
        if s.node[i, u, v] == 0 and 0.0 < p.weight_bytes[i, u, v] <= left_bytes:
            trial.user[i, length], trial.layer[i, length], trial.server[i, length] = u, v, server
            length += 1
    for k in range(r.length[i]):
        v = r.layer[i, k]
        if r.user[i, k] != u or v < first or v > last or p.weight_bytes[i, u, v] > left_bytes or s.node[i, u, v] != 0:
            trial.user[i, length], trial.layer[i, length] = r.user[i, k], v
            trial.server[i, length] = r.server[i, k]
            length += 1
    trial.length[i] = length
