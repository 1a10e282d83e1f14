"""What a decision would have been worth: an episode is known to its end, and one decision in it is exchanged.

At a moment of an episode that has been played, each candidate is taken next instead, its whole run of layers with it,
and then the uploads that followed go on in their order. All of it happens under the rates that really came. So the
candidates of one moment are compared with each other under the same future, which cancels most of what is random in
returns. That is hindsight: for learning only, as the future is not known when one decides.
"""

from __future__ import annotations

import numpy as np

from agents.candidates.reference_plan import Reference, complete
from agents.candidates.shortlist import LATER, Prospects
from dnnmig_env.compiling.jit import shared, uncounted
from dnnmig_env.simulation.dynamics import advance
from dnnmig_env.simulation.packed import Floats, Ints, Problem, Small
from dnnmig_env.simulation.state import State
from dnnmig_env.simulation.state_rows import copy_row


@shared
def hindsight_costs(
    begin: int,
    end: int,
    rows: Ints,
    out: Floats,
    p: Problem,
    s: State,
    t: State,
    mask: Small,
    plan: Reference,
    c: Prospects,
) -> None:
    """Write the costs (J times the number of queries) of taking each candidate now, and going on with a plan.

    Args:
        begin: The first of `rows` to look at.
        end: The one after the last.
        rows: Rows of the episodes, shape (N,).
        out: Receives a row per episode, shape (N, K + 2): of the first K candidates (inf where there are fewer), of
            waiting for the next slot, and of going on with the plan at once.
        p: The scenarios.
        s: Where they stand.
        t: Scratch, two rows for each episode.
        mask: The legal actions, shape (B, A).
        plan: What to go on with.
        c: The candidates.
    """
    for k in range(begin, end):
        _costs(rows[k], out[k], p, s, t, mask, plan, c)


@uncounted
def _costs(i: int, out: Floats, p: Problem, s: State, t: State, mask: Small, plan: Reference, c: Prospects) -> None:
    most, views = out.shape[0] - 2, c.best.shape[1]
    end = 3 if views == 1 else 3 + LATER
    for k in range(most + 2):
        u, q, first, last = 0, 0, 0, -1
        if k < most:
            if k >= c.value.shape[1] or c.value[i, k] <= 0.0:
                out[k] = np.inf
                continue
            u, first, q, last = c.chosen[i, k, 0], c.chosen[i, k, 1], c.chosen[i, k, 2], c.chosen[i, k, end]
        copy_row(s, i, t, 2 * i)
        if k == most:
            advance(p, i, t, 2 * i, p.slot_edges_s[i, s.slot[i] + 1])
        out[k] = complete(p, i, plan, t, 2 * i, mask[i], u, q, first, last)
