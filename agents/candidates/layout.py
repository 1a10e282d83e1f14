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
from dnnmig_env.arrays import Float32s, Int8s, Ints
from dnnmig_env.compiling.jit import fill, jit_nogil, jit_without_refcounts
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
def find_candidates(
    begin: int,
    end: int,
    rows: Ints,
    actions: Ints,
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    state: State,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    """Find the candidates of the rows `rows[begin:end]` after their latest actions.

    `actions` holds the latest action of each of the N rows in `rows`, `STARTED` for a new episode.
    """
    for k in range(begin, end):
        _find(rows[k], actions[k], packed, soon, later, state, mask, reference, efficiencies, prospects)


@jit_nogil
def describe_candidates(
    begin: int,
    end: int,
    rows: Ints,
    out: Float32s,
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    course: PackedScenarios,
    state: State,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    """Write the observations of the rows `rows[begin:end]` to `out`, shape (B, D), all but the feature "gain".

    They are zero where the horizon is reached.
    """
    for k in range(begin, end):
        _describe(rows[k], out[rows[k]], packed, soon, later, course, state, mask, reference, efficiencies, prospects)


@jit_nogil
def compare_candidates(
    begin: int,
    end: int,
    rows: Ints,
    out: Float32s,
    packed: PackedScenarios,
    state: State,
    ahead: State,
    mask: Int8s,
    reference: Reference,
    prospects: Prospects,
) -> None:
    """Write the feature "gain" to the observations of the rows `rows[begin:end]`, shape (B, D).

    `ahead` is a scratch state with two rows for each episode, in which the candidates are tried out.
    """
    for k in range(begin, end):
        _compare(rows[k], out[rows[k]], packed, state, ahead, mask, reference, prospects)


@jit_without_refcounts
def _find(
    i: int,
    action: int,
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    state: State,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    if action == STARTED:
        note_start(i, prospects)
    elif 0 <= action < mask.shape[1] - 1:
        note_upload(packed, state, i, action, efficiencies, prospects)
    if state.time_s[i] < horizon_s(packed, i):
        find(packed, soon, later, state, i, mask[i], reference, efficiencies, prospects)


@jit_without_refcounts
def _describe(
    i: int,
    out: Float32s,
    packed: PackedScenarios,
    soon: PackedScenarios,
    later: PackedScenarios,
    course: PackedScenarios,
    state: State,
    mask: Int8s,
    reference: Reference,
    efficiencies: Efficiencies,
    prospects: Prospects,
) -> None:
    fill(out, 0.0)
    if state.time_s[i] < horizon_s(packed, i):
        describe_situation(packed, state, i, reference, prospects, out)
        for k in range(prospects.value.shape[1]):
            if prospects.value[i, k] <= 0.0:
                break
            describe(
                packed,
                soon,
                later,
                course,
                state,
                i,
                efficiencies,
                prospects,
                k,
                mask.shape[1],
                out,
                SITUATION_WIDTH + k * CANDIDATE_WIDTH,
            )


@jit_without_refcounts
def _compare(
    i: int,
    out: Float32s,
    packed: PackedScenarios,
    state: State,
    ahead: State,
    mask: Int8s,
    reference: Reference,
    prospects: Prospects,
) -> None:
    if state.time_s[i] < horizon_s(packed, i) and starts_new_interval(state, i, reference, prospects):
        for k in range(min(MOST_GAINS, prospects.value.shape[1])):
            if prospects.value[i, k] > 0.0:
                out[SITUATION_WIDTH + k * CANDIDATE_WIDTH + _GAIN] = gain(
                    packed, state, ahead, i, mask[i], reference, prospects, k
                )
