"""What an agent may see instead of all facts: a short list of promising uploads, each with its prospects.

A candidate is an upload (user, layer, server). It either begins an efficient interval of layers, under the present
rates or under those that are expected (see `agents.planners.joint_efficiency.intervals`), or is one of the next uploads
of the reference plan for what is expected to come (`agents.candidates.expected_plan`). The length of the list does not
depend on the numbers of users, layers and servers, and its features are ratios and logarithms. So a policy network that
was trained on some sizes acts on others, and is small enough to be trained on a CPU. The whole list is a prediction
from the present state only.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.candidates.description import MOST_GAINS, describe, describe_situation, gain, starts_new_interval
from agents.candidates.expected_plan import STARTED
from agents.candidates.features import CANDIDATE_FEATURES, CANDIDATE_WIDTH, SITUATION_WIDTH
from agents.candidates.reference_plan import Reference
from agents.candidates.shortlist import Prospects, find, note_start, note_upload
from agents.planners.joint_efficiency.intervals import Efficiencies
from dnnmig_env.arrays import Bools, Float32s, Int8s, Ints
from dnnmig_env.compiling.jit import fill, jit_nogil
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

MOST_CANDIDATES = 24
"""Most candidates on the list."""

_GAIN = CANDIDATE_FEATURES.index("gain")


@dataclass(frozen=True)
class CandidateLayout:
    """Where the features stand in an observation of candidates.

    Attributes:
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
        candidates: Most candidates, K.
    """

    users: int
    layers: int
    servers: int
    candidates: int = MOST_CANDIDATES

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each part, in the order in which the parts stand in the vector."""
        return {"situation": (SITUATION_WIDTH,), "candidates": (self.candidates, CANDIDATE_WIDTH)}

    @property
    def size(self) -> int:
        """Length of the vector, D."""
        return SITUATION_WIDTH + self.candidates * CANDIDATE_WIDTH


@jit_nogil
def observe_candidates(
    begin: int,
    end: int,
    rows: Ints,
    actions: Ints,
    planned: Bools,
    out: Float32s,
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    course: PackedScenarios,
    state: State,
    ahead: State,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    """Find the candidates of the rows `rows[begin:end]` and write their observations.

    An observation is zero where the horizon is reached.

    Args:
        begin: The first of `rows` to look at.
        end: The one after the last.
        rows: The rows, shape (N,).
        actions: The latest action of each of them, (N,); `STARTED` for a new episode.
        planned: Whether each of them has a reference plan, (N,); without one no candidate has a gain.
        out: Receives the observations, shape (B, D).
        packed: The scenarios.
        soon: The links that are expected soon.
        later: The links that are expected until the horizon.
        course: How the scenarios are expected to go on.
        state: Where the episodes stand.
        ahead: A scratch state with two rows for each episode, in which candidates are tried out.
        mask: The legal actions, shape (B, A).
        reference: The reference plans.
        efficiencies: Efficiencies of intervals, kept from decision to decision.
        prospects: The candidates.
    """
    for n in range(begin, end):
        i, observation = rows[n], out[rows[n]]
        fill(observation, 0.0)
        if actions[n] == STARTED:
            note_start(i, prospects)
        elif 0 <= actions[n] < mask.shape[1] - 1:
            note_upload(packed, state, i, actions[n], efficiencies, prospects)
        if state.time_s[i] >= horizon_s(packed, i):
            continue
        find(packed, soon, later, state, i, mask[i], reference, efficiencies, prospects)
        describe_situation(packed, state, i, reference, prospects, observation)
        compared = planned[n] and starts_new_interval(state, i, reference, prospects)
        for k in range(prospects.value.shape[1]):
            if prospects.value[i, k] <= 0.0:
                break
            at, size = SITUATION_WIDTH + k * CANDIDATE_WIDTH, mask.shape[1]
            describe(packed, soon, later, course, state, i, efficiencies, prospects, k, size, observation, at)
            if compared and k < MOST_GAINS:
                observation[at + _GAIN] = gain(course, state, ahead, i, mask[i], reference, prospects, k)
