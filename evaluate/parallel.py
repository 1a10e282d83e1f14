"""Calls a function for many items by several workers at once: processes of this machine, or those of a cluster.

Who computes what, and when, is left to joblib and its backends. What comes out must depend on the item alone, so an
item carries a seed for whatever is random, and a worker computes with one thread.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

OPTIONS = ("workers", "backend", "scheduler")
"""Names of the options of `Workers`, on which no result depends."""

_PACKAGES = {"dask": "distributed", "ray": "ray"}
_SLICE = 4  # items per worker that are handed to Ray at a time


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Options of a command whose work is divided among workers; its results are the same whatever they are."""

    workers: int = 1
    """Number of processes of this machine that work at the same time. Results do not depend on it."""
    backend: Literal["local", "dask", "ray"] = "local"
    """Whose workers do the work: processes of this machine (local), or those of a cluster of Dask or Ray, as many as it
    has."""
    scheduler: str | None = None
    """Address of the scheduler of Dask's cluster, such as tcp://10.0.0.1:8786, or of Ray's cluster, which is by default
    the one of RAY_ADDRESS."""

    @property
    def in_parallel(self) -> bool:
        """Whether anybody but this process does the work."""
        return self.workers > 1 or self.backend != "local"

    def check_workers(self) -> None:
        """Check the options.

        Raises:
            ValueError: If one is out of range, does not go with another one, or needs what is not installed.
        """
        if self.workers < 1:
            raise ValueError(f"--workers is {self.workers}; it must be at least 1.")
        if self.backend == "local":
            if self.scheduler is not None:
                raise ValueError(f"--scheduler is {self.scheduler}, but --backend is local; add --backend dask or ray.")
            return
        if self.workers > 1:
            raise ValueError(
                f"--workers is {self.workers}, but with --backend {self.backend} all workers of the cluster take part; "
                "leave it out."
            )
        if self.backend == "dask" and self.scheduler is None:
            raise ValueError("--backend dask needs --scheduler ADDRESS, such as tcp://10.0.0.1:8786.")
        package = _PACKAGES[self.backend]
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"--backend {self.backend} needs the package {package}, which is not installed; "
                f"pip install '.[{self.backend}]' does that."
            )


def results_of(
    function: Callable[[Item], Result], items: Sequence[Item], workers: Workers
) -> Generator[Result, None, None]:
    """Yield what a function returns for each item, as soon as it is there; with several workers in any order.

    Args:
        function: A function of a module, so that workers can import it, or a `functools.partial` of one.
        items: The items.
        workers: Who does the work.

    Raises:
        ValueError: If a worker died, or there is no cluster; and whatever the function raises.
    """
    if not items:
        return
    if not workers.in_parallel:
        yield from map(function, items)
        return
    with _joblib(workers):
        slices = [items]
        if workers.backend == "ray":  # its backend returns all results of a call at once, so there are several calls
            import ray

            size = _SLICE * max(1, int(ray.cluster_resources().get("CPU", 1)))
            slices = [items[begin : begin + size] for begin in range(0, len(items), size)]
        for part in slices:
            with _named_deaths(workers):
                yield from _results(function, part, streams=workers.backend != "ray")


def _results(function: Callable[[Item], Result], items: Sequence[Item], *, streams: bool) -> Iterator[Result]:
    from joblib import Parallel, delayed

    # A call gets one tuple. An argument of another kind, if it is large, Dask would put on one of its workers only, and
    # it would be lost with that worker.
    calls = [delayed(_called)((function, item)) for item in items]
    parallel = Parallel(return_as="generator_unordered" if streams else "list", batch_size=1, max_nbytes=None)
    results = parallel(calls)
    if not streams:
        yield from results
        return
    try:
        for result in results:  # noqa: UP028 - `yield from` would close the results by itself, with a warning
            yield result
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that not all results have been asked for
            results.close()


def _called(task: tuple[Callable[[Item], Result], Item]) -> Result:
    """Call a function for an item, in a worker."""
    from dnnmig_env.compiling.threads import at_most_threads

    function, item = task
    with at_most_threads(1):
        return function(item)


@contextmanager
def _joblib(workers: Workers) -> Iterator[None]:
    """Let joblib's calls go to the workers."""
    from joblib import parallel_config

    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if workers.backend == "local":
            threads = int(os.environ.get("OMP_NUM_THREADS", "1"))  # as many as this process has
            options = {"n_jobs": workers.workers, "inner_max_num_threads": threads, "initializer": _begin_worker}
        elif workers.backend == "dask":
            options = {"client": stack.enter_context(_dask_client(str(workers.scheduler))), "n_jobs": -1}
        else:
            stack.callback(_joined_ray(workers.scheduler))
            options = {"n_jobs": -1}
        name = "loky" if workers.backend == "local" else workers.backend
        stack.enter_context(parallel_config(backend=name, **options))
        yield


def _begin_worker() -> None:
    """Prepare a process of this machine: the one that started it ends it, or its own end does."""
    for name in ("SIGINT", "SIGHUP"):  # which a terminal sends to all of its processes
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True).start()


def _end_after(parent: int) -> None:
    """End this process soon after its parent, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _dask_client(address: str) -> Any:
    from distributed import Client

    try:
        return Client(address, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"--scheduler is {address}, where no scheduler of Dask answers ({_first_line(error)}); "
            "start one with `dask scheduler`, or mend the address."
        ) from None


def _joined_ray(address: str | None) -> Callable[[], object]:
    """Join a cluster of Ray, or start one on this machine if there is none; return what leaves it again."""
    import ray
    from ray.util.joblib import register_ray

    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"--scheduler is {address}, where no cluster of Ray answers ({_first_line(error)}); "
            "start one with `ray start --head`, or mend the address."
        ) from None
    register_ray()
    leave: Callable[[], object] = ray.shutdown
    return leave


@contextmanager
def _named_deaths(workers: Workers) -> Iterator[None]:
    """Turn what comes up when workers die into an error of one line."""
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    if workers.backend == "dask":
        from distributed.scheduler import KilledWorker

        lost = (BrokenExecutor, KilledWorker, TimeoutError)
    try:
        yield
    except lost as error:
        raise ValueError(
            f"workers have died or are missing ({_first_line(error)}); whatever was finished is kept, and the same "
            "command goes on with it, with fewer --workers if memory was short."
        ) from None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
