"""How weights that move serve users who move: cold starts, bytes by radio and by wire, bytes that nobody used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s, Ints
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.timelines.upload_interval import Transfer, UploadInterval

AFTER_HANDOVER_S = 10.0
"""For how many seconds after a handover a user counts as having just changed its server."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What moved, and what it was good for; made by `moves_of`.

    Attributes:
        handovers: How often a present user came from one cell to another.
        cold_starts: After how many of them the user's queries ran on its device alone.
        radio_bytes: Bytes of weights that devices sent.
        wire_bytes: Bytes of weights that servers sent.
        vain_bytes: Bytes of either that no query has used by the horizon.
        on_device_share: Share of the time for which users were present that their queries ran on their device alone.
        handover_s: Seconds for which users were present, of the `AFTER_HANDOVER_S` after each handover.
        handover_queries: Queries that they started in these seconds, one at a time: a mean number.
    """

    handovers: int
    cold_starts: int
    radio_bytes: float
    wire_bytes: float
    vain_bytes: float
    on_device_share: float
    handover_s: float
    handover_queries: float

    def figures(self) -> dict[str, float]:
        """Return the figures by name; those of handovers are NaN if there was none."""
        return {
            "handovers": float(self.handovers),
            "cold_start_share": self.cold_starts / self.handovers if self.handovers else math.nan,
            "radio_bytes": self.radio_bytes,
            "wire_bytes": self.wire_bytes,
            "vain_bytes": self.vain_bytes,
            "on_device_share": self.on_device_share,
            "handover_queries_per_s": self.handover_queries / self.handover_s if self.handovers else math.nan,
        }


def moves_of(
    scenario: Scenario,
    uploads: Sequence[UploadInterval],
    event_time_s: Floats,
    assignment: Int8s,
    present: Bools,
    started: Floats,
) -> Moves:
    """Return what moved in a timeline.

    Args:
        scenario: The scenario.
        uploads: When each partition of the plan was sent.
        event_time_s: Times of the events, shape (E,).
        assignment: Node per user and layer from each event on, shape (E, U, L).
        present: Which users are present from each event on, shape (E, U).
        started: Mean number of queries that each user starts between each event and the next, shape (E, U).
    """
    lasting_s = np.diff(np.append(event_time_s, scenario.horizon_s))
    on_device = ~assignment.any(axis=2) & present
    here_s = float(lasting_s @ present.sum(axis=1))
    sent = [(upload, transfer) for upload in uploads for transfer in upload.transfers if transfer.source >= 0]
    begin_s, user = _handovers(scenario)
    # Of several events at the time at which a slot starts, the last one says what holds from then on.
    event = np.searchsorted(event_time_s, begin_s, side="right") - 1
    within = (begin_s, _ends_s(begin_s, user), user, np.append(event_time_s, scenario.horizon_s))
    return Moves(
        handovers=len(user),
        cold_starts=int(on_device[event, user].sum()),
        radio_bytes=sum((transfer.sent_bytes for _, transfer in sent if transfer.source == 0), 0.0),
        wire_bytes=sum((transfer.sent_bytes for _, transfer in sent if transfer.source > 0), 0.0),
        vain_bytes=sum(
            (
                transfer.sent_bytes
                for upload, transfer in sent
                if not _is_used(upload, transfer, event_time_s, lasting_s, assignment, present)
            ),
            0.0,
        ),
        on_device_share=float(lasting_s @ on_device.sum(axis=1)) / here_s,
        handover_s=_sum_within(*within, lasting_s[:, None] * present),
        handover_queries=_sum_within(*within, started),
    )


def _handovers(scenario: Scenario) -> tuple[Floats, Ints]:
    """Return when each of H handovers took place and whose it was, both (H,), the earliest first."""
    home = np.asarray(scenario.links.home)
    rates = np.array([np.asarray(user.query_rate_hz) for user in scenario.users]).T
    slot, user = np.nonzero((home[1:] != home[:-1]) & (rates[1:] > 0) & (rates[:-1] > 0))
    return np.asarray(scenario.slot_starts_s)[slot + 1], user


def _ends_s(begin_s: Floats, user: Ints) -> Floats:
    """Return the end of the time after each handover: `AFTER_HANDOVER_S` later, or the user's next one, shape (H,)."""
    end_s = begin_s + AFTER_HANDOVER_S
    for each in np.unique(user):
        own = np.flatnonzero(user == each)
        end_s[own[:-1]] = np.minimum(end_s[own[:-1]], begin_s[own[1:]])
    return end_s


def _sum_within(begin_s: Floats, end_s: Floats, user: Ints, edges_s: Floats, amount: Floats) -> float:
    """Return how much of some amounts falls into H intervals of time.

    Args:
        begin_s: When each interval begins, shape (H,).
        end_s: When it ends, shape (H,).
        user: Whose it is, shape (H,).
        edges_s: Times of the events and the horizon, shape (E + 1,); before and after them, nothing is added.
        amount: Amount of each user between each event and the next, spread evenly over this time, shape (E, U).
    """
    so_far = np.concatenate([np.zeros((1, amount.shape[1])), np.cumsum(amount, axis=0)])
    total = 0.0
    for each in np.unique(user):
        ends = np.interp(np.stack([begin_s[user == each], end_s[user == each]]), edges_s, so_far[:, each])
        total += float((ends[1] - ends[0]).sum())
    return total


def _is_used(
    upload: UploadInterval,
    transfer: Transfer,
    event_time_s: Floats,
    lasting_s: Floats,
    assignment: Int8s,
    present: Bools,
) -> bool:
    """Return whether queries run a layer on the server to which it was sent, once its partition had arrived."""
    if not transfer.arrives:
        return False
    later = (event_time_s >= upload.end_s) & (lasting_s > 0) & present[:, upload.user]
    return bool((assignment[later, upload.user, transfer.layer] == upload.server).any())
