"""What a decision would have cost: an episode is known to its end, and one decision in it is exchanged.

At a moment of an episode that has been played, each candidate in turn is uploaded in place of what was decided, with
its whole interval; then the uploads that really followed go on in their order. All of it happens under the rates that
really came. So the candidates of a moment are compared under the same future, which cancels most of the randomness of
returns. This serves learning only, as the future is not known at the time of a decision.
"""

from __future__ import annotations

import numpy as np

from agents.candidates.reference_plan import complete
from agents.candidates.shortlist import LATER, Prospects
from dnnmig_env.arrays import Floats, Int8s, Ints
from dnnmig_env.compiling.jit import jit_nogil, jit_without_refcounts
from dnnmig_env.simulation.dynamics import advance
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan_arrays import PlanArrays
from dnnmig_env.simulation.state import State, copy_row


@jit_nogil
def hindsight_costs(
    begin: int,
    end: int,
    rows: Ints,
    out: Floats,
    packed: PackedScenarios,
    state: State,
    ahead: State,
    mask: Int8s,
    plans: PlanArrays,
    prospects: Prospects,
) -> None:
    """Write the costs (J times the number of queries) of uploading each candidate now, and then going on with a plan.

    Args:
        begin: First position in `rows` to work on.
        end: Position after the last one.
        rows: Rows of the episodes, shape (N,).
        out: Receives K + 2 costs per episode, shape (N, K + 2): of the first K candidates (inf where there are fewer),
            of waiting for the next slot, and of going on with the plan at once.
        packed: The scenarios.
        state: Where the episodes stand.
        ahead: A scratch state with two rows for each episode, in which the choices are tried out.
        mask: The legal actions, shape (B, A).
        plans: The plan with which each row goes on.
        prospects: The candidates.
    """
    for k in range(begin, end):
        _costs(rows[k], out[k], packed, state, ahead, mask, plans, prospects)


@jit_without_refcounts
def _costs(
    i: int,
    out: Floats,
    packed: PackedScenarios,
    state: State,
    ahead: State,
    mask: Int8s,
    plans: PlanArrays,
    prospects: Prospects,
) -> None:
    most, views = out.shape[0] - 2, prospects.best.shape[1]
    end = 3 if views == 1 else 3 + LATER
    for k in range(most + 2):
        u, s, first, last = 0, 0, 0, -1
        if k < most:
            if k >= prospects.value.shape[1] or prospects.value[i, k] <= 0.0:
                out[k] = np.inf
                continue
            u, first, s, last = (
                prospects.chosen[i, k, 0],
                prospects.chosen[i, k, 1],
                prospects.chosen[i, k, 2],
                prospects.chosen[i, k, end],
            )
        copy_row(state, i, ahead, 2 * i)
        if k == most:
            advance(packed, i, ahead, 2 * i, packed.slot_edges_s[i, state.slot[i] + 1])
        out[k] = complete(packed, i, plans, ahead, 2 * i, mask[i], u, s, first, last)
