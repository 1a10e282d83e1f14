"""A server: receives weights, and runs the layers that queries of all users leave to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from dnnmig_env.networks.execution.build import build_runner
from dnnmig_env.networks.execution.layer_runner import memory_of
from evaluate.testbed.processes.connections import Purpose, accept, connect, deliver, link_between, listen
from evaluate.testbed.processes.inbox import Inbox
from evaluate.testbed.processes.job import Job
from evaluate.testbed.processes.ledger import DOWNLINK, Ledger
from evaluate.testbed.processes.pacing import Processor
from evaluate.testbed.processes.segments import Share
from evaluate.testbed.processes.shaping import Sender, wait_until
from evaluate.testbed.processes.wire import Header, Kind, chunk_prefix, receive


class Server:
    """One server, which begins without the weights that are sent to it.

    Args:
        job: What it has to do.
        ledger: What all processes share.

    Attributes:
        port: The port at which it listens.
    """

    def __init__(self, job: Job, ledger: Ledger) -> None:
        self._job, self._ledger, self._node = job, ledger, job.node
        users = job.scenario.users
        self._runners = [build_runner(user.graph) for user in users]
        for user, runner in zip(users, self._runners, strict=True):
            runner.run_all()  # whatever happens only the first time happens now
            held = np.flatnonzero(np.asarray(user.uploaded) == self._node)
            runner.forget_weights(held.tolist())
        self._inboxes = [Inbox() for _ in users]
        self._senders: dict[tuple[int, int], Sender] = {}
        self._weights: dict[int, socket.socket] = {}
        self._segments: list[dict[str, Any]] = []
        self._start_s = 0.0
        self._listening = listen()
        self.port: int = self._listening.getsockname()[1]

    def connect(self, ports: dict[int, int]) -> None:
        """Connect with the other servers, given the port of each, and wait until everybody has called."""
        count = len(self._runners)
        for node, port in ports.items():
            if node != self._node:
                self._add_sender(connect(port, 0, self._node, Purpose.DATA), 1 + self._node, node, range(count))
        for _ in range(2 * count + len(ports) - 1):
            connection, caller = accept(self._listening)
            node, user, purpose = caller.query, caller.user, Purpose(caller.item)
            if purpose is Purpose.WEIGHTS:
                self._weights[user] = connection
                continue
            deliver(connection, self._inboxes.__getitem__, self._runners.__getitem__)
            if node == 0:
                self._add_sender(connection, DOWNLINK, 0, [user])

    def run(self, start_s: float, wait_for_end: Callable[[], object]) -> dict[str, Any]:
        """Serve until the end is announced; return a record of each segment, times by the clock of the machine."""
        self._start_s, processor = start_s, Processor()
        for sender in dict.fromkeys(self._senders.values()):
            sender.start()
        for user in range(len(self._runners)):
            threading.Thread(target=self._serve, args=(user, processor), daemon=True).start()
            threading.Thread(target=self._receive_weights, args=(user,), daemon=True).start()
        wait_for_end()
        return {"segments": list(self._segments)}

    def _add_sender(self, connection: socket.socket, channel: int, node: int, users: Any) -> None:
        def link_of(user: int) -> Any:
            return link_between(self._job.scenario, user, self._node, node, self._start_s)

        sender = Sender(connection, self._ledger, channel, link_of)
        self._senders.update({(user, node): sender for user in users})

    def _serve(self, user: int, processor: Processor) -> None:
        """Run this server's share of every query of a user."""
        job, runner, inbox, query = self._job, self._runners[user], self._inboxes[user], 0

        def send(query: int, event: int, value: int, node: int, tensor: Tensor) -> None:
            memory = memory_of(tensor)
            self._senders[user, node].send(Header(Kind.VALUE, user, query, event, value, len(memory)), memory)

        layer_s = job.scenario.execution_s[user][:, self._node]
        share = Share(runner, self._node, layer_s, processor, inbox, send, user)
        while True:
            query, event = inbox.next_query(query)
            assignment = job.events.assignment[event, user, : len(runner.graph)].tolist()
            _, segments = share.run(query, event, assignment)
            self._segments += segments

    def _receive_weights(self, user: int) -> None:
        """Receive partitions into the memory of the weights, and acknowledge each when its last byte is due."""
        connection, runner, uploads = self._weights[user], self._runners[user], self._job.plan.uploads

        def memory_for(header: Header) -> list[memoryview]:
            return [part for layer in uploads[header.item].layers for part in runner.weights(layer)]

        while found := receive(connection, memory_for):
            header, due_s = found
            wait_until(due_s)
            back = link_between(self._job.scenario, user, self._node, 0, self._start_s)
            latency_s = float(back.latency_s[back.slot(time.monotonic())])
            acknowledgement = Header(Kind.ACKNOWLEDGEMENT, user, item=header.item).packed()
            connection.sendall(acknowledgement + chunk_prefix(0, time.monotonic() + latency_s))
