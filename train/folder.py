"""The folder of a run: what lies in it, and how it is begun without ever overwriting another."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from train.config import TrainConfig

CONFIG, VERSIONS, CURVES, HELD_OUT = "config.json", "versions.json", "tensorboard", "held_out.csv"

_PACKAGES = ("dnnmig", "torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy", "numba")


def check_free(folder: Path) -> None:
    """Check that a new run may begin in a folder.

    Raises:
        ValueError: If something is there already.
    """
    if folder.is_dir() and any(folder.iterdir()):
        remedy = f"go on with --resume {folder}, or choose" if (folder / CONFIG).is_file() else "choose"
        raise ValueError(f"folder {folder} is not empty; {remedy} another --out.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose another --out.")


def begin(folder: Path, config: TrainConfig) -> None:
    """Make the folder and write the configuration and the versions of everything."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, config)
    (folder / VERSIONS).write_text(json.dumps(_versions(), indent=1) + "\n")


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write the configuration, all defaults filled in."""
    values = TypeAdapter(TrainConfig).dump_python(replace(config, out=None, resume=None), mode="json")
    (folder / CONFIG).write_text(json.dumps(values, indent=1) + "\n")


def read_config(folder: Path) -> TrainConfig:
    """Read the configuration of a run.

    Raises:
        ValueError: If the folder is no run's, or its configuration is damaged.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ValueError(f"no run to resume in {folder}: it has no {CONFIG}; give the folder that --out named.")
    try:
        return TypeAdapter(TrainConfig).validate_json(file.read_text())
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{file} is damaged at {first['loc']}: {first['msg']}; mend it or train anew.") from None


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {**versions, "commit": _commit()}


def _commit() -> str:
    """Return the commit of the code, with "-dirty" if it was changed since; "unknown" outside a repository."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
