"""What all processes of a run share: the channels' schedules, and how many partitions have arrived.

It is a small file without a name, mapped into the memory of every process and locked by the system, which frees the
lock of a process that dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from dnnmig_env.arrays import Floats
from evaluate.testbed.processes.channel import FIELDS, Channel

UPLINK, DOWNLINK = 0, 1
"""The radio channel of all users, towards servers and back; the wire of server s (1..S) is channel 1 + s."""


class Ledger:
    """The shared state of one run.

    Args:
        file: The file's descriptor, as `create` returns it.
        servers: Number of servers, S.
        partitions: Number of partitions of the plan.
    """

    def __init__(self, file: int, servers: int, partitions: int) -> None:
        self._file, count = file, 2 + servers
        size = 8 * (1 + partitions + count * FIELDS)
        if os.fstat(file).st_size < size:
            os.ftruncate(file, size)
        self._memory = mmap.mmap(file, size)
        numbers: Floats = np.frombuffer(self._memory, np.float64)
        self._sent, self._arrived = numbers[:1], numbers[1 : 1 + partitions]
        states = numbers[1 + partitions :].reshape(count, FIELDS)
        self._channels = [Channel(states[index]) for index in range(count)]
        self._threads = threading.Lock()

    @contextmanager
    def channel(self, index: int) -> Iterator[Channel]:
        """Hold the lock and give a channel, of which `index` says which one it is."""
        with self._locked():
            yield self._channels[index]

    @property
    def sent(self) -> int:
        """Number of partitions whose last byte has been sent: the next one in the plan's order may begin."""
        return int(self._sent[0])

    @property
    def arrived(self) -> int:
        """Number of partitions that have been acknowledged, in the plan's order up to the first that was not."""
        missing = np.flatnonzero(self._arrived == 0)
        return int(missing[0]) if len(missing) else len(self._arrived)

    def count_sent(self) -> None:
        """Count a partition whose last byte has been sent."""
        with self._locked():
            self._sent[0] += 1

    def mark_arrived(self, partition: int) -> None:
        """Note that a partition has been acknowledged."""
        self._arrived[partition] = 1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:  # the system's lock tells processes apart, not threads
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def create() -> int:
    """Return the descriptor of a new, empty file that disappears with the last process that has it open."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
