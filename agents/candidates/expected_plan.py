"""How episodes are expected to go on, and a reference plan for that: a prediction from the present state only.

A scenario with several time slots is expected to go on as `agents.planners.forecast.expect_course` says; a scenario
with a single slot is known to its end. At the beginning of every slot, what is left of the reference plan is compared
with new plans of joint efficiency, by playing them through the kernel. The best one is kept and improved by a short
search.

An upload that is not the plan's next one begins an interval of layers. The rest of that interval then becomes the
plan's next uploads, provided that the plan is better with it. So an interval that was begun because the whole of it
saves delay is not given up half-way. Where the rest of the scenario is known, an agent that departs from the plan only
for what saves delay ends no worse than planned.
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
"""Stand for the latest action of a row: its episode has just begun, or nothing has happened in it."""

TRIES = 60
"""Number of changes of a plan that the short search tries at the beginning of a slot."""


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
    """Bring the expected courses and the reference plans of some rows up to date after their latest actions.

    Args:
        begin: First position in `rows` to work on.
        end: Position after the last one.
        rows: Rows of the episodes, shape (N,).
        actions: Latest action of each of these rows, shape (N,); `STARTED` for a new episode.
        packed: The scenarios.
        state: Where the episodes stand.
        decisions: What has been decided in them.
        course: The scenarios as they are expected to go on; brought up to date.
        prospects: The candidates, still as they were before the latest actions.
        reference: The reference plans; brought up to date.
        scratch: Where plans are made and tried out.
        saved_s: Receives what the latest action of each row has saved against its plan, in seconds of the mean query
            delay J, shape (B,). The value has no meaning for an action during which a new slot has begun, as that
            changes the expected course.
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
    """Replace the plans of the rows `begin` to `end` - 1 by given ones, and improve each by a longer search.

    Args:
        begin: First row to work on.
        end: Row after the last one.
        packed: The scenarios as they are expected to go on.
        state: Where the episodes stand.
        reference: The plans that are replaced.
        scratch: Where plans are tried out.
        plans: The new plans, one for each row.
        rng_state: State of the random numbers of each row's search, as in `Reference`, shape (B,).
        tries: Number of changes that each search tries.
    """
    for i in range(begin, end):
        copy_plan(reference.plans, plans, i)
        reference.rng_state[i] = rng_state[i]
        complete_reference(packed, state, reference, scratch.state, scratch.legal[i], i)
        improve(packed, state, reference, scratch, i, tries)


@jit_without_refcounts
def _is_new(i: int, action: int, packed: PackedScenarios, state: State, prospects: Prospects) -> bool:
    """Return whether row `i` has just begun an episode or entered a new slot."""
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
    """Put the rest of the interval that an upload has begun at the head of row `i`'s plan, if that is better."""
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
    """Write a plan to `trial`: layers `first` to `last` of a user, as far as they fit, then the rest of plan `i`."""
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
