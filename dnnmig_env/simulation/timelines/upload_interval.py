"""When one partition of a plan was sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transfer:
    """One layer on its way to a server.

    Attributes:
        layer: The layer.
        source: Node that sends it: 0 = the user's device, by radio; 1..S = a server, by its wire; -1 = none ever does.
        sent_bytes: Bytes that were sent by the horizon.
        start_s: When it begins; infinite if never.
        stop_s: When it ends: its last byte arrives, it is broken off, or the horizon is there; infinite if it never
            begins.
        arrives: Whether its last byte arrives by the horizon.
    """

    layer: int
    source: int
    sent_bytes: float
    start_s: float
    stop_s: float
    arrives: bool


@dataclass(frozen=True, slots=True)
class UploadInterval:
    """The upload of one partition.

    Attributes:
        user: Index of the user.
        server: Server to which it goes, 1..S.
        layers: Layers in the order in which they are sent.
        sent_bytes: Bytes that were sent by the horizon.
        start_s: Start of the first layer's upload; infinite if none ever starts.
        end_s: Time at which the partition becomes usable, as all its layers are there; infinite if that is not by the
            horizon.
        transfers: The transfer of each layer.
    """

    user: int
    server: int
    layers: tuple[int, ...]
    sent_bytes: float
    start_s: float
    end_s: float
    transfers: tuple[Transfer, ...] = ()
