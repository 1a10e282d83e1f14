"""The folder of a training run: what lies in it, and how it is begun without ever overwriting another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.provenance import machine, versions
from train.config import TrainConfig

CONFIG, VERSIONS, CURVES, HELD_OUT = "config.json", "versions.json", "tensorboard", "held_out.csv"
"""Names of the configuration, the versions, the folder of TensorBoard curves, and the points of the learning curve."""


def check_free(folder: Path) -> None:
    """Check that a new run may begin in a folder.

    Raises:
        ValueError: If something is in it already, or it is a file.
    """
    if folder.is_dir() and any(folder.iterdir()):
        remedy = f"go on with --resume {folder}, or choose" if (folder / VERSIONS).is_file() else "choose"
        raise ValueError(f"folder {folder} is not empty; {remedy} another --out.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose another --out.")


def begin(folder: Path, config: TrainConfig) -> None:
    """Make the folder and write the configuration, and the versions of packages and the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, config)
    replace_text(folder / VERSIONS, json.dumps({**versions(), **machine()}, indent=1) + "\n")


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write the configuration with all defaults filled in, except for the folder."""
    values = TypeAdapter(TrainConfig).dump_python(replace(config, out=None, resume=None), mode="json")
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
        values = TypeAdapter(dict[str, Any]).validate_json(file.read_text())
        if values.get("curriculum"):
            raise ValueError(f"{file} has a curriculum, which this version does not know; train anew without one.")
        # A configuration that does not say what the agent sees is of a run with plain observations.
        return TypeAdapter(TrainConfig).validate_python({"observation": "plain", **values})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{file} is damaged at {first['loc']}: {first['msg']}; mend it or train anew.") from None
