"""Shares one channel in time: a token bucket on an absolute schedule, in which weights give way to query data.

A channel is a radio uplink, a radio downlink or a server's outgoing wire. Whoever sends reserves the channel for one
chunk after another, so that senders with data waiting get equal shares, and waits until its chunk is over before it
asks for the next. Times are absolute: a sender that wakes up late goes on where its chunk before ended, so that what it
overslept is not lost, but it catches up `BURST_S` at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Floats

BURST_S = 0.02
"""Most seconds of the channel that a sender that woke up late may still use. `sleep` oversleeps by up to 11 ms."""

CHUNK_S = 0.002
"""Seconds of the channel that one chunk takes; for so long query data may have to wait for weights."""

WEIGHTS_SHARE = 0.02
"""Share of the channel that weights have at least, while query data waits without end."""

FIELDS = 3
"""Numbers that make up the state of a channel."""

_FREE_S, _DATA_WAITING, _WEIGHTS_END_S = range(FIELDS)


@dataclass(frozen=True)
class Channel:
    """One channel; whoever calls its methods holds the lock of its state.

    Attributes:
        state: When it is free again, how many senders have query data waiting, and when the latest chunk of weights
            ended; shape (3,), in memory that all processes share.
    """

    state: Floats

    def begin_data(self) -> None:
        """Count one more sender whose query data waits or is being sent."""
        self.state[_DATA_WAITING] += 1

    def end_data(self) -> None:
        """Count one sender less."""
        self.state[_DATA_WAITING] -= 1

    def reserve(self, now_s: float, seconds: float, begin_s: float) -> float:
        """Reserve the channel for a chunk of query data and return when it ends.

        Args:
            now_s: The present time.
            seconds: How long the chunk takes.
            begin_s: When the message began; no chunk of it is sent earlier.
        """
        start_s = max(self.state[_FREE_S], begin_s, now_s - BURST_S)
        self.state[_FREE_S] = start_s + seconds
        return float(self.state[_FREE_S])

    def reserve_for_weights(self, now_s: float, seconds: float, begin_s: float) -> float | None:
        """Reserve the channel for a chunk of weights and return when it ends; None if weights have to wait.

        They wait while query data waits, unless they have had less than `WEIGHTS_SHARE` since their chunk before.
        """
        since_s = now_s - max(self.state[_WEIGHTS_END_S], begin_s)
        if self.state[_DATA_WAITING] > 0 and (since_s + seconds) * WEIGHTS_SHARE < seconds:
            return None
        end_s = self.reserve(now_s, seconds, begin_s)
        self.state[_WEIGHTS_END_S] = end_s
        return end_s


def new_state(channels: int) -> Floats:
    """Return the state of channels that are free, shape (channels, 3)."""
    return np.zeros((channels, FIELDS))
