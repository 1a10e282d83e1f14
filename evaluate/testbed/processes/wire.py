"""How messages look on a socket: a header of fixed size, then the raw bytes in chunks that say when they are due.

A message carries the memory of a value, the weights of a partition, or nothing but its header (an acknowledgement). The
sender decides how fast chunks leave; the receiver waits until a chunk's last byte is due, latency included. All
processes of a machine read the same clock (`time.monotonic`).
"""

from __future__ import annotations

import socket
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"DNNM"
VERSION = 1

_FIELDS = struct.Struct("!4sBBHIIIQ")
_CHECKSUM = struct.Struct("!I")
_CHUNK = struct.Struct("!Id")

HEADER_BYTES = _FIELDS.size + _CHECKSUM.size
CHUNK_PREFIX_BYTES = _CHUNK.size


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    VALUE = 2
    WEIGHTS = 3
    ACKNOWLEDGEMENT = 4


@dataclass(frozen=True, slots=True)
class Header:
    """The fixed head of a message.

    Attributes:
        kind: What the message is.
        user: Index of the user whose message it is.
        query: Number of the query that a value belongs to; for `HELLO` the sender's node.
        event: Event of the predicted timeline whose assignment the query uses.
        item: Number of the value, or of the partition.
        size_bytes: Bytes that follow.
    """

    kind: Kind
    user: int
    query: int = 0
    event: int = 0
    item: int = 0
    size_bytes: int = 0

    def packed(self) -> bytes:
        """Return the header's bytes."""
        fields = _FIELDS.pack(MAGIC, VERSION, self.kind, self.user, self.query, self.event, self.item, self.size_bytes)
        return fields + _CHECKSUM.pack(zlib.crc32(fields))

    @classmethod
    def unpacked(cls, data: bytes | bytearray | memoryview) -> Header:
        """Read a header.

        Raises:
            ValueError: If it is damaged, or of another program or version.
        """
        fields, checksum = bytes(data[: _FIELDS.size]), bytes(data[_FIELDS.size :])
        if len(data) != HEADER_BYTES:
            raise ValueError(f"a header has {len(data)} bytes; it must have {HEADER_BYTES}.")
        magic, version, kind, *rest = _FIELDS.unpack(fields)
        if magic != MAGIC:
            raise ValueError(f"a message begins with {magic!r}; it must begin with {MAGIC!r}.")
        if _CHECKSUM.unpack(checksum)[0] != zlib.crc32(fields):
            raise ValueError("a header's checksum is wrong; the message is damaged.")
        if version != VERSION:
            raise ValueError(f"a message has version {version}; this program speaks version {VERSION}.")
        if kind not in list(Kind):
            raise ValueError(f"a message is of kind {kind}; known are {', '.join(map(str, map(int, Kind)))}.")
        return cls(Kind(kind), *rest)


def chunk_prefix(num_bytes: int, due_s: float) -> bytes:
    """Return what stands before a chunk: its bytes, and when its last byte is due at the receiver."""
    return _CHUNK.pack(num_bytes, due_s)


class Memory:
    """The memory of a message: parts that follow each other, of which pieces are taken from the front.

    Args:
        parts: The parts, in order.

    Attributes:
        left: Bytes that have not been taken.
    """

    def __init__(self, parts: Iterable[memoryview]) -> None:
        self._parts = deque(part for part in parts if len(part))
        self.left = sum(map(len, self._parts))

    def take(self, num_bytes: int) -> list[memoryview]:
        """Take so many bytes, or all that are left, as pieces that follow each other."""
        pieces = []
        while num_bytes and self._parts:
            part = self._parts.popleft()
            piece, rest = part[:num_bytes], part[num_bytes:]
            if len(rest):
                self._parts.appendleft(rest)
            pieces.append(piece)
            num_bytes -= len(piece)
            self.left -= len(piece)
        return pieces


def receive(connection: socket.socket, memory_for: Callable[[Header], list[memoryview]]) -> tuple[Header, float] | None:
    """Read one message.

    Args:
        connection: The socket.
        memory_for: Function that returns the memory into which the bytes of a message go, part after part.

    Returns:
        The header, and when the last byte is due; None if the sender has closed the connection.

    Raises:
        ValueError: If the message is damaged.
        ConnectionError: If the connection ends within a message.
    """
    head = bytearray(HEADER_BYTES)
    if not _filled(connection, memoryview(head), may_end=True):
        return None
    header = Header.unpacked(head)
    memory = Memory(memory_for(header))
    if memory.left != header.size_bytes:
        raise ValueError(f"a message has {header.size_bytes} bytes where {memory.left} are expected.")
    prefix = bytearray(CHUNK_PREFIX_BYTES)
    while True:
        _filled(connection, memoryview(prefix))
        num_bytes, due_s = _CHUNK.unpack(prefix)
        if num_bytes > memory.left or (num_bytes == 0 and memory.left):
            raise ValueError(f"a chunk has {num_bytes} bytes, but {memory.left} are left.")
        for piece in memory.take(num_bytes):
            _filled(connection, piece)
        if not memory.left:
            return header, due_s


def _filled(connection: socket.socket, memory: memoryview, may_end: bool = False) -> bool:
    """Fill memory from a socket; return False if the sender closed it before the first byte and that is allowed."""
    total, filled = len(memory), 0
    while filled < total:
        received = connection.recv_into(memory[filled:])
        if received == 0:
            if may_end and filled == 0:
                return False
            raise ConnectionError("a connection ended within a message; the process at its other end has stopped.")
        filled += received
    return True
