"""Starts the processes of a run, lets them begin at the same instant, and collects what they measured."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import evaluate
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from evaluate.testbed.processes.control import Lines, send_line
from evaluate.testbed.processes.job import Events, Job
from evaluate.testbed.processes.ledger import create

START_S = 180.0
"""Most seconds that processes may take to build their networks."""

GRACE_S = 60.0
"""Most seconds beyond the horizon, and beyond the longest delay expected, in which the last queries must end."""

_AHEAD_S = 0.5
_PROJECT = Path(evaluate.__file__).resolve().parents[1]


class _Process:
    """One process of a run, as the coordinator sees it.

    Attributes:
        job: What it has to do.
        said: What it has said so far, by key.
    """

    def __init__(self, job: Job, ledger: int) -> None:
        self.job = job
        self._control, theirs = socket.socketpair()
        self._lines = Lines(self._control)
        self.said: dict[str, Any] = {}
        paths = [str(_PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "evaluate.testbed.processes.node", str(theirs.fileno()), str(ledger)],
                pass_fds=(theirs.fileno(), ledger),
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the coordinator, which ends its processes itself
            )

    def tell(self, **message: Any) -> None:
        """Send the process a message.

        Raises:
            ValueError: If it has stopped.
        """
        try:
            send_line(self._control, message)
        except OSError:
            raise self._stopped() from None

    def fileno(self) -> int:
        """Return the descriptor to wait at until the process says something."""
        return self._control.fileno()

    def listen(self) -> None:
        """Read what the process has said, at least a part of it.

        Raises:
            ValueError: If it has failed or stopped.
        """
        if not self._lines.read():
            raise self._stopped()
        while (message := self._lines.next()) is not None:
            if "error" in message:
                raise ValueError(f"the {self.job.name} failed: {message['error']}")
            self.said.update(message)

    def end(self) -> None:
        """End the process, and wait until it is gone."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def _stopped(self) -> ValueError:
        code = self._process.wait(timeout=10)
        return ValueError(
            f"the {self.job.name} has stopped (exit status {code}); if the system ended it, there may be too little "
            "memory for so many processes."
        )


def run_for_real(scenario: Scenario, plan: Plan, events: Events) -> dict[str, list[dict[str, Any]]]:
    """Carry out a plan with real processes and return what they measured.

    Args:
        scenario: The scenario, with the seconds that each layer is to take on each node.
        plan: The plan.
        events: The events of the predicted timeline.

    Returns:
        Records of `queries`, `segments` and `uploads`, whose times are seconds since the run began.

    Raises:
        ValueError: If a process cannot do its work or stops.
    """
    nodes = [(0, user) for user in range(len(scenario.users))]
    nodes += [(server, -1) for server in range(1, len(scenario.servers) + 1)]
    with _started([Job(node, user, scenario, plan, events) for node, user in nodes]) as processes:
        until_s = time.monotonic() + START_S
        for process in processes:
            process.tell(**process.job.to_plain())
        ports = {process.job.node: _hear(processes, process, "port", until_s) for process in processes}
        ports.pop(0, None)
        for process in processes:
            process.tell(ports=ports)
        for process in processes:
            _hear(processes, process, "connected", until_s)
        start_s = time.monotonic() + _AHEAD_S
        for process in processes:
            process.tell(start_s=start_s)
        until_s = start_s + scenario.horizon_s + GRACE_S
        logs = []
        for process in processes:  # devices first: servers stop when the last device has its result
            if process.job.node:
                process.tell(stop=True)
            logs.append((process.job.node, _hear(processes, process, "log", until_s)))
    return _since(start_s, logs)


def _hear(processes: Sequence[_Process], process: _Process, key: str, until_s: float) -> Any:
    """Wait until a process says something, and return it.

    Args:
        processes: All processes of the run; if one of them fails meanwhile, that is an error at once.
        process: The one whose word is awaited.
        key: What it is to say.
        until_s: When to give up, by the clock of the machine.

    Raises:
        ValueError: If a process fails or stops, or this one says nothing in time.
    """
    with selectors.DefaultSelector() as selector:
        for other in processes:
            selector.register(other, selectors.EVENT_READ, other)
        while key not in process.said:
            ready = selector.select(max(0.0, until_s - time.monotonic()))
            if not ready:
                raise ValueError(
                    f"the {process.job.name} does not answer; this machine may be too busy for so many processes."
                )
            for entry, _ in ready:
                entry.data.listen()
    return process.said[key]


@contextmanager
def _started(jobs: Sequence[Job]) -> Iterator[list[_Process]]:
    """Start a process for each job, and end all of them, whatever happens."""
    with ExitStack() as stack:
        ledger = create()
        stack.callback(os.close, ledger)
        processes = []
        for job in jobs:
            process = _Process(job, ledger)
            stack.callback(process.end)
            processes.append(process)
        yield processes


def _since(start_s: float, logs: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Put the records of all processes together, with times since the start of the run."""
    found: dict[str, list[dict[str, Any]]] = {"queries": [], "segments": [], "uploads": []}
    for node, log in logs:
        for kind, records in log.items():
            for record in records:
                times = {key: value - start_s for key, value in record.items() if key in _TIMES and value is not None}
                found[kind].append({**record, "node": node, **times})
    return found


_TIMES = ("start_s", "begin_s", "due_s", "end_s", "sent_s")
