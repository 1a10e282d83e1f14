"""No process is left behind, however a run ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]

RUN = """
import sys
import numpy as np
from dnnmig_env.files.command_line import exit_status
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.plan import Plan
from evaluate.testbed.processes.coordinator import run_for_real
from evaluate.testbed.processes.job import Events

def run():
    scenario = load_scenario(sys.argv[1], lambda graph: np.full(len(graph), 0.001))
    run_for_real(scenario, Plan(), Events((0,), (0,), np.zeros((1, 1, len(scenario.users[0].graph)), np.int8)))

sys.exit(exit_status(run, interrupted="interrupted: nothing was written."))
"""


def children(pid: int) -> set[int]:
    """Return the processes of a run whose coordinator has this number."""
    found = subprocess.run(["ps", "-ww", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in found.splitlines()[1:])
    return {int(own) for own, parent, words in rows if int(parent) == pid and "testbed.processes.node" in words}


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        if state and not state.startswith("Z"):
            found.add(pid)
    return found


@pytest.fixture
def coordinator(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that would take a minute, all of whose processes are there."""
    text = (ROOT / "examples" / "testbed_small.yaml").read_text().replace("horizon_s: 6", "horizon_s: 60")
    file = tmp_path / "long.yaml"
    file.write_text(re.sub("testbed_small.json", str(ROOT / "examples" / "testbed_small.json"), text))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(file)], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        until_s = time.monotonic() + 60
        while len(children(process.pid)) < 2:
            assert process.poll() is None and time.monotonic() < until_s
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "after_s", "status"),
    [
        (signal.SIGINT, 0.2, 130),
        (signal.SIGTERM, 4.0, 143),
        (signal.SIGKILL, 4.0, -9),
    ],
    ids=["ctrl-c-while-it-starts", "sigterm", "kill-9"],
)
def test_a_run_that_is_stopped_leaves_no_process(
    coordinator: subprocess.Popen[str], number: signal.Signals, after_s: float, status: int
) -> None:
    time.sleep(after_s)
    pids = children(coordinator.pid)
    assert len(pids) == 2
    coordinator.send_signal(number)
    _, errors = coordinator.communicate(timeout=20)
    assert coordinator.returncode == status
    assert errors == ("interrupted: nothing was written.\n" if number != signal.SIGKILL else "")
    until_s = time.monotonic() + 10
    while alive(pids) and time.monotonic() < until_s:
        time.sleep(0.05)
    assert alive(pids) == set()


@pytest.mark.parametrize(("which", "name"), [(min, "device of user 'phone'"), (max, "server 'edge'")])
def test_a_process_that_dies_ends_the_run_with_one_line(
    coordinator: subprocess.Popen[str], which: Callable[[set[int]], int], name: str
) -> None:
    pids = children(coordinator.pid)
    os.kill(which(pids), signal.SIGKILL)
    _, errors = coordinator.communicate(timeout=20)
    assert coordinator.returncode == 2
    assert re.fullmatch(rf"error: the {name} has stopped \(exit status -9\); .*\n", errors)
    assert alive(pids) == set()


def test_a_process_ends_when_the_coordinators_socket_closes_though_its_parent_lives() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "evaluate.testbed.processes.node", str(theirs.fileno()), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
        time.sleep(0.3)
        theirs.close()
        ours.close()
        assert process.wait(timeout=30) == 1
