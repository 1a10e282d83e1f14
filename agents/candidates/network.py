"""The policy network of agents that see candidates: a score per candidate, one for "stop", and a value.

Every candidate passes through the same small network, together with a summary of the situation and of all candidates,
so no weight depends on how many users, layers and servers there are. The network learns a correction of a greedy order:
untrained, it follows the reference plan except where another candidate saves more, and uploads nothing that saves
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.candidates.description import LOG_RANGE
from agents.candidates.features import CANDIDATE_FEATURES, CANDIDATE_WIDTH, SITUATION_FEATURES, SITUATION_WIDTH
from agents.candidates.layout import CandidateLayout
from agents.policy_networks.facts import ILLEGAL
from dnnmig_env.arrays import Float32s

ACTION, INTERVAL, SMALLEST_USEFUL = (
    CANDIDATE_FEATURES.index(name) for name in ("action", "interval", "smallest_useful")
)
LATER_INTERVAL, LATER_SMALLEST_USEFUL = (
    CANDIDATE_FEATURES.index(name) for name in ("later_interval", "later_smallest_useful")
)
HERE, ELSEWHERE = (CANDIDATE_FEATURES.index(name) for name in ("stored_here", "stored_elsewhere"))
CHANGING, DONE, NEWCOMERS, LEFT = (
    SITUATION_FEATURES.index(name) for name in ("changing", "done", "newcomers", "horizon_left")
)
RANK, GAIN = CANDIDATE_FEATURES.index("rank"), CANDIDATE_FEATURES.index("gain")
LAYER_ARRIVAL, INTERVAL_ARRIVAL, SAVING = (
    CANDIDATE_FEATURES.index(name) for name in ("layer_arrival", "interval_arrival", "saving_share")
)

INITIAL_GAP = 0.3
"""What is taken off the efficiency of a candidate before training, in units of LOG_RANGE, unless the smallest useful
sub-interval of the best interval of its user and server begins there."""

INITIAL_RANK = 5.0
"""Score of the reference plan's next upload before training, which puts it before others."""

INITIAL_GAIN = 400.0
"""Score of a gain of 1 before training. The feature "gain" is a square root, so an interval that saves 0.02 % of all
cost comes before the reference plan's next upload."""

INITIAL_STICKINESS = 0.5
"""Score before training that is added where the server holds layers of the user, and taken off where other servers hold
some (both together cancel): DNNs that are scattered over servers are slow. In `mobile` it lowered the mean delay of the
untrained network by 0.7 %; smaller and greater values lowered it by less."""

INITIAL_STOP = -7.0
"""Score of "stop" before training, relative to that of the best candidate: it is chosen in one decision in a
thousand."""

INITIAL_DONE = 10.0
"""Added to the score of "stop" before training where the reference plan is done and no candidate has a gain: an idle
channel is ready for whatever comes."""

INITIAL_RISK = 42.0
"""Score that an upload loses before training, per unit of risk, for blocking the channel for users who have not
arrived. The risk is what this costs those users on average, divided by what the upload saves; times are shares of the
horizon, and users may arrive at any time with the same chance. In `mobile` it lowered the mean delay of the untrained
network by 1.2 %; half and twice as much lowered it by less."""

MOST_RISK = 0.5
"""Greater risks count as this one, which is enough to leave the channel idle."""

LEAST_SAVING = 1 / 600
"""What an upload is assumed to save at least, as a share of all delay over the horizon."""


class Prior(NamedTuple):
    """Weights of the greedy order by which a network scores before training; they are learned like all others."""

    efficiency: Tensor
    rank: Tensor
    prediction: Tensor
    gain: Tensor
    stickiness: Tensor
    done: Tensor
    risk: Tensor


class CandidateNetwork(nn.Module):
    """Scores candidates; `agents.candidates.features` says what it sees of each.

    Args:
        layout: Sizes of the observations.
        width: Length of the embedding of a candidate and of the summary.
        blind: Names of features that the network does not see, see `blinded`.

    Raises:
        ValueError: If `blind` has a name that is no feature, or "action", without which nothing can be decided.
    """

    sight: Tensor

    def __init__(self, layout: CandidateLayout, width: int = 48, blind: Sequence[str] = ()) -> None:
        super().__init__()
        self.layout, self.width, self.blind = layout, width, tuple(blind)
        if "action" in blind:
            raise ValueError(
                'blind has "action", but without it nobody knows which action a candidate is; leave it out.'
            )
        sight = torch.from_numpy(blinded(np.ones((1, layout.size), np.float32), blind))
        self.register_buffer("sight", sight, persistent=False)
        self.candidate = nn.Linear(CANDIDATE_WIDTH - 1, width)
        self.situation = nn.Linear(SITUATION_WIDTH, width, bias=False)
        self.summary = nn.Linear(2 * width + SITUATION_WIDTH, width)
        self.inner = nn.Linear(width, width)
        self.from_summary = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1)
        self.stop = nn.Linear(width, 1)
        self.value = nn.Linear(width, 1)
        # In the order of `Prior`.
        initial = [1.0, INITIAL_RANK, 1.0, INITIAL_GAIN, INITIAL_STICKINESS, INITIAL_DONE, INITIAL_RISK]
        self.prior = nn.Parameter(torch.tensor(initial))
        for last in (self.score, self.stop, self.value):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        with torch.no_grad():
            self.stop.bias.fill_(INITIAL_STOP)

    def forward(self, observation: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and values.

        Args:
            observation: Flat observations, shape (B, D).
            mask: The legal actions, which are not 0, shape (B, A).

        Returns:
            Scores of the actions, shape (B, A), `ILLEGAL` for all that are no candidates, and values, shape (B, 1).
        """
        if self.blind:
            observation = observation * self.sight
        prior = Prior(*self.prior)
        situation = observation[:, :SITUATION_WIDTH]
        features = observation[:, SITUATION_WIDTH:].unflatten(1, (-1, CANDIDATE_WIDTH))
        number = numbers(observation, mask.shape[1])
        exists = (number > 0).to(features.dtype).unsqueeze(-1)
        embedded = torch.relu(self.candidate(features[..., 1:]) + self.situation(situation).unsqueeze(1))
        mean = (embedded * exists).sum(1) / exists.sum(1).clamp(min=1.0)
        most = (embedded * exists).amax(1)
        summary = torch.relu(self.summary(torch.cat([mean, most, situation], dim=-1)))
        inner = torch.relu(self.inner(embedded) + self.from_summary(summary).unsqueeze(1))
        scores = self.score(inner).squeeze(-1) + _greedy(prior, features, situation[:, CHANGING, None])
        scores = torch.where(number > 0, scores, ILLEGAL)
        best = scores.amax(1, keepdim=True)
        best = torch.where(best > 0.1 * ILLEGAL, best, 0.0)  # without candidates "stop" must not become illegal
        everything = torch.full(mask.shape, ILLEGAL, dtype=scores.dtype, device=scores.device)
        scores = scores - _risk(prior, features, situation)
        gains = (features[..., GAIN] > 0).any(dim=1, keepdim=True)
        done = prior.done * situation[:, DONE, None] * (~gains).to(best.dtype)
        stop = torch.where(mask[:, -1:] > 0, self.stop(summary) + best + done, 0.5 * ILLEGAL)
        # Padding scatters into "stop" and is overwritten below.
        everything = everything.scatter(1, torch.where(number > 0, number - 1, mask.shape[1] - 1), scores)
        return torch.cat([everything[:, :-1], stop], dim=1), self.value(summary)


def make_candidate_network(sizes: tuple[int, int, int], width: int, blind: Sequence[str]) -> CandidateNetwork:
    """Return a new network for environments of these sizes: most users, layers per network and servers, (U, L, S)."""
    return CandidateNetwork(CandidateLayout(*sizes), width, blind)


def numbers(observation: Tensor, actions: int) -> Tensor:
    """Return the action of each candidate plus 1, shape (B, K); 0 where there is no candidate."""
    features = observation[:, SITUATION_WIDTH:].unflatten(1, (-1, CANDIDATE_WIDTH))
    return torch.round(features[..., ACTION] * actions).long()


def blinded(observation: Float32s, names: Sequence[str]) -> Float32s:
    """Return a copy of observations, shape (B, D), in which some features are 0.

    Args:
        observation: Flat observations.
        names: Names of features of candidates (`CANDIDATE_FEATURES`) and of the situation (`SITUATION_FEATURES`); a
            name that occurs in both is hidden in both.

    Raises:
        ValueError: If a name is no feature.
    """
    seen = observation.copy()
    for name in names:
        if name not in CANDIDATE_FEATURES and name not in SITUATION_FEATURES:
            known = ", ".join(dict.fromkeys(SITUATION_FEATURES + CANDIDATE_FEATURES))
            raise ValueError(f"names has {name!r}, which is no feature; choose among {known}.")
        if name in SITUATION_FEATURES:
            seen[:, SITUATION_FEATURES.index(name)] = 0.0
        if name in CANDIDATE_FEATURES:
            seen[:, SITUATION_WIDTH + CANDIDATE_FEATURES.index(name) :: CANDIDATE_WIDTH] = 0.0
    return seen


def _greedy(prior: Prior, features: Tensor, changing: Tensor) -> Tensor:
    """Return the scores of the greedy order, shape (B, K); `changing` is 1 where rates change, shape (B, 1)."""
    present = torch.where(
        features[..., SMALLEST_USEFUL] > 0, features[..., SMALLEST_USEFUL], features[..., INTERVAL] - INITIAL_GAP
    )
    later = torch.where(
        features[..., LATER_SMALLEST_USEFUL] > 0,
        features[..., LATER_SMALLEST_USEFUL],
        features[..., LATER_INTERVAL] - INITIAL_GAP,
    )
    greedy = LOG_RANGE * prior.efficiency * (present + prior.prediction * changing * (later - present) - 1.0)
    stored = (features[..., HERE] > 0).to(greedy.dtype) - (features[..., ELSEWHERE] > 0).to(greedy.dtype)
    greedy = greedy + prior.stickiness * stored
    return torch.where(features[..., RANK] > 0.99, prior.rank, greedy) + prior.gain * features[..., GAIN]


def _risk(prior: Prior, features: Tensor, situation: Tensor) -> Tensor:
    """Return what uploads lose for blocking the channel, shape (B, K): an upload cannot be pre-empted."""
    left, newcomers = situation[:, LEFT, None], situation[:, NEWCOMERS, None].clamp(max=0.99)
    own, interval = left * features[..., LAYER_ARRIVAL], left * features[..., INTERVAL_ARRIVAL]
    interval = torch.maximum(own, interval)
    saved = features[..., SAVING] * (left - interval) + LEAST_SAVING  # by the whole interval
    # One layer blocks the channel in proportion to own ** 2, and the interval has about interval / own of them.
    blocked = own * interval * newcomers / (1.0 - newcomers)
    return prior.risk * (blocked / saved).clamp(max=MOST_RISK)
