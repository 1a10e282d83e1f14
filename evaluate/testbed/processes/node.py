"""The program that every process of a testbed runs: it is told which node it plays, and ends with its coordinator.

The coordinator talks to it over a socket, one line of JSON per message. When that socket closes, for whatever reason,
the process ends at once.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import socket
import sys
import threading
from typing import Any

from dnnmig_env.files.quick_imports import quick_imports
from evaluate.testbed.processes.control import Lines, send_line

_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29


class _Coordinator:
    """The coordinator, as its process sees it."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, **message: Any) -> None:
        """Send a message."""
        send_line(self._control, message)

    def hear(self) -> dict[str, Any]:
        """Wait for the next message."""
        return self._lines.get()

    def _read(self) -> None:
        lines = Lines(self._control)
        while lines.read():
            while (message := lines.next()) is not None:
                self._lines.put(message)
        os._exit(1)  # the coordinator has gone, and nobody will read what is measured here


def main(control_file: int, ledger_file: int) -> int:
    """Play a node until the coordinator has what was measured."""
    _ask_the_system()
    coordinator = _Coordinator(socket.socket(fileno=control_file))

    def report(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, OSError):  # which means that another process has stopped
            coordinator.tell(error=_in_words(failed.exc_value))

    threading.excepthook = report
    try:
        _play(coordinator, ledger_file)
    except Exception as error:  # whatever it is, the coordinator says it and ends the others
        coordinator.tell(error=_in_words(error))
        coordinator.hear()
        return 1
    return 0


def _play(coordinator: _Coordinator, ledger_file: int) -> None:
    with quick_imports():
        import torch

        from evaluate.testbed.processes.device import Device
        from evaluate.testbed.processes.job import Job
        from evaluate.testbed.processes.ledger import Ledger
        from evaluate.testbed.processes.server import Server

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # random weights make denormal numbers, and these would be slow
    job = Job.from_plain(coordinator.hear())
    ledger = Ledger(ledger_file, len(job.scenario.servers), len(job.plan.uploads))
    node = Server(job, ledger) if job.node else Device(job, ledger)
    coordinator.tell(port=node.port if isinstance(node, Server) else 0)
    ports = {int(server): port for server, port in coordinator.hear()["ports"].items()}
    node.connect(ports)
    coordinator.tell(connected=True)
    start_s = coordinator.hear()["start_s"]
    log = node.run(start_s, wait_for_end=coordinator.hear) if isinstance(node, Server) else node.run(start_s)
    coordinator.tell(log=log)
    coordinator.hear()


def _in_words(error: BaseException | None) -> str:
    words = " ".join(str(error).split())
    return words if isinstance(error, ValueError) and words else f"{type(error).__name__}: {words}"


def _ask_the_system() -> None:
    """Let Linux end this process with its parent, and wake it without delay; elsewhere the closed socket is enough."""
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        system.prctl(_PR_SET_TIMERSLACK, 1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
