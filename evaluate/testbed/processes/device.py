"""A user's device: raises queries, runs its share of their layers, and uploads weights in the plan's order."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnnmig_env.networks.execution.build import build_runner
from dnnmig_env.networks.execution.layer_runner import memory_of
from evaluate.testbed.processes.connections import Purpose, connect, deliver, link_between
from evaluate.testbed.processes.inbox import Inbox
from evaluate.testbed.processes.job import Job
from evaluate.testbed.processes.ledger import UPLINK, Ledger
from evaluate.testbed.processes.pacing import Processor
from evaluate.testbed.processes.segments import Share
from evaluate.testbed.processes.shaping import Link, Sender, send_weights, wait_until
from evaluate.testbed.processes.wire import Header, Kind, receive

_LOOK_S = 0.001
"""How often an upload looks whether it is its turn."""


class Device:
    """The device of one user.

    Args:
        job: What it has to do.
        ledger: What all processes share.
    """

    def __init__(self, job: Job, ledger: Ledger) -> None:
        self._job, self._ledger, self._user = job, ledger, job.user
        self._row = job.scenario.users[job.user]
        self._runner = build_runner(self._row.graph)
        self._expected = [tensor.clone() for tensor in self._runner.result(self._runner.run_all())]
        self._inbox = Inbox()
        self._senders: dict[int, Sender] = {}
        self._weights: dict[int, socket.socket] = {}
        self._links: dict[int, Link] = {}
        self._start_s = 0.0
        self._uploads: dict[int, dict[str, float]] = {}

    def connect(self, ports: dict[int, int]) -> None:
        """Connect with the servers, given the port of each."""
        for server, port in ports.items():
            data = connect(port, self._user, 0, Purpose.DATA)
            self._weights[server] = connect(port, self._user, 0, Purpose.WEIGHTS)
            self._senders[server] = Sender(data, self._ledger, UPLINK, partial(self._link, server))
            deliver(data, lambda user: self._inbox, lambda user: self._runner)
            threading.Thread(target=self._read_acknowledgements, args=(server,), daemon=True).start()

    def run(self, start_s: float) -> dict[str, Any]:
        """Raise queries until the horizon; return a record of each query, segment and upload, times from the start."""
        self._start_s = start_s
        for server in self._senders:
            self._links[server] = link_between(self._job.scenario, self._user, 0, server, start_s)
        for sender in self._senders.values():
            sender.start()
        threading.Thread(target=self._upload, daemon=True).start()
        queries, segments = self._raise_queries()
        return {"queries": queries, "segments": segments, "uploads": list(self._uploads.values())}

    def _raise_queries(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        scenario = self._job.scenario
        queries: list[dict[str, Any]] = []
        segments: list[dict[str, Any]] = []
        share = Share(
            self._runner,
            0,
            scenario.execution_s[self._user][:, 0],
            Processor(),
            self._inbox,
            self._send,
            self._user,
        )
        edges_s = self._start_s + np.append(np.asarray(scenario.slot_starts_s), scenario.horizon_s)
        rates = np.asarray(self._row.query_rate_hz)
        next_s = self._start_s
        while next_s < edges_s[-1]:
            slot = int(np.searchsorted(edges_s, next_s, side="right")) - 1
            if rates[slot] == 0:
                next_s = float(edges_s[slot + 1])
                continue
            wait_until(next_s)
            query, its_segments = self._ask(share, len(queries) + 1, slot)
            queries.append(query)
            segments += its_segments
            next_s = max(query["start_s"] + 1.0 / rates[slot], query["end_s"])
        return queries, segments

    def _ask(self, share: Share, number: int, slot: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Raise one query and wait for its result."""
        runner = self._runner
        start_s = time.monotonic()
        event = self._job.events.at(self._ledger.arrived, slot)
        assignment = self._job.events.assignment[event, self._user, : len(runner.graph)].tolist()
        for value, nodes in share.inputs_for(assignment):
            for node in nodes:
                self._send(number, event, value, node, runner.input_tensor(value))
        values, segments = share.run(number, event, assignment)
        returning = [value for cut in runner.cuts for value in cut.returned if value not in values]
        values.update(self._inbox.take(number, returning))
        end_s = time.monotonic()
        same = all(map(torch.equal, runner.result(values), self._expected))
        query = {"user": self._user, "query": number, "event": event, "start_s": start_s, "end_s": end_s, "same": same}
        return query, segments

    def _send(self, query: int, event: int, value: int, node: int, tensor: Tensor) -> None:
        memory = memory_of(tensor)
        self._senders[node].send(Header(Kind.VALUE, self._user, query, event, value, len(memory)), memory)

    def _link(self, server: int, user: int) -> Link:
        return self._links[server]

    def _upload(self) -> None:
        for number, upload in enumerate(self._job.plan.uploads):
            if upload.user != self._user:
                continue
            while self._ledger.sent != number or not self._may_upload(upload.not_before_s):
                time.sleep(_LOOK_S)
            parts = [part for layer in upload.layers for part in self._runner.weights(layer)]
            header = Header(Kind.WEIGHTS, self._user, item=number, size_bytes=sum(map(len, parts)))
            record = {"upload": number, "end_s": float("inf")}
            self._uploads[number] = record
            link = self._links[upload.server]
            record["begin_s"] = time.monotonic()
            send_weights(self._weights[upload.server], self._ledger, UPLINK, link, header, parts)
            record["sent_s"] = time.monotonic()
            self._ledger.count_sent()

    def _may_upload(self, not_before_s: float) -> bool:
        since_s = time.monotonic() - self._start_s
        slot = int(np.searchsorted(np.asarray(self._job.scenario.slot_starts_s), since_s, side="right")) - 1
        return since_s >= not_before_s and bool(np.asarray(self._row.query_rate_hz)[slot] > 0)

    def _read_acknowledgements(self, server: int) -> None:
        while found := receive(self._weights[server], lambda header: []):
            header, due_s = found
            wait_until(due_s)
            self._ledger.mark_arrived(header.item)
            self._uploads[header.item]["end_s"] = time.monotonic()
