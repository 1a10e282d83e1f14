"""The charts of TensorBoard: their names, and how points, pictures and hyperparameters are added to them.

TensorBoard sorts charts by their names, so the held-out delay comes first. Each baseline is a run of its own, whose
lines have the names of the curves beside which they are drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Image, KVWriter, TensorBoardOutputFormat
from torch.utils.tensorboard.summary import hparams

from dnnmig_env.arrays import Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.simulator import simulate
from train.config import TrainConfig
from train.gantt import gantt

DELAY, PLAN, RATIO = "held_out/mean_delay_s", "held_out/plan", "held_out/ratio_to_joint_efficiency"
SHARE, BEST, SPEED = "held_out/share_of_device_only", "hparams/best_mean_delay_s", "time/decisions_per_s"
"""Names of the charts; docs/guides/training.md says what each shows."""

REFERENCE = "joint-efficiency"
"""The planner by whose delays those of a policy are divided in the chart `RATIO`."""

_NO_HYPERPARAMETERS = (
    "device",
    "threads",
    "out",
    "learning_rate",
    "settings",
    "network",
    "held_out",
    "preset",
    "resume",
)
"""Fields of the configuration that change nothing in how a policy learns, or that are spelt out otherwise."""


def add(outputs: Sequence[KVWriter], values: Mapping[str, Any], step: int) -> None:
    """Add a point or a picture to charts.

    Args:
        outputs: Where charts are written.
        values: Numbers and pictures by the names of their charts.
        step: Number of decisions at which they stand.
    """
    for output in outputs:
        output.write(dict(values), dict.fromkeys(values, ()), step)


def mean_ratio(delays_s: Floats, reference_s: Floats) -> float:
    """Return the mean over scenarios of a policy's delay divided by the reference's; both have shape (N,).

    In it slow DNNs weigh no more than fast ones.
    """
    return float((delays_s / reference_s).mean())


def picture(scenario: Scenario, plan: Plan) -> Image:
    """Return the Gantt chart of a plan: what is uploaded when, for whom and to which server."""
    return Image(gantt(simulate(scenario, plan)), "HWC")


def add_hyperparameters(model: Any, config: TrainConfig) -> None:
    """Add the row of a run to TensorBoard's table HPARAMS.

    Its columns are left to TensorBoard, which looks at all runs: first hyperparameters in which they differ, and then
    the charts. What a run says of columns would hold for the others, too, also those of other algorithms.

    Args:
        model: The model, with its logger, `n_envs` and all its `settings`.
        config: The configuration.
    """
    values = {name: value for name, value in vars(config).items() if name not in _NO_HYPERPARAMETERS}
    values |= {"num_envs": model.n_envs, "generator": " ".join(config.generator)}
    values |= {**asdict(config.network), **model.settings}
    shown = {name: value if isinstance(value, int | float | str) else str(value) for name, value in values.items()}
    _columns, *row = hparams({name: shown[name] for name in values if values[name] is not None}, {})
    for output in model.logger.output_formats:
        if isinstance(output, TensorBoardOutputFormat) and output.writer.file_writer is not None:
            for part in row:
                output.writer.file_writer.add_summary(part)


def close_curves(model: BaseAlgorithm) -> None:
    """End the thread that writes the curves of a model, and close its file; what is left to write may be lost."""
    told = getattr(model, "_logger", None)
    if told is not None:
        with suppress(OSError):
            told.close()


def without_writers(report: Any) -> Any:
    """Return a `threading.excepthook` that omits TensorBoard's writers, whose errors come up in the main thread too."""

    def hook(failure: threading.ExceptHookArgs) -> None:
        if not (issubclass(failure.exc_type, OSError) and type(failure.thread).__module__.startswith("tensorboard.")):
            report(failure)

    return hook
