"""When one partition of a plan was uploaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadInterval:
    """The upload of one partition over the channel.

    Attributes:
        user: Index of the user.
        server: Server to which it goes, 1..S.
        layers: Layers in the order in which they are sent.
        sent_bytes: Bytes that were sent by the horizon.
        start_s: Start of the first layer's upload; infinite if it never starts.
        end_s: Time at which the last byte has arrived and the partition becomes usable; infinite if that is not by the
            horizon.
    """

    user: int
    server: int
    layers: tuple[int, ...]
    sent_bytes: float
    start_s: float
    end_s: float
