"""How episodes are expected to go on from now, and a plan for that: foresight, of nothing but the present.

A scenario with several time slots is taken to go on as `forecast.expect_course` says; one with a single slot is known.
At the beginning of every slot what is left of the plan is compared, by the kernel, with new plans of joint efficiency;
the best is kept and improved by a short search. An upload that is not the plan's next begins a run of layers: the rest
of the run becomes next in the plan, if the plan is better with it. So a run that was begun because all of it saves
something is not given up half-way, and who departs from the plan only for what saves something, where all is known,
ends no worse than planned.
"""

from __future__ import annotations

from agents.candidates.improve import improve
from agents.candidates.planning import PlanScratch, clear, keep_if_better, replan
from agents.candidates.reference_plan import Reference, complete_reference, copy_plan, copy_upload, follow, next_action
from agents.candidates.shortlist import Prospects
from agents.planners.forecast import expect_course
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.envs.actions import Decisions, upload_of
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State

STARTED, UNCHANGED = -2, -1
"""Stand for the latest action of a row whose episode has just begun, and of one in which nothing has happened."""

TRIES = 60
"""Changes of a plan that are tried at the beginning of a slot."""


@jit_nogil
def look_ahead(
    begin: int,
    end: int,
    rows: Ints,
    actions: Ints,
    packed: PackedScenarios,
    state: State,
    decisions: Decisions,
    course: PackedScenarios,
    prospects: Prospects,
    reference: Reference,
    scratch: PlanScratch,
    saved_s: Floats,
) -> None:
    """Bring courses and plans of some rows, shape (N,), up to date after their latest actions, (N,).

    Args:
        begin: The first of `rows` to look at.
        end: The one after the last.
        rows: The rows.
        actions: Their latest actions; `STARTED` for new episodes.
        packed: The scenarios.
        state: Where they stand.
        decisions: What has been decided.
        course: How they are expected to go on.
        prospects: Their candidates, still as they were before the latest actions.
        reference: The plans.
        scratch: Where plans are made and tried out.
        saved_s: Receives what the latest actions have saved against the plans, in seconds of J, shape (B,). It means
            something as long as a slot lasts.
    """
    for k in range(begin, end):
        i, new = rows[k], _is_new(rows[k], actions[k], packed, state, prospects)
        if new:
            expect_course(packed, i, state.slot[i], course)
        if actions[k] == STARTED:
            clear(reference, i)
            saved_s[i] = 0.0
        else:
            before_s, departs = reference.cost_s[i], actions[k] != next_action(reference, decisions, i)
            follow(course, state, decisions, reference, scratch.state, scratch.legal, actions[k], i)
            if departs and not decisions.done[i]:
                _go_on(course, state, prospects, reference, scratch, actions[k], i)
            saved_s[i] = (before_s - reference.cost_s[i]) / state.expected_queries[i]
        if new:
            replan(course, state, reference, scratch, i)
            improve(course, state, reference, scratch, i, TRIES)


@jit_nogil
def search(
    begin: int,
    end: int,
    packed: PackedScenarios,
    state: State,
    reference: Reference,
    scratch: PlanScratch,
    plans: PlanArrays,
    rng_state: Ints,
    tries: int,
) -> None:
    """Take other plans, one for each row, and improve them by a longer search; `rng_state` as in `Reference`."""
    for i in range(begin, end):
        copy_plan(reference.plans, plans, i)
        reference.rng_state[i] = rng_state[i]
        complete_reference(packed, state, reference, scratch.state, scratch.legal[i], i)
        improve(packed, state, reference, scratch, i, tries)


@jit_without_refcounts
def _is_new(i: int, action: int, packed: PackedScenarios, state: State, prospects: Prospects) -> bool:
    """Return whether a slot has begun."""
    return bool((action == STARTED or prospects.slot[i] != state.slot[i]) and state.time_s[i] < horizon_s(packed, i))


@jit_without_refcounts
def _go_on(
    packed: PackedScenarios,
    state: State,
    prospects: Prospects,
    reference: Reference,
    scratch: PlanScratch,
    action: int,
    i: int,
) -> None:
    """Put the rest of the run that an upload has begun before all else in row `i`'s plan, if that is better."""
    layers, servers = packed.weight_bytes.shape[2], packed.memory_bytes.shape[1]
    u, v, s = upload_of(action, layers, servers)
    for k in range(prospects.value.shape[1]):
        if (
            prospects.value[i, k] > 0.0
            and prospects.chosen[i, k, 0] == u
            and prospects.chosen[i, k, 1] == v
            and prospects.chosen[i, k, 2] == s
        ):
            _put_first(
                packed, state, reference.plans, scratch.trial.plans, i, u, v + 1, prospects.chosen[i, k, 3], s + 1
            )
            keep_if_better(packed, state, reference, scratch, i)


@jit_without_refcounts
def _put_first(
    packed: PackedScenarios,
    state: State,
    plans: PlanArrays,
    trial: PlanArrays,
    i: int,
    u: int,
    first: int,
    last: int,
    server: int,
) -> None:
    """Write a plan that begins with layers `first` to `last` of a user, as far as they fit, and goes on as another."""
    length, left_bytes = 0, state.memory_left_bytes[i, server - 1]
    for v in range(first, last + 1):
        if state.node[i, u, v] == 0 and 0.0 < packed.weight_bytes[i, u, v] <= left_bytes:
            trial.user[i, length], trial.layer[i, length], trial.server[i, length] = u, v, server
            length += 1
    for k in range(plans.length[i]):
        v = plans.layer[i, k]
        if (
            plans.user[i, k] != u
            or v < first
            or v > last
            or packed.weight_bytes[i, u, v] > left_bytes
            or state.node[i, u, v] != 0
        ):
            copy_upload(trial, i, length, plans, i, k)
            length += 1
    trial.length[i] = length
