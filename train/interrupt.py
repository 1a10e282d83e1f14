"""Ctrl-C during training: noted at once, acted upon between two steps.

Python raises KeyboardInterrupt wherever it happens to be. If that is in a finaliser or a callback of a library, the
exception is printed and forgotten, and the training goes on as if nothing had happened.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback


class StopBetweenSteps(BaseCallback):
    """Raises KeyboardInterrupt after the step in which Ctrl-C is pressed; if it is pressed again, at once."""

    def __init__(self) -> None:
        super().__init__()
        self._pressed = False
        self._previous: Any = None

    def _on_training_start(self) -> None:
        if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
            self._previous = signal.signal(signal.SIGINT, self._note)

    def _on_step(self) -> bool:
        if self._pressed:
            self.restore()
            raise KeyboardInterrupt
        return True

    def _on_training_end(self) -> None:
        self.restore()

    def restore(self) -> None:
        """Give Ctrl-C the meaning back that it had before training."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._pressed:
            self.restore()
            raise KeyboardInterrupt
        self._pressed = True
