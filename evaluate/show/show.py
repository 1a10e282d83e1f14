"""The command `show`: plays policies in one scenario, and writes pictures and an animation of what happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.compare import roll_out_all
from evaluate.compare.given import given_scenarios, title_of
from evaluate.compare.plan_files import plan_files, plan_patterns
from evaluate.compare.rollout import Arena
from evaluate.output.folder import as_json, output_folder, write_folder
from evaluate.output.tables import print_table
from evaluate.output.unfinished import as_data
from evaluate.show.animation import map_gif
from evaluate.show.config import ShowConfig
from evaluate.show.plots import delays_png, uploads_png

MAP = "map.gif"
"""Name of the animation's file."""

HEADINGS = ("policy", "mean delay [s]", "/ device", "sent [MB]")


def show(config: ShowConfig) -> dict[str, Timeline]:
    """Play every policy in the scenario, write pictures, plans and the animation, and print a table.

    Returns:
        What happened under each policy.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
    """
    comparison = config.comparison()
    names, seed = comparison.policy_names, comparison.chosen_policy_seed
    given = given_scenarios(comparison)
    title = title_of(1, comparison.scenario_seed, given.family, given.files)
    arena = Arena(given.limits, given.scenarios, given.family, generator=given.generator)
    with output_folder(config.out, overwrite=config.overwrite):
        rollouts = roll_out_all(arena, names, seed)
        scenario = given.scenarios[0]
        timelines = {name: next(arena.timelines(rollouts[name].actions)) for name in names}
        files: dict[str, str | bytes] = {
            "uploads.png": uploads_png(title, timelines),
            "delays.png": delays_png(title, timelines),
            **plan_files(given, {name: [timeline] for name, timeline in timelines.items()}),
            "config.json": as_json(
                {"config": as_data(asdict(config)), "versions": versions(), "machine": machine()},
            ),
        }
        if config.frames and scenario.mobility is not None:
            files[MAP] = map_gif(title, timelines, config.frames)
        write_folder(config.out, files, sometimes=(*plan_patterns(given), MAP))
    print_table(title, HEADINGS, _rows(timelines))
    if config.frames and scenario.mobility is None:
        print(f"no {MAP}: the scenario does not say where users are.")
    print(f"written to {config.out}")
    return timelines


def _rows(timelines: Mapping[str, Timeline]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{timeline.mean_delay_s:.3g}",
            f"{timeline.mean_delay_s / timeline.mean_device_delay_s:.3f}",
            f"{timeline.weight_bytes_sent / 1e6:.1f}",
        )
        for name, timeline in timelines.items()
    ]
