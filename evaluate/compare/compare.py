"""The comparison as a whole: scenarios and policies in, a table and files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from dnnmig_env.families.registry import make_generator
from dnnmig_env.families.registry import scenarios as drawn_scenarios
from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits
from evaluate.compare.config import Config
from evaluate.compare.plots import delays_png
from evaluate.compare.results import Results, records_csv, summary
from evaluate.compare.rollout import Arena, Rollout
from evaluate.compare.summary_table import HEADINGS, summary_rows
from evaluate.output.folder import as_json, check_folder, write_folder
from evaluate.output.tables import markdown_table, terminal_table


def compare(config: Config) -> Results:
    """Play every scenario with every policy, print the table and write the files.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
    """
    names = config.policy_names
    check_folder(config.out, overwrite=config.overwrite)
    limits, scenarios = _scenarios(config)
    arena = Arena(limits, scenarios, config.family, config.decisions)
    rollouts = roll_out_all(arena, names, config.seed)
    results = Results(config.family, config.seed, rollouts, config.objective)
    _publish(config, results)
    return results


def roll_out_all(arena: Arena, names: Sequence[str], seed: int) -> dict[str, Rollout]:
    """Play every scenario with every policy, and show progress.

    Raises:
        ValueError: If one of the policies cannot act; nothing has been played then.
    """
    # All policies are made before the first one plays, so that a wrong name ends the command here.
    policies = {name: arena.policy(name, seed) for name in names}
    rollouts: dict[str, Rollout] = {}
    with _progress() as progress:
        task = progress.add_task("", total=len(names) * arena.num_scenarios)
        for name, (policy, env) in policies.items():
            progress.update(task, description=name)
            arena.warm_up(name, seed)
            rollouts[name] = arena.roll_out(policy, env, lambda: progress.advance(task))
    return rollouts


def _scenarios(config: Config) -> tuple[Limits, list[Scenario]]:
    if config.scenario_file:
        from dnnmig_env.scenarios.file import load_scenario

        if config.generator_options:
            raise ValueError("--option and --networks say how to draw scenarios; leave them out with --scenario-file.")
        if config.family != "custom":
            make_generator(config.family)  # raises if there is no such family
        loaded = [load_scenario(path) for path in config.scenario_file]
        return Limits.of(loaded), loaded
    if config.scenarios < 1:
        raise ValueError(f"--scenarios is {config.scenarios}; evaluate at least 1.")
    if config.seed < 0:
        raise ValueError(f"--seed is {config.seed}; it must not be negative.")
    options = config.generator_options
    return make_generator(config.family, **options).limits, drawn_scenarios(
        config.family, config.scenarios, config.seed, **options
    )


def _publish(config: Config, results: Results) -> None:
    figures = results.figures()
    rows = summary_rows(figures)
    count = f"{len(results.device_only_s)} scenario{'' if len(results.device_only_s) == 1 else 's'}"
    title = f"{results.family}: {count}, seed {results.seed}, {config.decisions} decisions"
    title += ", cold-start delay" if config.objective == "cold-start" else ""
    made_with = {"config": _plain(asdict(config)), "versions": versions(), "machine": machine()}
    write_folder(
        config.out,
        {
            "summary.json": as_json(summary(results, figures)),
            "records.csv": records_csv(results),
            "table.md": markdown_table(HEADINGS, rows),
            "delays.png": delays_png(title, figures, results.delays_s, results.device_only_s),
            "config.json": as_json(made_with),
        },
    )
    console = Console()
    console.print(terminal_table(title, HEADINGS, rows))
    for name, rollout in results.rollouts.items():
        if rollout.illegal.any():
            console.print(f"{name}: {int(rollout.illegal.sum())} episodes ended by an illegal action.", markup=False)
    console.print(f"written to {config.out}", markup=False, highlight=False, soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    return {name: _text(value) for name, value in config.items()}


def _text(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_text(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
