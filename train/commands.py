"""Which commands made a model: that of its own training, and before it those of the models from which it learned.

What they are is known when a training begins, and is written into its folder then: afterwards another agent may be
called "pretrained", and other runs may be gone.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from agents.policies.name import PRETRAINED, ModelName, parse_policy_name
from agents.pretrained import read_agent_card
from dnnmig_env.files.text_file import read_text
from train.command_line import preset
from train.config import TrainConfig
from train.folder import COMMANDS_BEFORE, read_config

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


def commands_before(config: TrainConfig, family: str) -> tuple[str, ...]:
    """Return the commands that made the models that a run begins with and imitates, as far as they are known.

    They come in the order in which they were run, each of them once. Of a model file that lies outside a run's folder,
    nothing is known, nor of the runs of former versions.

    Args:
        config: The configuration of the run.
        family: Its family, whose agent is called "pretrained".

    Raises:
        ValueError: If the folder of a run from which it learns is damaged.
    """
    learned_from = (name for name in (config.begin_with, config.warm_start) if name is not None)
    commands = (command for name in learned_from for command in _commands_of(name, family))
    return tuple(dict.fromkeys(commands))


def commands_of_run(run: Path) -> tuple[str, ...]:
    """Return the commands that made the model of a run, its own the last.

    Raises:
        ValueError: If the folder is damaged, or was written by a former version.
    """
    file = run / COMMANDS_BEFORE
    try:
        before = TypeAdapter(tuple[str, ...]).validate_json(read_text(file))
    except ValueError as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ValueError(
            f"{file} cannot be read: {said}; it is a list of the commands that made the models from which the run has "
            "learned, [] if there were none."
        ) from None
    return (*before, training_command(read_config(run)))


def _commands_of(policy: str, family: str) -> tuple[str, ...]:
    name = parse_policy_name(policy)
    if not isinstance(name, ModelName):
        return ()
    if name.model == PRETRAINED:
        return read_agent_card(family).commands
    path = Path(name.model)
    run = path if path.is_dir() else path.parent
    return commands_of_run(run) if (run / COMMANDS_BEFORE).is_file() else ()


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
