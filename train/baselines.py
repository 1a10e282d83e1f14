"""Policies that are drawn beside the learning curve. Each is played once per run, and drawn as a horizontal line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from stable_baselines3.common.logger import TensorBoardOutputFormat
from tqdm import tqdm

from agents.policies.policy import Policy
from dnnmig_env.arrays import Floats
from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.strict_model import Form, checked
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from train.charts import DELAY, RATIO, REFERENCE, SHARE, add, mean_ratio
from train.held_out import HeldOut


class Line(Form):
    """What a baseline achieves on the held-out scenarios, and how far its line is drawn.

    Attributes:
        mean_delay_s: Mean query delay, in seconds.
        share_of_device_only: Mean over scenarios of the delay divided by the device-only delay.
        drawn_to: The step at which the line ends; -1 if it is not drawn yet.
        delays_s: Delay in each scenario, in seconds; none in files of former versions.
    """

    mean_delay_s: float = Field(gt=0.0, allow_inf_nan=False)
    share_of_device_only: float = Field(gt=0.0, allow_inf_nan=False)
    drawn_to: int = Field(ge=-1)
    delays_s: list[Annotated[float, Field(gt=0.0, allow_inf_nan=False)]] = Field(default_factory=list)


class _Lines(Form):
    lines: dict[str, Line]


def read_lines(file: Path) -> dict[str, Line]:
    """Return the baselines that have been played, by name; none if there is no such file.

    Raises:
        ValueError: If the file is damaged.
    """
    if not file.exists():
        return {}
    try:
        return dict(checked(_Lines, {"lines": parse_json(read_text(file))}).lines)
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}; remove it, and baselines are played again.") from None


def play_baselines(
    baselines: Mapping[str, Policy], held_out: HeldOut, file: Path, curves: Path, total_steps: int
) -> dict[str, Line]:
    """Play the baselines that have not been played before, and draw the lines up to the last step.

    Args:
        baselines: The policies by name.
        held_out: The scenarios.
        file: JSON file that keeps the results.
        curves: Folder of TensorBoard curves; each baseline is a run of its own in it.
        total_steps: Where lines end.

    Returns:
        The baselines by name.
    """
    lines = read_lines(file)
    for name, policy in baselines.items():
        if name not in lines or len(lines[name].delays_s) != len(held_out.scenarios):
            with tqdm(desc=f"baseline {name}", unit=" steps", leave=False) as bar:
                delays = held_out.play(policy, partial(bar.update, 1))
            lines[name] = Line(
                mean_delay_s=delays.mean_s,
                share_of_device_only=delays.share_of_device_only,
                drawn_to=lines[name].drawn_to if name in lines else -1,
                delays_s=delays.policy_s.tolist(),
            )
            _write(file, lines)
    reference_s = reference_delays_s(lines)
    for name in baselines:
        line = lines[name]
        charts = {DELAY: line.mean_delay_s, SHARE: line.share_of_device_only}
        if reference_s is not None:
            charts[RATIO] = mean_ratio(np.array(line.delays_s), reference_s)
        ends = [step for step in (0, total_steps) if step > line.drawn_to]
        if ends:
            output = TensorBoardOutputFormat(str(curves / _folder(name)))
            for step in ends:
                add([output], charts, step)
            output.close()
            lines[name] = line.model_copy(update={"drawn_to": total_steps})
            _write(file, lines)
    return {name: lines[name] for name in baselines}


def _folder(name: str) -> str:
    """Return the name of the folder of a baseline's curves: the end of its name, if that is too long for a folder."""
    return name.strip("/").replace("/", "_")[-200:]


def reference_delays_s(lines: Mapping[str, Line]) -> Floats | None:
    """Return the delays of `train.charts.REFERENCE` in the scenarios, shape (N,); None if it is no baseline."""
    return np.array(lines[REFERENCE].delays_s) if REFERENCE in lines else None


def _write(file: Path, lines: Mapping[str, Line]) -> None:
    replace_text(file, json.dumps({name: line.model_dump() for name, line in lines.items()}, indent=1) + "\n")
