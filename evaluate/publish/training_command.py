"""From the configuration of a training run to the command that starts it, with only what differs from the defaults."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from train.command_line import preset
from train.config import TrainConfig

_PLACES = ("preset", "out", "resume")
"""Options that say where a run is, or how it came about; they are left out."""


def training_command(config: TrainConfig) -> str:
    """Return the command line of a training run, without the folder to which it was written.

    A run that was stopped and resumed has the command of a run that was not.
    """
    words = ["python", "-m", "train"]
    if config.preset is not None:
        words += ["--preset", config.preset]
    usual = replace(preset(config.preset, config.algorithm), algorithm=preset(config.preset).algorithm)
    return shlex.join([*words, *_options(config, usual)])


def _options(config: Any, default: Any, prefix: str = "--") -> Iterator[str]:
    for field in fields(config):
        value, usual = getattr(config, field.name), getattr(default, field.name)
        option = prefix + field.name.replace("_", "-")
        if field.name in _PLACES or value == usual:
            continue
        if is_dataclass(value):
            yield from _options(value, usual, f"{option}.")
        elif isinstance(value, bool):
            yield option if value else prefix + "no-" + field.name.replace("_", "-")
        elif isinstance(value, tuple):
            yield from (option, *map(str, value))
        else:
            yield from (option, str(value))
