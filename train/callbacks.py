"""What happens while SB3 learns: the learning curve is measured, models are saved, a progress bar is shown."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat
from tqdm import tqdm

from train.held_out import Delays, HeldOut

TAG_DELAY, TAG_SHARE = "heldout/mean_delay_s", "heldout/share_of_device_only"
"""Names of the two curves in TensorBoard."""
COLUMNS = ("step", "mean_delay_s", "share_of_device_only")
"""Columns of the CSV file with the points of the learning curve."""


class LearningCurve(BaseCallback):
    """Plays the held-out scenarios from time to time, adds a point to the learning curve and saves the model.

    Args:
        held_out: The scenarios.
        every: Number of decisions between two points.
        table: CSV file that receives the points, and from which a resumed run reads the best one so far.
        save: Writes the model; its argument says whether the model is the best so far.
    """

    def __init__(self, held_out: HeldOut, every: int, table: Path, save: Callable[[bool], None]) -> None:
        super().__init__()
        self._held_out, self._every, self._table, self._save = held_out, every, table, save
        self.points = read_points(table)

    @property
    def best_s(self) -> float:
        """Least mean delay on the held-out scenarios so far, in seconds."""
        return min((point[1] for point in self.points), default=np.inf)

    def measure(self) -> None:
        """Add a point to the curve now, unless there is one already, and save the model."""
        if self.points and self.points[-1][0] >= self.num_timesteps:
            return
        delays = self._held_out.play(self.model)
        is_best = delays.mean_s < self.best_s
        self.points.append((self.num_timesteps, delays.mean_s, delays.share_of_device_only))
        with self._table.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *self.points])
        _draw(self.model.logger.output_formats, delays, self.num_timesteps)
        self._save(is_best)

    def _on_training_start(self) -> None:
        self.measure()

    def _on_step(self) -> bool:
        if self.num_timesteps // self._every > self.points[-1][0] // self._every:
            self.measure()
        return True


class TrainingDelays(BaseCallback):
    """Adds the mean delays of the latest training episodes to what SB3 logs of each rollout."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes:
            delays = np.array([(info["mean_delay_s"], info["device_only_delay_s"]) for info in episodes])
            self.logger.record("rollout/mean_delay_s", float(delays[:, 0].mean()))
            self.logger.record("rollout/share_of_device_only", float((delays[:, 0] / delays[:, 1]).mean()))


class Progress(BaseCallback):
    """Shows a bar with the time left and the latest held-out delay.

    Args:
        curve: The learning curve, which has the delays.
        total_steps: Number of decisions at which training ends.
    """

    def __init__(self, curve: LearningCurve, total_steps: int) -> None:
        super().__init__()
        self._curve, self._total = curve, total_steps
        self._bar: tqdm[Any] | None = None

    def _on_training_start(self) -> None:
        self._bar = tqdm(
            total=self._total,
            initial=self.num_timesteps,
            unit=" steps",
            unit_scale=True,
            mininterval=0.5,
            dynamic_ncols=True,
        )

    def _on_step(self) -> bool:
        if self._bar is not None:
            self._bar.update(min(self.num_timesteps, self._total) - self._bar.n)
            self._bar.set_postfix_str(
                f"held-out delay {self._curve.points[-1][1]:.3f} s, best {self._curve.best_s:.3f} s", refresh=False
            )
        return True

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.close()


def read_points(table: Path) -> list[tuple[int, float, float]]:
    """Return the points of a learning curve that was written to a CSV file; none if there is no such file."""
    if not table.is_file():
        return []
    with table.open(newline="") as file:
        return [(int(step), float(delay_s), float(share)) for step, delay_s, share in list(csv.reader(file))[1:]]


def draw_line(folder: Path, delays: Delays, total_steps: int) -> None:
    """Draw a baseline as a horizontal line in TensorBoard, as a run of its own with the tags of the learning curve."""
    output = TensorBoardOutputFormat(str(folder))
    for step in (0, total_steps):
        _draw([output], delays, step)
    output.close()


def _draw(outputs: Sequence[KVWriter], delays: Delays, step: int) -> None:
    for output in outputs:
        output.write(
            {TAG_DELAY: delays.mean_s, TAG_SHARE: delays.share_of_device_only}, {TAG_DELAY: (), TAG_SHARE: ()}, step
        )
