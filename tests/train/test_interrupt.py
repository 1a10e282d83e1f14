"""Signals take effect between two steps, whatever Python is doing when they come."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from dnnmig_env.files.signals import handled, status, stop
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


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_every_signal_stops_between_steps_and_has_its_exit_status(number: signal.Signals, expected: int) -> None:
    callback, before = StopBetweenSteps(), signal.getsignal(number)
    callback._on_training_start()
    os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt) as stopped:
        callback._on_step()
    assert status(stopped.value) == expected
    assert signal.getsignal(number) is before


def test_a_closed_terminal_is_ignored_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        callback = StopBetweenSteps()
        callback._on_training_start()
        os.kill(os.getpid(), signal.SIGHUP)
        assert callback._on_step()
        callback.restore()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_training_a_signal_ends_the_command_at_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as stopped, handled(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))
    assert status(stopped.value) == 143
    assert status(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_count_of_what_was_learned_grows_when_all_of_it_was() -> None:
    callback = StopBetweenSteps()
    assert callback.learned_steps is None
    callback.num_timesteps = 128
    callback._on_rollout_start()
    callback.num_timesteps = 140
    assert callback._on_step()
    assert callback.learned_steps == 128
    callback._on_training_end()
    assert callback.learned_steps == 140
