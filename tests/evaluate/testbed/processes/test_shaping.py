from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from evaluate.testbed.processes.ledger import UPLINK, Ledger, create
from evaluate.testbed.processes.shaping import Link, Sender, chunk_bytes, send_weights
from evaluate.testbed.processes.wire import Header, Kind, receive

Pairs = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    file = create()
    made = Ledger(file, 1, 1)
    yield made
    while _is_sending(made):  # a sender uses the file until it has counted itself out, after the last byte was received
        time.sleep(0.001)
    os.close(file)


def _is_sending(ledger: Ledger) -> bool:
    with ledger.channel(UPLINK) as channel:
        return bool(channel.state[1] > 0)


@pytest.fixture
def pair() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    made: list[socket.socket] = []

    def make() -> tuple[socket.socket, socket.socket]:
        one, other = socket.socketpair()
        made.extend((one, other))
        return one, other

    yield make
    for connection in made:
        connection.close()


def link(*bytes_per_s: float, latency_s: float = 0.05, starts_s: tuple[float, ...] = (0.0,)) -> Link:
    return Link(np.array(bytes_per_s), np.full(len(bytes_per_s), latency_s), np.array(starts_s))


def header(size: int, kind: Kind = Kind.VALUE) -> Header:
    return Header(kind, 0, size_bytes=size)


def test_a_message_is_due_when_its_bytes_have_passed_and_the_latency(ledger: Ledger, pair: Pairs) -> None:
    here, there = pair()
    data, memory = os.urandom(100_000), bytearray(100_000)
    sender = Sender(there, ledger, UPLINK, lambda user: link(1e6))
    sender.start()
    begin_s = time.monotonic()
    sender.send(header(len(data)), memoryview(data))
    found = receive(here, lambda header: [memoryview(memory)])
    assert found is not None
    assert bytes(memory) == data
    assert found[1] - begin_s == pytest.approx(0.1 + 0.05, abs=0.03)  # 100 kB at 1 MB/s, then 50 ms
    assert time.monotonic() <= found[1] + 0.03  # the bytes are here before they are due


def test_weights_give_way(ledger: Ledger, pair: Pairs) -> None:
    here, there = pair()
    data_here, data_there = pair()
    arrived: dict[str, float] = {}

    def read(name: str, connection: socket.socket, size: int) -> None:
        found = receive(connection, lambda header: [memoryview(bytearray(size))])
        assert found is not None
        arrived[name] = found[1]

    threads = [
        threading.Thread(target=read, args=("weights", here, 60_000)),
        threading.Thread(target=read, args=("data", data_here, 100_000)),
    ]
    sender = Sender(data_there, ledger, UPLINK, lambda user: link(1e6, latency_s=0.0))
    sender.start()
    begin_s = time.monotonic()
    sender.send(header(100_000), memoryview(bytes(100_000)))
    for thread in threads:
        thread.start()
    first_s = send_weights(
        there, ledger, UPLINK, link(1e6, latency_s=0.0), header(60_000, Kind.WEIGHTS), [memoryview(bytes(60_000))]
    )
    for thread in threads:
        thread.join()
    assert arrived["data"] - begin_s == pytest.approx(0.1, abs=0.03)  # at most one chunk of weights came between
    assert arrived["weights"] - begin_s == pytest.approx(0.16, abs=0.04)
    assert first_s - begin_s > 0.05


def test_a_link_that_is_down_is_waited_for(ledger: Ledger, pair: Pairs) -> None:
    here, there = pair()
    begin_s = time.monotonic()
    sender = Sender(there, ledger, UPLINK, lambda user: link(0.0, 1e6, starts_s=(0.0, begin_s + 0.2)))
    sender.start()
    sender.send(header(10_000), memoryview(bytes(10_000)))
    found = receive(here, lambda header: [memoryview(bytearray(10_000))])
    assert found is not None
    assert 0.2 < found[1] - begin_s < 0.35


def test_a_message_without_bytes_has_the_latency_only(ledger: Ledger, pair: Pairs) -> None:
    here, there = pair()
    sender = Sender(there, ledger, UPLINK, lambda user: link(1e6))
    sender.start()
    begin_s = time.monotonic()
    sender.send(header(0), memoryview(b""))
    found = receive(here, lambda header: [])
    assert found is not None
    assert found[1] - begin_s == pytest.approx(0.05, abs=0.02)


def test_chunks_take_two_milliseconds_within_bounds() -> None:
    assert [chunk_bytes(rate) for rate in (1.0, 1e6, 1e12)] == [256, 2000, 2**18]
