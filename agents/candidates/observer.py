"""The observer that shows candidates instead of plain facts to policies (see `dnnmig_env.envs.observer`)."""

from __future__ import annotations

import numpy as np

from agents.candidates.expected_plan import STARTED, UNCHANGED, look_ahead, search
from agents.candidates.hindsight_costs import hindsight_costs
from agents.candidates.layout import CandidateLayout, observe_candidates
from agents.candidates.planning import new_plan_scratch
from agents.candidates.reference_plan import new_reference
from agents.candidates.shortlist import new_prospects
from agents.planners.forecast import COURSE, expected_packed
from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.compiling.lent import lent
from dnnmig_env.compiling.same_types import SameTypes
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.envs.observer import Episodes, Layout
from dnnmig_env.simulation.plan_arrays import PlanArrays


class CandidateObserver:
    """Shows the most promising uploads of every row, each with its prospects; see `agents.candidates.layout`.

    Args:
        episodes: The batch of episodes, with joint decisions.

    Raises:
        ValueError: If decisions are not joint.

    Attributes:
        without_plan: Rows whose candidates refer to no reference plan, shape (B,), which takes a quarter of the time.
            What `REFERENCE_FEATURES` show there means nothing. Only for scenarios of one time slot; to be set between
            episodes.
        saved_s: What the latest action of each row has saved against its reference plan, in seconds of J, shape (B,).
    """

    kind = "candidates"

    def __init__(self, episodes: Episodes) -> None:
        check_joint(episodes, "candidates")
        packed, rows = episodes.packed, episodes.rows
        layout = CandidateLayout(episodes.limits.users, episodes.limits.layers, episodes.limits.servers)
        self.layout: Layout = layout
        self.observation = np.zeros((rows, layout.size), np.float32)
        self.without_plan = np.zeros(rows, np.bool_)
        self.reference, self.saved_s = new_reference(packed, rows), np.zeros(rows)
        self._episodes, self._scratch = episodes, new_plan_scratch(packed, rows)
        self._soon, self._later = expected_packed(packed), expected_packed(packed)
        self._course = expected_packed(packed, COURSE) if episodes.limits.slots > 1 else packed
        self._compiled = SameTypes()
        self._efficiencies, self.prospects = new_prospects(packed, rows, layout.candidates)
        state, course, scratch, mask = episodes.state, self._course, self._scratch, episodes.outputs.mask
        plans = course, self.prospects, self.reference, scratch, self.saved_s
        self._looked_at = tuple(map(lent, (packed, state, episodes.decisions, *plans)))
        expected = packed, self._soon, self._later, course
        found = mask, self.reference, self._efficiencies, self.prospects
        self._observed = tuple(map(lent, (self.observation, *expected, state, scratch.state, *found)))

    def start(self, rows: Ints) -> None:
        """Make the reference plans and find the candidates of some rows, shape (N,), whose episodes have just begun."""
        self.reference.plans.length[rows] = 0
        self._observe(rows, np.full(len(rows), STARTED))

    def step(self, rows: Ints, actions: Ints) -> None:
        """Bring plans and candidates of some rows, shape (N,), up to date after their actions, shape (N,)."""
        self._observe(rows, actions)

    def take_plans(self, plans: PlanArrays, rng_state: Ints, tries: int) -> None:
        """Replace the reference plans of all rows by given ones, each improved by a search.

        Args:
            plans: The new plans, one for each row.
            rng_state: State with which the random numbers of each row's search begin, none of them 0, shape (B,).
            tries: Number of changes that each search tries.
        """
        self.without_plan[:] = False
        count, state = self._episodes.rows, self._episodes.state
        share_rows(search, count, self._course, state, self.reference, self._scratch, plans, rng_state, tries)
        self._observe(np.arange(count), np.full(count, UNCHANGED))

    def hindsight_costs(self, rows: Ints, plans: PlanArrays, candidates: int) -> Floats:
        """Return the cost of uploading each candidate now and then going on with a plan, shape (N, candidates + 2).

        The last two columns are the costs of waiting for the next slot and of going on with the plan at once; see
        `agents.candidates.hindsight_costs`.

        Args:
            rows: Rows whose episodes have not ended, shape (N,).
            plans: The plan with which each row goes on.
            candidates: Number of candidates to look at.
        """
        costs = np.empty((len(rows), candidates + 2))
        scenarios = self._episodes.packed, self._episodes.state, self._scratch.state, self._episodes.outputs.mask
        share_rows(hindsight_costs, len(rows), rows, costs, *scenarios, plans, self.prospects)
        return costs

    def _observe(self, rows: Ints, actions: Ints) -> None:
        rows, actions = np.ascontiguousarray(rows, np.int64), np.ascontiguousarray(actions, np.int64)
        planned = ~self.without_plan[rows]
        with_plan = rows[planned]
        self._compiled.share_rows(look_ahead, len(with_plan), with_plan, actions[planned], *self._looked_at)
        self._compiled.share_rows(observe_candidates, len(rows), rows, actions, planned, *self._observed)


def check_joint(episodes: Episodes, what: str) -> None:
    """Raise a ValueError unless decisions are joint, in one channel; `what` says in its message what needs that."""
    if episodes.limits.lanes:
        raise ValueError(
            f"{what} are for users who share one channel and weights that stay where they are, but in these scenarios "
            'users have cells, or weights move between servers. Choose observation="plain" and another reward.'
        )
    if episodes.decision_mode != "joint":
        raise ValueError(
            f"{what} are uploads, but decisions is {episodes.decision_mode!r}. "
            'Choose decisions="joint", or observation="plain" and another reward.'
        )
