"""How weights that move serve users who move: cold starts, bytes by radio and by wire, bytes that nobody used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.timelines.upload_interval import Transfer, UploadInterval


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
    """

    handovers: int
    cold_starts: int
    radio_bytes: float
    wire_bytes: float
    vain_bytes: float
    on_device_share: float

    def figures(self) -> dict[str, float]:
        """Return the figures by name; the share of cold starts is NaN if there was no handover."""
        return {
            "handovers": float(self.handovers),
            "cold_start_share": self.cold_starts / self.handovers if self.handovers else math.nan,
            "radio_bytes": self.radio_bytes,
            "wire_bytes": self.wire_bytes,
            "vain_bytes": self.vain_bytes,
            "on_device_share": self.on_device_share,
        }


def moves_of(
    scenario: Scenario, uploads: Sequence[UploadInterval], event_time_s: Floats, assignment: Int8s, present: Bools
) -> Moves:
    """Return what moved in a timeline.

    Args:
        scenario: The scenario.
        uploads: When each partition of the plan was sent.
        event_time_s: Times of the events, shape (E,).
        assignment: Node per user and layer from each event on, shape (E, U, L).
        present: Which users are present from each event on, shape (E, U).
    """
    lasting_s = np.diff(np.append(event_time_s, scenario.horizon_s))
    on_device = ~assignment.any(axis=2) & present
    here_s = float(lasting_s @ present.sum(axis=1))
    sent = [(upload, transfer) for upload in uploads for transfer in upload.transfers if transfer.source >= 0]
    handovers, cold_starts = _handovers(scenario, event_time_s, on_device)
    return Moves(
        handovers=handovers,
        cold_starts=cold_starts,
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
    )


def _handovers(scenario: Scenario, event_time_s: Floats, on_device: Bools) -> tuple[int, int]:
    """Return how many handovers there were, and how many of them were cold starts."""
    home = np.asarray(scenario.links.home)
    rates = np.array([np.asarray(user.query_rate_hz) for user in scenario.users]).T
    moved = (home[1:] != home[:-1]) & (rates[1:] > 0) & (rates[:-1] > 0)
    starts_s = np.asarray(scenario.slot_starts_s)[1:]
    # Of several events at the time at which a slot starts, the last one says what holds from then on.
    event = np.searchsorted(event_time_s, starts_s, side="right") - 1
    return int(moved.sum()), int((moved & on_device[event]).sum())


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
