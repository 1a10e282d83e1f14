from __future__ import annotations

import socket
import struct
import zlib

import pytest

from evaluate.testbed.processes.wire import HEADER_BYTES, Header, Kind, Memory, chunk_prefix, receive

HEADER = Header(Kind.VALUE, user=3, query=70_000, event=12, item=405, size_bytes=7)


def sent(*parts: bytes, memory: list[memoryview] | None = None, close: bool = True) -> tuple[Header, float] | None:
    """Receive what somebody sends and then closes."""
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"".join(parts))
        if close:
            there.close()
        return receive(here, lambda header: memory or [])


def test_a_message_arrives_as_it_was_sent() -> None:
    first, second = bytearray(4), bytearray(3)
    found = sent(
        HEADER.packed(),
        chunk_prefix(5, 1.25) + b"abcde",
        chunk_prefix(2, 2.5) + b"fg",
        memory=[memoryview(first), memoryview(second)],
    )
    assert found == (HEADER, 2.5)
    assert (bytes(first), bytes(second)) == (b"abcd", b"efg")


def test_a_message_without_bytes_says_when_it_is_due() -> None:
    header = Header(Kind.ACKNOWLEDGEMENT, 0, item=2)
    assert sent(header.packed(), chunk_prefix(0, 3.5)) == (header, 3.5)


def test_a_header_has_a_fixed_size_and_no_pickle() -> None:
    assert len(HEADER.packed()) == HEADER_BYTES == 32
    assert HEADER.packed()[:6] == b"DNNM\x01\x02"
    assert Header.unpacked(HEADER.packed()) == HEADER


def test_nothing_more_is_no_message() -> None:
    assert sent() is None


def damaged(position: int, value: int, mended: bool = True) -> bytes:
    """Return a header with one byte changed, and with the checksum that belongs to it."""
    data = bytearray(HEADER.packed())
    data[position] = value
    if mended:
        data[-4:] = struct.pack("!I", zlib.crc32(data[:-4]))
    return bytes(data)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (damaged(0, ord("X")), r"begins with b'XNNM'; it must begin with b'DNNM'"),
        (damaged(4, 9), "version 9; this program speaks version 1"),
        (damaged(5, 77), "kind 77; known are 1, 2, 3, 4"),
        *((damaged(position, 255, mended=False), "begins with|checksum is wrong") for position in range(HEADER_BYTES)),
    ],
)
def test_a_damaged_header_is_refused(head: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        sent(head, chunk_prefix(7, 0.0), b"abcdefg", memory=[memoryview(bytearray(7))])


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((chunk_prefix(9, 0.0), b"abcdefghi"), "a chunk has 9 bytes, but 7 are left"),
        ((chunk_prefix(0, 0.0),), "a chunk has 0 bytes, but 7 are left"),
        ((chunk_prefix(7, 0.0), b"abc"), "a connection ended within a message"),
        ((), "a connection ended within a message"),
    ],
)
def test_damaged_chunks_are_refused(parts: tuple[bytes, ...], says: str) -> None:
    with pytest.raises((ValueError, ConnectionError), match=says):
        sent(HEADER.packed(), *parts, memory=[memoryview(bytearray(7))])


def test_a_message_of_another_size_than_expected_is_refused() -> None:
    with pytest.raises(ValueError, match="a message has 7 bytes where 6 are expected"):
        sent(HEADER.packed(), memory=[memoryview(bytearray(6))])


def test_half_a_header_is_refused() -> None:
    with pytest.raises(ConnectionError, match="ended within a message"):
        sent(HEADER.packed()[:20])
    with pytest.raises(ValueError, match="a header has 20 bytes; it must have 32"):
        Header.unpacked(HEADER.packed()[:20])


def test_memory_is_taken_from_the_front() -> None:
    memory = Memory([memoryview(b"abc"), memoryview(b""), memoryview(b"defg")])
    assert [bytes(piece) for piece in memory.take(2)] == [b"ab"]
    assert [bytes(piece) for piece in memory.take(3)] == [b"c", b"de"]
    assert memory.left == 2
    assert [bytes(piece) for piece in memory.take(100)] == [b"fg"]
    assert memory.take(1) == []
