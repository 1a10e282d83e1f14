"""Connects processes by sockets on the loopback interface, and delivers the values that arrive."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from enum import IntEnum

import numpy as np
from torch import Tensor

from dnnmig_env.networks.execution.layer_runner import LayerRunner
from dnnmig_env.scenarios.scenario import Scenario
from evaluate.testbed.processes.inbox import Inbox
from evaluate.testbed.processes.shaping import Link, wait_until
from evaluate.testbed.processes.wire import Header, Kind, chunk_prefix, receive

HOST = "127.0.0.1"


class Purpose(IntEnum):
    """What a connection is for."""

    DATA = 0
    WEIGHTS = 1


def listen() -> socket.socket:
    """Return a socket that listens at a port which the system has chosen."""
    return socket.create_server((HOST, 0), backlog=64)


def connect(port: int, user: int, node: int, purpose: Purpose) -> socket.socket:
    """Connect with a server and say who calls: a user's device (node 0) or another server."""
    connection = socket.create_connection((HOST, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(Header(Kind.HELLO, user, node, item=purpose).packed() + chunk_prefix(0, 0.0))
    return connection


def accept(listening: socket.socket) -> tuple[socket.socket, Header]:
    """Wait for a connection; return it and the header that says who calls.

    Raises:
        ConnectionError: If the caller does not say who it is.
    """
    connection, _ = listening.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found = receive(connection, lambda header: [])
    if found is None or found[0].kind is not Kind.HELLO:
        raise ConnectionError("a connection does not begin with a greeting; something else has called this port.")
    return connection, found[0]


def deliver(
    connection: socket.socket, inbox_of: Callable[[int], Inbox], runner_of: Callable[[int], LayerRunner]
) -> None:
    """Begin to put the values that arrive over a connection into inboxes, each when its last byte is due.

    Args:
        connection: The socket.
        inbox_of: Function that returns the inbox for a user's values.
        runner_of: Function that returns the user's network.
    """

    def read() -> None:
        arriving: list[Tensor] = []

        def memory_for(header: Header) -> list[memoryview]:
            tensor, memory = runner_of(header.user).received(header.item)
            arriving[:] = [tensor]
            return [memory]

        with contextlib.suppress(OSError):  # the other process has stopped
            while found := receive(connection, memory_for):
                header, due_s = found
                wait_until(due_s)
                inbox_of(header.user).put(header.query, header.event, header.item, arriving[0])

    threading.Thread(target=read, daemon=True).start()


def link_between(scenario: Scenario, user: int, source: int, target: int, start_s: float) -> Link:
    """Return the link from one node to another, of which node 0 is the user's device.

    Args:
        scenario: The scenario.
        user: Index of the user.
        source: The node that sends.
        target: The node that receives.
        start_s: Start of the run by the clock of the machine.
    """
    links, slots = scenario.links, scenario.num_slots
    if source and target:
        rate = np.full(slots, np.asarray(links.between_bytes_per_s)[source - 1, target - 1])
        latency = np.full(slots, np.asarray(links.between_latency_s)[source - 1, target - 1])
    elif target:
        rate = np.asarray(links.up_bytes_per_s)[:, user, target - 1]
        latency = np.asarray(links.up_latency_s)[:, user, target - 1]
    else:
        rate = np.asarray(links.down_bytes_per_s)[:, user, source - 1]
        latency = np.asarray(links.down_latency_s)[:, user, source - 1]
    return Link(rate, latency, start_s + np.asarray(scenario.slot_starts_s))
