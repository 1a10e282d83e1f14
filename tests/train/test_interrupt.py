"""Ctrl-C takes effect between two steps, whatever Python is doing when it is pressed."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from train.interrupt import StopBetweenSteps


class Finalised:
    """Where exceptions are lost: Python prints and forgets those of finalisers."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(1000))  # signals are handled between two bytecodes


def test_ctrl_c_in_a_finaliser_is_not_lost() -> None:
    callback, before = StopBetweenSteps(), signal.getsignal(signal.SIGINT)
    callback._on_training_start()
    assert callback._on_step()
    Finalised()
    with pytest.raises(KeyboardInterrupt):
        callback._on_step()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_one_interrupts_at_once() -> None:
    callback, before = StopBetweenSteps(), signal.getsignal(signal.SIGINT)
    callback._on_training_start()
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_handler_is_given_back_after_training() -> None:
    callback, before = StopBetweenSteps(), signal.getsignal(signal.SIGINT)
    callback._on_training_start()
    assert signal.getsignal(signal.SIGINT) is not before
    callback._on_training_end()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_train_without_a_handler() -> None:
    callback, before = StopBetweenSteps(), signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=callback._on_training_start)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    callback.restore()
