"""The command `paper`: replays published profiles with IONN, efficiency and LMU, and writes the results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from dnnmig_env.files.provenance import machine, versions
from dnnmig_env.simulation.plan import Plan
from evaluate.output.folder import as_json, write_folder
from evaluate.output.keeping import Keeper
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import journal_in, settings_of
from evaluate.papers.ionn.config import PaperConfig
from evaluate.papers.ionn.measured_profiles import MeasuredNetwork, load_profiles
from evaluate.papers.ionn.plots import delay_curves_png
from evaluate.papers.ionn.replay import Replay, replay
from evaluate.papers.ionn.tables import HEADINGS, assumptions, greatest_improvements, tables


def reproduce(config: PaperConfig) -> list[Replay]:
    """Replay every network at every rate with every method, print tables and write the files.

    Plans are kept in a journal as they come. If there is one already, the command goes on where it was stopped.

    Raises:
        ValueError: If anything in the config or a profile is not valid; nothing has been written then.
        KeyboardInterrupt: If the command is stopped; a note says what is kept.
    """
    config.check_workers()
    rates = config.rates_mbps
    networks = load_profiles(config.profiles)
    settings = {**settings_of(config), **{f"{each.graph.name}.csv": _digest(each) for each in networks}}
    with journal_in(config.out, settings, Plan, overwrite=config.overwrite) as journal:
        return _reproduced(config, networks, rates, Keeper(journal, config))


def _digest(network: MeasuredNetwork) -> str:
    """Return a number in hexadecimal digits that differs wherever anything that was measured differs."""
    return hashlib.sha256(repr((network.graph, network.seconds.tolist())).encode()).hexdigest()


def _reproduced(
    config: PaperConfig, networks: Sequence[MeasuredNetwork], rates: Sequence[float], keep: Keeper
) -> list[Replay]:
    with Console(stderr=True).status("replaying"):
        replays = list(replay(networks, rates, keep))
    lines = [*map(str, greatest_improvements(replays)), *assumptions(networks)]
    try:
        write_folder(config.out, _files(config, networks, replays, lines))
    finally:
        for title, rows in tables(replays).items():
            print_table(title, HEADINGS, rows)
            print()
        for line in lines:
            print(line)
    print(f"written to {config.out}")
    return replays


def _files(
    config: PaperConfig, networks: Sequence[MeasuredNetwork], replays: Sequence[Replay], lines: Sequence[str]
) -> dict[str, str | bytes]:
    result = {
        "rows": [one.row() for one in replays],
        "improvements": [asdict(gain) for gain in greatest_improvements(replays)],
        "assumptions": assumptions(networks),
        "config": {"profiles": str(config.profiles), "out": str(config.out), "mbps": list(config.rates_mbps)},
        "versions": versions(),
        "machine": machine(),
    }
    texts = [f"**{title}**\n\n{markdown_table(HEADINGS, rows)}" for title, rows in tables(replays).items()]
    pictures = {
        f"{name}.png": delay_curves_png(name, [one for one in replays if one.network == name])
        for name in (network.graph.name for network in networks)
    }
    return {
        "paper.json": as_json(result),
        "table.md": "\n".join([*texts, "".join(f"- {line}\n" for line in lines)]),
        **pictures,
    }
