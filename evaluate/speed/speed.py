"""The command `speed`: measures the chosen parts one after another, prints tables and writes one JSON file."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from rich.console import Console

from dnnmig_env.files.atomic_file import replace_text
from dnnmig_env.files.provenance import machine, versions
from evaluate.output.folder import as_json
from evaluate.output.tables import print_table
from evaluate.speed.config import SpeedConfig

NEEDS = {"kernel": "networkx", "pymoo": "pymoo"}
"""Packages that parts need and that do not come with the project."""


def measure(config: SpeedConfig) -> dict[str, Any]:
    """Measure the chosen parts, print tables, write the file and return its contents.

    Raises:
        ValueError: If the config is not valid or the file cannot be written.
    """
    from dnnmig_env.compiling.threads import at_most_threads

    _check(config)
    with at_most_threads(config.threads) as threads:
        return _measure(config, threads)


def _measure(config: SpeedConfig, threads: int) -> dict[str, Any]:
    parts = config.chosen_parts
    begun = {"machine": {**machine(), "threads": threads, "load_before": _load()}, "versions": versions()}
    result: dict[str, Any] = {**begun, "seconds": config.seconds, "repeats": config.repeats}
    if "env" in parts:
        result["env"] = _environment(config)
    if "training" in parts:
        from evaluate.speed.training import measure_training

        result["training"] = training = measure_training(config.seconds, config.repeats)
        rows = [
            ("the environment", _count(training["steps_per_s"])),
            ("one that costs nothing", _count(training["steps_per_s_free_environment"])),
            ("ratio", f"{training['ratio']:.2f}"),
        ]
        _show(f"Training, {training['algorithm']}", ("with", "steps/s"), rows)
    if "kernel" in parts:
        from evaluate.speed.planning import measure_kernel

        result["kernel"] = kernel = measure_kernel(config.seconds, config.repeats)
        rows = [(name, _count(each["per_s"])) for name, each in kernel["plans_per_s"].items()]
        rows.append(("1 thread / plain Python", f"{kernel['kernel_to_plain']:.0f}"))
        _show("Plans evaluated", ("by", "plans/s"), rows)
    if "pso-ga" in parts:
        from evaluate.speed.planning import measure_pso_ga

        result["pso_ga"] = pso_ga = measure_pso_ga(config.repeats)
        rows = [("100 particles, 1000 iterations", f"{pso_ga['seconds']:.2f}")]
        _show("PSO-GA", ("search", "seconds"), rows)
    if "pymoo" in parts:
        result["pymoo"] = _beside_pymoo(config)
    if "local-search" in parts:
        result["local_search"] = _local_search(config)
    replace_text(config.out, as_json(result))
    print(f"written to {config.out}")
    return result


def _local_search(config: SpeedConfig) -> dict[str, Any]:
    from evaluate.speed.planning import measure_local_search

    found = measure_local_search(config.seconds, config.repeats)
    annealing, greedy = found["evaluations_per_s"], found["joint_efficiency"]
    rows = [
        ("local search, evaluations/s", _count(annealing["per_s"]), _count(annealing["per_cpu_s"])),
        ("joint efficiency, ms", f"{1e3 * greedy['seconds']:.1f}", f"{1e3 * greedy['cpu_seconds']:.1f}"),
    ]
    _show("Planning, 1 core, 4 users x 16 layers", ("what", "by the clock", "of CPU time"), rows)
    return found


def _environment(config: SpeedConfig) -> list[dict[str, Any]]:
    from evaluate.speed.environment import measure_environment

    cases = []
    with Console(stderr=True).status("environment") as status:
        for case in measure_environment(config.seconds, config.repeats):
            cases.append(case)
            status.update(f"environment: {case['case']} measured")
    rows = [
        (
            case["case"],
            str(case["num_envs"]),
            _count(case["per_s"]),
            _count(case["per_cpu_s"]),
            f"{case['choosing_share']:.0%}",
        )
        for case in cases
    ]
    headings = ("environment", "rows", "decisions/s", "per CPU second", "choosing")
    _show("Random legal actions", headings, rows)
    return cases


def _beside_pymoo(config: SpeedConfig) -> dict[str, Any]:
    from evaluate.speed.pymoo_search import measure_pymoo

    with Console(stderr=True).status("searches beside those of pymoo"):
        found = measure_pymoo(config.repeats)
    rows = [
        (name, _count(each["per_s"]), _count(each["per_cpu_s"]), f"{each['mean_delay_s']:.3f}")
        for name, each in found["searches"].items()
    ]
    headings = ("search", "evaluations/s", "per CPU second", "delay found [s]")
    _show(f"Placements, {_count(found['evaluations'])} evaluations each", headings, rows)
    for pair, ratio in found["speed_ratios"].items():
        print(f"{pair}: {ratio:.0f} times the evaluations per second")
    print()
    return found


def _check(config: SpeedConfig) -> None:
    if config.repeats < 1:
        raise ValueError(f"--repeats is {config.repeats}; it must be at least 1.")
    if not 0 < config.seconds < math.inf:
        raise ValueError(f"--seconds is {config.seconds}; it must be positive and finite.")
    if config.threads < 1:
        raise ValueError(f"--threads is {config.threads}; it must be at least 1.")
    for part, package in NEEDS.items():
        if part in config.chosen_parts and find_spec(package) is None:
            raise ValueError(
                f"--parts has {part!r}, which needs {package}, which is not installed; "
                f"run `pip install -c constraints.txt {package}` or leave it out."
            )
    if config.out.is_dir():
        raise ValueError(f"--out is {config.out}, which is a folder; name a JSON file.")
    if not config.out.absolute().parent.is_dir():
        raise ValueError(f"--out is {config.out}, but {config.out.parent} is no folder; create it or name another.")


def _load() -> list[float] | None:
    """Return how busy the machine is: the mean numbers of running processes in the last 1, 5 and 15 minutes."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def _show(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    print_table(title, headings, rows)
    print()


def _count(per_s: float) -> str:
    return f"{per_s:,.0f}".replace(",", " ")
