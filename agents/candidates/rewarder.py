"""Pays for a decision what it saves if the rest of a reference plan follows: `reward="reference"` of environments."""

from __future__ import annotations

import numpy as np

from agents.candidates.observer import CandidateObserver, check_joint
from agents.candidates.planning import new_plan_scratch, plan_references
from agents.candidates.reference_plan import follow_references, new_reference
from dnnmig_env.arrays import Bools, Floats, Ints
from dnnmig_env.compiling.lent import lent
from dnnmig_env.compiling.same_types import SameTypes
from dnnmig_env.compiling.threads import share_rows
from dnnmig_env.envs.observer import Episodes


class ReferenceRewarder:
    """Measures decisions against a reference plan; the return of an episode is J of that plan minus J of the episode.

    If candidates are observed, and rates do not change, this is the plan to which the candidates refer. Where rates
    change, that plan is made for the rates that are expected; the rewarder then has a plan of its own, for the rates
    that really come.

    Args:
        episodes: The batch of episodes, with joint decisions.

    Raises:
        ValueError: If decisions are not joint.
    """

    def __init__(self, episodes: Episodes) -> None:
        check_joint(episodes, "references")
        self._episodes, self._observer = episodes, None
        if isinstance(episodes.observer, CandidateObserver) and episodes.limits.slots == 1:
            self._observer = episodes.observer
            return
        self.reference = new_reference(episodes.packed, episodes.rows)
        self._compiled = SameTypes()
        self._scratch, self._saved_s = new_plan_scratch(episodes.packed, episodes.rows), np.zeros(episodes.rows)
        scratch = self._scratch
        played = episodes.packed, episodes.state, episodes.decisions, self.reference, scratch.state, scratch.legal
        self._played = tuple(map(lent, played))

    def start(self, rows: Ints) -> None:
        """Make the plans of some rows, shape (N,), whose episodes have just begun."""
        if self._observer is None:
            scenarios = self._episodes.packed, self._episodes.state
            share_rows(plan_references, len(rows), *scenarios, self.reference, self._scratch, rows)

    def step(self, actions: Ints, active: Bools) -> Floats:
        """Return what the latest actions have saved against the plans, in seconds of J, shape (B,)."""
        if self._observer is not None:
            return self._observer.saved_s
        arguments = *self._played, actions, active, self._saved_s
        self._compiled.share_rows(follow_references, self._episodes.rows, *arguments)
        return self._saved_s
