"""Loops divided among threads: every iteration once, few of them to one core; torch and forked children go on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from dnnmig_env.compiling import threads


def parts_of(monkeypatch: pytest.MonkeyPatch, cores: int, count: int, **options: int) -> list[tuple[int, int]]:
    """Return the parts into which a loop over `count` rows is divided on some cores."""
    monkeypatch.setattr(threads, "num_threads", lambda: cores)
    found: list[tuple[int, int]] = []

    def loop(begin: int, end: int, slowness_s: float) -> None:
        time.sleep(slowness_s if begin else 0.0)  # all but the part of the calling thread take their time
        found.append((begin, end))

    threads.share_rows(loop, count, 0.01, **options)
    return sorted(found)


@pytest.mark.parametrize("cores", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 48, 100, 113])
def test_every_row_is_done_once_by_the_time_the_call_returns(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int
) -> None:
    parts = parts_of(monkeypatch, cores, count)
    assert [row for begin, end in parts for row in range(begin, end)] == list(range(count))
    lengths = [end - begin for begin, end in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(("count", "parts"), [(31, 1), (32, 2), (47, 2), (48, 3), (1000, 4)])
def test_a_core_has_at_least_sixteen_rows(monkeypatch: pytest.MonkeyPatch, count: int, parts: int) -> None:
    assert len(parts_of(monkeypatch, 4, count)) == parts


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 1), (2, 2), (3, 3), (100, 4)])
def test_long_iterations_are_worth_a_core_each(monkeypatch: pytest.MonkeyPatch, count: int, parts: int) -> None:
    assert len(parts_of(monkeypatch, 4, count, per_core=1)) == parts


def test_an_error_in_another_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)

    def loop(begin: int, end: int) -> None:
        if begin:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.share_rows(loop, 64)


@pytest.mark.parametrize("cores", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 14])
def test_results_come_in_the_order_of_the_items_whoever_works_on_them(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int
) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: cores)
    workers = set()

    def square(item: int) -> int:
        time.sleep(0.01 if item % 2 else 0.0)
        workers.add(threading.get_ident())
        return item * item

    assert threads.results_of(square, range(count)) == [item * item for item in range(count)]
    assert len(workers) <= max(min(cores, count), 1)
    assert len(workers) > 1 or min(cores, count) < 2


def test_an_error_about_an_item_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "num_threads", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        threads.results_of(lambda item: 1 / (1 - item), [0, 1, 2])


def test_loops_are_divided_among_fewer_threads_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MOST_THREADS", 4)
    before = threads.num_threads()
    with pytest.raises(KeyError), threads.at_most_threads(9) as most:
        assert most == threads.num_threads() == 4
        with threads.at_most_threads(1) as one:
            assert one == threads.num_threads() == 1
        assert threads.num_threads() == 4
        raise KeyError
    assert threads.num_threads() == before


STEPS = """
import os, sys
import gymnasium, numpy as np, torch
import dnnmig_env

torch.set_num_threads(1)

def step(env):
    observations, _ = env.reset(seed=0)
    return env.step(observations["action_mask"].argmax(axis=1))[1]

env = gymnasium.make_vec("dnnmig/MultiUser-v0", num_envs=64, max_layers=3)
rewards = step(env)
if torch.get_num_threads() != 1:
    sys.exit("stepping has changed the number of torch's threads")
if not hasattr(os, "fork"):
    sys.exit()
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(step(env), rewards) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_stepping_leaves_torch_its_threads_and_a_forked_child_steps_as_its_parent_does() -> None:
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", STEPS], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
