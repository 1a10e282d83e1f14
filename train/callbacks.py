"""What happens while SB3 learns: the learning curve is measured, models are saved, a progress bar is shown."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from agents.learning.masked_policy import NotFiniteError
from agents.policies.own_policy import SavedModel
from dnnmig_env.arrays import Floats
from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.text_file import read_text
from train.charts import BEST, DELAY, PLAN, RATIO, SHARE, SPEED, add, mean_ratio, picture
from train.held_out import Delays, HeldOut

Point = tuple[int, float, float]
"""A point of the learning curve, as `COLUMNS` names it."""
COLUMNS = ("step", "mean_delay_s", "share_of_device_only")
"""Columns of the CSV file with the points of the learning curve."""


class LearningCurve(BaseCallback):
    """Plays the held-out scenarios from time to time, saves the model and adds a point to the learning curve.

    A model is saved before its point is, so that no point is better than the best model in the folder.

    Args:
        held_out: The scenarios.
        every: Number of decisions between two points; the model learns from those that it has begun to collect first.
        table: CSV file that receives the points, and from which a resumed run reads the earlier ones.
        best_step: Number of decisions on which the best model in the folder was trained; None if there is none.
        reference_s: Delays of `train.charts.REFERENCE` in the scenarios, shape (N,); None if it is no baseline.
        save: Writes the model; its argument says whether the model is the best so far.
        advance: Called after each step on the held-out scenarios.

    Raises:
        ValueError: If the CSV file is damaged.
    """

    def __init__(
        self,
        held_out: HeldOut,
        every: int,
        table: Path,
        best_step: int | None,
        reference_s: Floats | None,
        save: Callable[[bool], None],
        advance: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._held_out, self._every, self._table, self._save, self._advance = held_out, every, table, save, advance
        self._reference_s = reference_s
        self._resumed: tuple[int, float] | None = None  # step and clock when training last went on
        self.points = read_points(table)
        self.best: Point | None = next((point for point in self.points if point[0] == best_step), None)
        """The point of the best model in the folder."""

    def measure(self) -> None:
        """Save the model and add a point to the curve, unless there is one already."""
        if self.points and self.points[-1][0] >= self.num_timesteps:
            return
        charts: dict[str, Any] = {}
        if self._resumed is not None:
            step, clock_s = self._resumed
            charts[SPEED] = (self.num_timesteps - step) / (time.perf_counter() - clock_s)
        delays = self._held_out.play(SavedModel(self.model), self._advance)
        point = (self.num_timesteps, delays.mean_s, delays.share_of_device_only)
        is_best = self.best is None or delays.mean_s < self.best[1]
        self._save(is_best)
        lines = [COLUMNS, *self.points, point]
        replace_text(self._table, "".join(",".join(map(str, line)) + "\n" for line in lines))
        self.points.append(point)
        if self.best is None or is_best:
            self.best = point
        charts |= self._charts(delays, self.best[1])
        add(self.model.logger.output_formats, charts, self.num_timesteps)
        self._go_on()

    def _charts(self, delays: Delays, best_s: float) -> dict[str, Any]:
        """Return what a measurement adds to charts."""
        gantt = picture(self._held_out.scenarios[0], delays.first_plan)
        charts = {DELAY: delays.mean_s, SHARE: delays.share_of_device_only, BEST: best_s, PLAN: gantt}
        if self._reference_s is not None:
            charts[RATIO] = mean_ratio(delays.policy_s, self._reference_s)
        return charts

    def _go_on(self) -> None:
        self._resumed = (self.num_timesteps, time.perf_counter())

    def _on_training_start(self) -> None:
        self.measure()
        self._go_on()

    def _on_rollout_start(self) -> None:
        # Here all decisions so far have been learned from, so that nothing is lost if training goes on from this model.
        if self.num_timesteps // self._every > self.points[-1][0] // self._every:
            self.measure()

    def _on_step(self) -> bool:
        return True


class OnlyFinite(BaseCallback):
    """Ends the training at the first loss, weight, reward or value that is NaN or infinite, before a model is saved."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._check_model()

    def _on_rollout_end(self) -> None:
        buffer = getattr(self.model, "rollout_buffer", None)
        for name in ("rewards", "values", "log_probs") if buffer is not None else ():
            _check(f"{name} of the latest decisions are", np.isfinite(getattr(buffer, name)).all())

    def _on_training_end(self) -> None:
        self._check_model()

    def _check_model(self) -> None:
        for name, value in self.logger.name_to_value.items():
            _check(f"{name} ({value}) is", np.isfinite(value) or not name.endswith(("loss", "error")))
        for name, weights in self.model.policy.named_parameters():
            _check(f"weights {name} are", torch.isfinite(weights).all())


def _check(what: str, is_finite: object) -> None:
    if not is_finite:
        raise NotFiniteError(what)


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
            best = self._curve.best or self._curve.points[-1]
            self._bar.update(min(self.num_timesteps, self._total) - self._bar.n)
            self._bar.set_postfix_str(
                f"held-out delay {self._curve.points[-1][1]:.3f} s, best {best[1]:.3f} s", refresh=False
            )
        return True

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if self._bar is not None:
            self._bar.close()


def read_points(table: Path) -> list[Point]:
    """Return the points of a learning curve that was written to a CSV file; none if there is no such file.

    Raises:
        ValueError: If the file is damaged.
    """
    if not table.exists():
        return []
    try:
        text = read_text(table)
    except ValueError as error:
        raise ValueError(f"{table} cannot be read: {error}") from None
    points: list[Point] = []
    try:
        for step, delay_s, share in list(csv.reader(io.StringIO(text)))[1:]:
            point = (int(step), float(delay_s), float(share))
            if not np.isfinite(point).all() or (points and point[0] <= points[-1][0]):
                raise ValueError
            points.append(point)
    except (ValueError, OverflowError, csv.Error):
        raise ValueError(
            f"{table} is damaged at line {len(points) + 2}, which should be {','.join(COLUMNS)}, steps rising; "
            "mend that line, or remove it and all below it."
        ) from None
    return points
