"""Sends messages at the rate of a link: query data as soon as the channel is free, weights when no data waits."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dnnmig_env.arrays import Floats
from evaluate.testbed.processes.channel import CHUNK_S
from evaluate.testbed.processes.ledger import Ledger
from evaluate.testbed.processes.wire import Header, Memory, chunk_prefix

POLL_S = 0.0005
"""How often weights that have to wait look whether they may go on."""

LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES = 256, 2**18


@dataclass(frozen=True, eq=False)
class Link:
    """A link from one node to another.

    Attributes:
        bytes_per_s: Its rate in each slot, shape (T,); 0 = no connection.
        latency_s: Its latency in each slot, shape (T,).
        starts_s: Start of each slot by the clock of the machine, shape (T,).
    """

    bytes_per_s: Floats
    latency_s: Floats
    starts_s: Floats

    def slot(self, now_s: float) -> int:
        """Return the present slot."""
        return max(0, int(np.searchsorted(self.starts_s, now_s, side="right")) - 1)

    def when_up(self, now_s: float) -> tuple[float, float]:
        """Wait until there is a connection; return rate and latency."""
        while True:
            slot = self.slot(now_s)
            if self.bytes_per_s[slot] > 0:
                return float(self.bytes_per_s[slot]), float(self.latency_s[slot])
            time.sleep(0.01)
            now_s = time.monotonic()


class Sender(threading.Thread):
    """Sends query data over one connection, one message after another.

    Args:
        connection: The socket.
        ledger: Where the channel's schedule is.
        channel: Which channel the messages use.
        link_of: Function that returns the link of a user's messages.
    """

    def __init__(self, connection: socket.socket, ledger: Ledger, channel: int, link_of: Callable[[int], Link]) -> None:
        super().__init__(daemon=True)
        self._connection, self._ledger, self._channel, self._link_of = connection, ledger, channel, link_of
        self._waiting: queue.SimpleQueue[tuple[Header, memoryview, float]] = queue.SimpleQueue()

    def send(self, header: Header, memory: memoryview) -> None:
        """Send a message as soon as those before it have been sent; its memory must not change."""
        with self._ledger.channel(self._channel) as channel:
            channel.begin_data()
        self._waiting.put((header, memory, time.monotonic()))

    def run(self) -> None:
        """Send what waits, until the connection ends."""
        while True:
            header, memory, begin_s = self._waiting.get()
            try:
                self._send(header, memory, begin_s)
            except OSError:
                return  # the receiver has stopped
            finally:
                with self._ledger.channel(self._channel) as channel:
                    channel.end_data()

    def _send(self, header: Header, memory: memoryview, begin_s: float) -> None:
        link, first = self._link_of(header.user), header.packed()
        rate, latency_s = link.when_up(time.monotonic())
        if not len(memory):
            self._connection.sendall(first + chunk_prefix(0, time.monotonic() + latency_s))
        end_s = 0.0
        waiting = Memory([memory])
        while waiting.left:
            wait_until(end_s)
            rate, latency_s = link.when_up(time.monotonic())
            chunk = waiting.take(chunk_bytes(rate))
            num_bytes = sum(map(len, chunk))
            with self._ledger.channel(self._channel) as channel:
                end_s = channel.reserve(time.monotonic(), num_bytes / rate, begin_s)
            self._connection.sendall(b"".join([first, chunk_prefix(num_bytes, end_s + latency_s), *chunk]))
            first = b""


def send_weights(
    connection: socket.socket, ledger: Ledger, channel_index: int, link: Link, header: Header, parts: list[memoryview]
) -> float:
    """Send the weights of a partition, which give way to query data; return when the first byte left.

    It returns as soon as the last byte has left, whenever it arrives.
    """
    link.when_up(time.monotonic())
    begin_s, end_s, first, first_s, waiting = time.monotonic(), 0.0, header.packed(), 0.0, Memory(parts)
    while waiting.left:
        wait_until(end_s)
        rate, latency_s = link.when_up(time.monotonic())
        chunk = waiting.take(chunk_bytes(rate))
        num_bytes = sum(map(len, chunk))
        while True:
            rate, latency_s = link.when_up(time.monotonic())
            with ledger.channel(channel_index) as channel:
                granted = channel.reserve_for_weights(time.monotonic(), num_bytes / rate, begin_s)
            if granted is not None:
                break
            time.sleep(POLL_S)
        end_s = granted
        first_s = first_s or end_s - num_bytes / rate
        connection.sendall(b"".join([first, chunk_prefix(num_bytes, end_s + latency_s), *chunk]))
        first = b""
    wait_until(end_s)
    return first_s


def chunk_bytes(bytes_per_s: float) -> int:
    """Return the bytes of a chunk that takes `CHUNK_S`, within bounds."""
    return int(min(MOST_CHUNK_BYTES, max(LEAST_CHUNK_BYTES, bytes_per_s * CHUNK_S)))


def wait_until(time_s: float) -> None:
    """Wait until a time by the clock of the machine."""
    left_s = time_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)
