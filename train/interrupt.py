"""Signals during training: noted at once, acted upon between two steps.

Python raises exceptions of signals wherever it happens to be. If that is in a finaliser or a callback of a library, the
exception is printed and forgotten, and the training goes on as if nothing had happened.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import FrameType

from stable_baselines3.common.callbacks import BaseCallback

from dnnmig_env.files.signals import Stopped, handled, stop


class StopBetweenSteps(BaseCallback):
    """Raises `Stopped` after the step in which a signal comes; if another one comes, at once."""

    def __init__(self) -> None:
        super().__init__()
        self.learned_steps: int | None = None
        """Number of decisions that have been learned from; None before training."""
        self._number: int | None = None
        self._handlers = ExitStack()

    def _on_training_start(self) -> None:
        self._handlers.enter_context(handled(self._note))

    def _on_rollout_start(self) -> None:
        self.learned_steps = self.num_timesteps

    def _on_step(self) -> bool:
        self.check()
        return True

    def _on_training_end(self) -> None:
        self.learned_steps = self.num_timesteps
        self.restore()

    def check(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._number is not None:
            self.restore()
            raise Stopped(self._number)

    def restore(self) -> None:
        """Give signals the meaning back that they had before training."""
        self._handlers.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            self.restore()
            stop(number)
        self._number = number
