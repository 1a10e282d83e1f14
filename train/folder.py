"""The folder of a training run: what lies in it, and how it is begun without ever overwriting another run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dnnmig_env.families.family_file import is_family_file
from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.folder_lock import LOCK
from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.files.suggestion import suggestion
from dnnmig_env.files.text_file import read_text
from dnnmig_env.files.yaml_json import parse_json
from train.config import TrainConfig

CONFIG, VERSIONS, CURVES, HELD_OUT = "config.json", "versions.json", "tensorboard", "held_out.csv"
"""Names of the configuration, the versions, the folder of TensorBoard curves, and the points of the learning curve."""
BASELINES, COMMANDS_BEFORE = "baselines.json", "commands_before.json"
"""Names of the files with the delays of the baselines, and with the commands that made the models from which the run
learns."""

FAMILY = "family"
"""Name, without its suffix, of the copy of a file that describes the family."""

_FORMER = ("curriculum", "curriculum_share")
"""Names in configurations of former versions."""


def check_free(folder: Path) -> None:
    """Check that a new run may begin in a folder.

    Raises:
        ValueError: If something is in it already (a lock does not count), or it is a file.
    """
    if folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        remedy = f"go on with --resume {folder}, or choose" if (folder / VERSIONS).is_file() else "choose"
        raise ValueError(f"folder {folder} is not empty; {remedy} another --out.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose another --out.")


def begin(folder: Path, config: TrainConfig, device: str, before: Sequence[str]) -> None:
    """Make the folder and write the configuration, the family's file if it has one, the former commands, and versions.

    Args:
        folder: The folder.
        config: The configuration.
        device: Where torch computes, as it is named there; a GPU is told beside the machine.
        before: The commands that made the models from which the run learns (`train.commands.commands_before`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, config)
    replace_text(folder / COMMANDS_BEFORE, json.dumps(before, indent=1) + "\n")
    if is_family_file(config.family):
        replace_text(_family_copy(folder, config), read_text(Path(config.family)))
    replace_text(folder / VERSIONS, json.dumps({**versions(), **machine(), **_gpu(device)}, indent=1) + "\n")


def _gpu(device: str) -> dict[str, str]:
    if not device.startswith("cuda"):
        return {}
    import torch  # slow

    return {"gpu": torch.cuda.get_device_name(device)}


def check_family(folder: Path, config: TrainConfig) -> None:
    """Check that the file that describes a run's family, if it has one, says what it said when the run was begun.

    Raises:
        ValueError: If it has changed, or it or its copy cannot be read.
    """
    if not is_family_file(config.family):
        return
    copy = _family_copy(folder, config)
    if read_text(copy, f"{copy} is the run's copy of {config.family}: restore it") != read_text(Path(config.family)):
        raise ValueError(
            f"{config.family} has changed since the run in {folder} was begun; restore it from {copy}, or train anew."
        )


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write the configuration with all defaults filled in, except for the folder."""
    values = TypeAdapter(TrainConfig).dump_python(replace(config, out=None, resume=None), mode="json")
    del values["seeds"], values["workers"]  # those of a command with several runs
    replace_text(folder / CONFIG, json.dumps(values, indent=1) + "\n")


def read_config(folder: Path) -> TrainConfig:
    """Read the configuration of a run.

    Raises:
        ValueError: If the folder is not that of a run, or its configuration is damaged.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ValueError(f"no run to resume in {folder}: it has no {CONFIG}; give the folder that --out named.")
    try:
        values = parse_json(read_text(file))
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}; mend it or train anew.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{file} is damaged: it is no mapping of names to values; mend it or train anew.")
    if values.get("curriculum"):
        raise ValueError(f"{file} has a curriculum, which this version does not know; train anew without one.")
    known = {one.name for one in fields(TrainConfig)}
    for name in values:
        if name not in known and name not in _FORMER:
            raise ValueError(f"{file} has {name!r}, which this version does not know; {suggestion(name, known)}")
    values = {name: value for name, value in values.items() if name in known}
    try:
        return TypeAdapter(TrainConfig).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{file} is damaged at {place}: {first['msg']}; mend it or train anew.") from None


def _family_copy(folder: Path, config: TrainConfig) -> Path:
    return folder / f"{FAMILY}{Path(config.family).suffix.lower()}"
