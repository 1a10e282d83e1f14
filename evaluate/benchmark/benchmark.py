"""The command `benchmark`: adds results to the best known plans and the leaderboard, checks these, freezes sets."""

from __future__ import annotations

import math
from pathlib import Path

from dnnmig_env.files.command_line import UnmetError
from dnnmig_env.replay import SAME
from dnnmig_env.simulation.simulator import simulate
from evaluate.benchmark.config import BenchmarkConfig
from evaluate.benchmark.entries import add_results
from evaluate.benchmark.freeze import freeze
from evaluate.benchmark.leaderboard import PAGE, enter
from evaluate.sets.best_known import load_best, plan_from
from evaluate.sets.frozen import FOLDER, load_set, set_names


def benchmark(config: BenchmarkConfig, folder: Path = FOLDER) -> None:
    """Do what a command line asks for.

    Args:
        config: The command line.
        folder: Where the sets lie.

    Raises:
        ValueError: If something is named that does not exist, or cannot be used.
        UnmetError: If a best known plan does not reach its delay.
    """
    if config.action == "check":
        for name in config.names or set_names(folder):
            _check(name, folder)
        return
    if not config.names:
        what = "a folder of results" if config.action == "add" else "a new set, such as multi-user-v2"
        raise ValueError(f"benchmark {config.action} names nothing; name {what}.")
    for name in config.names:
        if config.action == "freeze":
            print(f"frozen: {freeze(name, config.scenarios, config.seed, folder)}")
        else:
            _add(Path(name), folder)


def _add(results: Path, folder: Path) -> None:
    added = add_results(results, folder)
    enter(added, folder)
    for policy, count in added.improved.items():
        print(f"{added.name}: {policy} improves the best known plan of {count} scenarios.")
    if added.entries:
        print(f"entered: {folder / PAGE}")
    else:
        print(f"not entered, as not all scenarios of {added.name} were played: leave --scenarios out.")


def _check(name: str, folder: Path) -> None:
    """Replay the best known plans of a set and print how many there are."""
    frozen, best = load_set(name, folder=folder), load_best(name, folder)
    for file, scenario in zip(frozen.files, frozen.scenarios, strict=True):
        if file in best:
            found_s, said_s = (
                simulate(scenario, plan_from(best[file].plan, scenario)).mean_delay_s,
                best[file].mean_delay_s,
            )
            if not math.isclose(found_s, said_s, rel_tol=SAME):
                raise UnmetError(f"{name} {file}: the best known plan takes {found_s!r} s, not {said_s!r} s.")
    print(f"{name}: {len(frozen.files)} scenarios as frozen, {len(best)} best known plans replayed")
