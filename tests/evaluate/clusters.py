"""Small clusters on this machine for tests, and what makes their workers fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def square(number: int) -> int:
    """Return the square of a number, after a while."""
    time.sleep(0.1)
    return number * number


def fail_at_three(number: int) -> int:
    """Return the number, unless it is 3."""
    if number == 3:
        raise ValueError("3 cannot be had.")
    return number


def die_at_three(number: int) -> int:
    """Return the number, unless it is 3, at which the process dies."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def threads_of_worker(number: int) -> tuple[int, int, str]:
    """Return the process, how many threads loops are divided among, and how many torch would take."""
    from dnnmig_env.compiling.threads import num_threads

    return os.getpid(), num_threads(), os.environ.get("OMP_NUM_THREADS", "")


@contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler of Dask and workers, a process each; yield its address and the workers' processes."""
    file, environment = folder / "scheduler.json", {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def started(program: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(file), *words]
        log = (folder / f"{program}.log").open("ab")
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        log.close()
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    with ExitStack() as stack:
        scheduler = started("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder))
        processes = [started("dask_worker", *options) for _ in range(workers)]
        while not file.exists():
            assert scheduler.poll() is None
            time.sleep(0.1)
        import json

        address: str = json.loads(file.read_text())["address"]
        yield address, processes
