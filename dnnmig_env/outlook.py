"""How episodes are expected to go on from now, and a plan for that: foresight, of nothing but the present.

A scenario with several time slots is taken to go on as `forecast.expect_course` says. At the beginning of every slot
what is left of the plan is compared, by the kernel, with new plans of joint efficiency; the best is kept.
"""

from __future__ import annotations

from dnnmig_env.actions import Decisions
from dnnmig_env.compiled import shared, uncounted
from dnnmig_env.forecast import expect_course
from dnnmig_env.kernel import horizon_s
from dnnmig_env.polish import polish
from dnnmig_env.problem import Ints, Problem
from dnnmig_env.reference import Reference, follow
from dnnmig_env.reference_plan import Workshop, clear, improve
from dnnmig_env.state import State

STARTED = -2
"""Stands for the latest action of a row whose episode has just begun."""


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
    seen: Ints,
    r: Reference,
    w: Workshop,
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
        seen: Slots in which that was expected, shape (B,), still as they were (`Prospects.slot`).
        r: The plans.
        w: Where plans are made and tried out.
    """
    for k in range(begin, end):
        if _is_new(rows[k], actions[k], p, s, course, seen, r):
            improve(course, s, r, w, rows[k])
            polish(course, s, r, w, rows[k], TRIES)
        else:
            follow(course, s, d, r, w.state, w.legal, actions[k], rows[k])


@uncounted
def _is_new(i: int, action: int, p: Problem, s: State, course: Problem, seen: Ints, r: Reference) -> bool:
    """Return whether a slot has begun; if so, its course is expected anew."""
    if action == STARTED:
        clear(r, i)
    new = (action == STARTED or seen[i] != s.slot[i]) and s.time_s[i] < horizon_s(p, i)
    if new:
        expect_course(p, i, s.slot[i], course)
    return bool(new)
