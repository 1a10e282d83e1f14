from __future__ import annotations

import threading
import time

import pytest

from evaluate.testbed.processes.pacing import Processor


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_work_alone_takes_as_long_as_it_says() -> None:
    clock = FakeClock()
    processor = Processor(clock)
    processor.begin("a", 2.0)
    clock.now_s = 105.0
    assert processor.end("a") == pytest.approx(102.0)


def test_users_share_the_processor_equally() -> None:
    # a begins 3 s of work at 100 and has 2 left when b comes at 101 with 1 s. At half speed b is done at 103, when a
    # has 1 left, alone again: done at 104. c comes at 110 and finds nobody.
    clock = FakeClock()
    processor = Processor(clock)
    processor.begin("a", 3.0)
    clock.now_s = 101.0
    processor.begin("b", 1.0)
    clock.now_s = 110.0
    processor.begin("c", 0.5)
    clock.now_s = 111.0
    assert processor.end("a") == pytest.approx(104.0)
    assert processor.end("b") == pytest.approx(103.0)
    assert processor.end("c") == pytest.approx(110.5)


def test_no_work_ends_at_once() -> None:
    clock = FakeClock()
    processor = Processor(clock)
    processor.begin("a", 0.0)
    clock.now_s = 100.001
    assert processor.end("a") == pytest.approx(100.0)


def test_the_end_is_awaited_on_the_clock_of_the_machine() -> None:
    processor, due_s = Processor(), {}
    begin_s = time.monotonic()
    processor.begin("a", 0.06)

    def other() -> None:
        processor.begin("b", 0.02)
        due_s["b"] = processor.end("b")

    thread = threading.Thread(target=other)
    thread.start()
    due_s["a"] = processor.end("a")
    assert time.monotonic() >= due_s["a"]
    thread.join()
    assert due_s["a"] - begin_s == pytest.approx(0.08, abs=0.02)  # 60 ms, and 20 ms more that b had
    assert due_s["b"] < due_s["a"]
