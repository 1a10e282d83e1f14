"""What an agent may see instead of all facts: a short list of promising uploads, each with its prospects.

A candidate is an upload (user, layer, server) that begins an efficient run of layers (see `agents.planners.joint_efficiency.intervals`), by
the present rates or by those that are expected, or is next in a reference plan for what is expected to come
(`agents.candidates.expected_plan`). The list does not grow with users, layers and servers, and its features are ratios and
logarithms: so a network that has learned on some sizes acts on others, and is small enough to train on a CPU. All of it
rests on the present alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.candidates.expected_plan import STARTED
from agents.candidates.features import (
    CANDIDATE_FEATURES,
    CANDIDATE_WIDTH,
    MOST_GAINS,
    SITUATION_WIDTH,
    describe,
    describe_situation,
    forks,
    gain,
)
from agents.candidates.reference_plan import Reference
from agents.candidates.shortlist import Prospects, find, note_start, note_upload
from agents.planners.joint_efficiency.intervals import Efficiencies
from dnnmig_env.compiling.jit import fill, shared, uncounted
from dnnmig_env.envs.facts import Row
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Ints, Problem, Small
from dnnmig_env.simulation.state import State

MOST_CANDIDATES = 24

_GAIN = CANDIDATE_FEATURES.index("gain")

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class CandidateLayout:
    """Where things stand in an observation of candidates.

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


@shared
def find_candidates(
    begin: int,
    end: int,
    rows: Ints,
    actions: Ints,
    p: Problem,
    soon: Problem,
    later: Problem,
    s: State,
    mask: Small,
    r: Reference,
    e: Efficiencies,
    c: Prospects,
) -> None:
    """Find the candidates of rows `rows[begin:end]` after their latest actions, (N,); `STARTED` for new episodes."""
    for k in range(begin, end):
        _find(rows[k], actions[k], p, soon, later, s, mask, r, e, c)


@shared
def describe_candidates(
    begin: int,
    end: int,
    rows: Ints,
    out: Rows,
    p: Problem,
    soon: Problem,
    later: Problem,
    course: Problem,
    s: State,
    mask: Small,
    r: Reference,
    e: Efficiencies,
    c: Prospects,
) -> None:
    """Write these rows' observations, shape (B, D), all but "gain"; zeros where the horizon is reached."""
    for k in range(begin, end):
        _describe(rows[k], out[rows[k]], p, soon, later, course, s, mask, r, e, c)


@shared
def compare_candidates(
    begin: int,
    end: int,
    rows: Ints,
    out: Rows,
    p: Problem,
    s: State,
    t: State,
    mask: Small,
    r: Reference,
    c: Prospects,
) -> None:
    """Write "gain" into these rows' observations; `t` is scratch, two rows for each episode."""
    for k in range(begin, end):
        _compare(rows[k], out[rows[k]], p, s, t, mask, r, c)


@uncounted
def _find(
    i: int,
    action: int,
    p: Problem,
    soon: Problem,
    later: Problem,
    s: State,
    mask: Small,
    r: Reference,
    e: Efficiencies,
    c: Prospects,
) -> None:
    if action == STARTED:
        note_start(i, c)
    elif 0 <= action < mask.shape[1] - 1:
        note_upload(p, s, i, action, e, c)
    if s.time_s[i] < horizon_s(p, i):
        find(p, soon, later, s, i, mask[i], r, e, c)


@uncounted
def _describe(
    i: int,
    out: Row,
    p: Problem,
    soon: Problem,
    later: Problem,
    course: Problem,
    s: State,
    mask: Small,
    r: Reference,
    e: Efficiencies,
    c: Prospects,
) -> None:
    fill(out, 0.0)
    if s.time_s[i] < horizon_s(p, i):
        describe_situation(p, s, i, r, c, out)
        for k in range(c.value.shape[1]):
            if c.value[i, k] <= 0.0:
                break
            describe(p, soon, later, course, s, i, e, c, k, mask.shape[1], out, SITUATION_WIDTH + k * CANDIDATE_WIDTH)


@uncounted
def _compare(i: int, out: Row, p: Problem, s: State, t: State, mask: Small, r: Reference, c: Prospects) -> None:
    if s.time_s[i] < horizon_s(p, i) and forks(s, i, r, c):
        for k in range(min(MOST_GAINS, c.value.shape[1])):
            if c.value[i, k] > 0.0:
                out[SITUATION_WIDTH + k * CANDIDATE_WIDTH + _GAIN] = gain(p, s, t, i, mask[i], r, c, k)
