"""Tells with what a result was made: the versions of packages, the commit and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("dnnmig", "gymnasium", "numba", "numpy", "sb3-contrib", "scipy", "simpy", "stable-baselines3", "torch")


def versions() -> dict[str, str]:
    """Return the versions of Python and of those `PACKAGES` that are installed, and the commit, by name.

    A "+" after the commit means that tracked files have changed since. The commit is that of the repository in which
    this file is tracked; an installed copy has none, even where it lies inside the repository of another project.
    """
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit and _git("ls-files", Path(__file__).name):
        found["commit"] = commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    return found


def machine() -> dict[str, str | int]:
    """Return the processor's name, the cores this process may use and the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"processor": _processor(), "cores": cores, "system": platform.platform()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _git(*arguments: str) -> str:
    folder = Path(__file__).resolve().parent
    try:
        result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
