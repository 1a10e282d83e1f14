"""The command `mjoa-mu`: measures what MJOA-MU claims of cold starts, and writes the results.

Yang et al., Computer Networks 2023: uploading a model's later layers while its earlier ones execute, with PBT-DP's
placements and ARA's shares, takes up to 64.5 % off the execution latency. Only the abstract is known; it leaves open
what the figure is relative to. So parallel uploading is compared with several baselines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from dnnmig_env.files.provenance import machine, versions
from evaluate.output.folder import as_json, write_folder
from evaluate.output.keeping import Keeper
from evaluate.output.tables import markdown_table, print_table
from evaluate.output.unfinished import journal_in, settings_of
from evaluate.papers.mjoa_mu.cases import BASELINES, Case, cases
from evaluate.papers.mjoa_mu.config import MjoaMuConfig
from evaluate.papers.mjoa_mu.plots import study_png
from evaluate.papers.mjoa_mu.users import ACCESS_MBPS, METHODS, MJOA_MU, Started, UsersStudy, studies

PUBLISHED = 0.645
"""The greatest reduction that the paper reports."""

LIMIT = (
    "One user with a chain cannot save more than half against serial uploading: that takes the seconds of the uplink "
    "and of the query together, parallel uploading at least the greater of the two."
)

USERS_HEADINGS = ("method", "users", "delay [s]", "/ serial", "95 %", "most", "a user, most")
"""Headings of the tables of several users."""

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, headings and rows."""


def reproduce(config: MjoaMuConfig) -> dict[str, Any]:
    """Measure cold starts of one user on a grid and of several users, print tables and write the files.

    Records are kept in a journal as they come. If there is one already, the command goes on where it was stopped.

    Returns:
        The contents of `mjoa_mu.json`.

    Raises:
        ValueError: If anything in the config is not valid; nothing has been written then.
        KeyboardInterrupt: If the command is stopped; a note says what is kept.
    """
    config.check()
    with journal_in(config.out, settings_of(config), Case | Started, overwrite=config.overwrite) as journal:
        return _reproduced(config, Keeper(journal, config))


def _reproduced(config: MjoaMuConfig, keep: Keeper) -> dict[str, Any]:
    alone, together = list[Case](), list[UsersStudy]()
    edges, devices = [1e12 * speed for speed in config.edge_tflops], [1e9 * speed for speed in config.device_gflops]
    with Console(stderr=True).status("one user") as status:
        for case in cases(config.networks, config.layers, config.mbps, edges, devices, keep):
            alone.append(case)
            status.update(f"one user: {case}")
        _show(_tables_of_one(alone))
        drawn = config.users, config.scenarios, config.seed, config.networks, config.layers
        for study in studies(*drawn, (min(edges), max(edges)), (min(devices), max(devices)), keep):
            together.append(study)
            _show(_tables_of_several([study]))
            status.update(f"{study.users} users: done")
    lines = [*(_greatest(alone, baseline) for baseline in BASELINES), LIMIT]
    lines += map(_greatest_of_several, by_rates(together))
    result = {
        "published_reduction": PUBLISHED,
        "one_user": [asdict(case) for case in alone],
        "several_users": [{"mbps": study.mbps, "users": study.users, "methods": study.figures()} for study in together],
        "findings": lines,
        "config": {**asdict(config), "out": str(config.out)},
        "versions": versions(),
        "machine": machine(),
    }
    tables = [*_tables_of_one(alone), *_tables_of_several(together)]
    texts = [f"**{title}**\n\n{markdown_table(headings, rows)}" for title, headings, rows in tables]
    text = "\n".join([*texts, "".join(f"- {line}\n" for line in lines)])
    picture = study_png(alone, together, PUBLISHED)
    try:
        write_folder(config.out, {"mjoa_mu.json": as_json(result), "table.md": text, "mjoa_mu.png": picture})
    finally:
        for line in lines:
            print(line)
    print(f"written to {config.out}")
    return result


def _show(tables: Iterable[Table]) -> None:
    """Print tables as soon as they are complete, so that stopping the command does not lose them."""
    for title, headings, rows in tables:
        print_table(title, headings, rows)
        print()


def _tables_of_one(alone: Sequence[Case]) -> Iterable[Table]:
    title = "one user: % of delay that parallel uploading saves (mean, most)"
    by_network = {name: [case for case in alone if case.network == name] for name in [case.network for case in alone]}
    headings = ("against", *(heading for heading, _ in BASELINES.values()), "uploaded")
    yield f"{title}, by network", headings, [_case_row(*item) for item in by_network.items()]
    by_rate = {rate: [case for case in alone if case.mbps == rate] for rate in [case.mbps for case in alone]}
    rows = [_case_row(f"{rate:g} Mbps", group) for rate, group in sorted(by_rate.items())]
    yield f"{title}, by access rate", headings, rows


def _tables_of_several(together: Sequence[UsersStudy]) -> Iterable[Table]:
    for group in filter(None, by_rates(together)):
        title = f"several users of one edge, {_rates(group[0])}"
        yield title, USERS_HEADINGS, [_users_row(study, name) for study in group for name in METHODS]


def by_rates(together: Sequence[UsersStudy]) -> list[list[UsersStudy]]:
    """Return the studies of each range of access rates."""
    return [[study for study in together if study.mbps == mbps] for mbps in ACCESS_MBPS]


def _rates(study: UsersStudy) -> str:
    return f"{study.mbps[0]:g} to {study.mbps[1]:g} Mbps"


def _case_row(name: str, group: Sequence[Case]) -> tuple[str, ...]:
    shares = ([100 * case.reduction(baseline) for case in group] for baseline in BASELINES)
    uploaded = sum(case.uploaded for case in group) / len(group)
    return name, *(f"{sum(each) / len(each):.1f}, {max(each):.1f}" for each in shares), f"{uploaded:.0%}"


def _users_row(study: UsersStudy, name: str) -> tuple[str, ...]:
    each = study.figures()[name]
    return (
        name,
        str(study.users),
        f"{each['mean_delay_s']:.3f}",
        f"{each['relative_to_baseline']:.3f}",
        f"{each['relative_ci95'][0]:.3f} - {each['relative_ci95'][1]:.3f}",
        f"{each['greatest_reduction_of_total']:.1%}",
        f"{each['greatest_reduction_of_a_user']:.1%}",
    )


def _greatest(alone: Sequence[Case], baseline: str) -> str:
    """Return a sentence: how much parallel uploading saves at most, and where it saves as much as is published."""
    best = max(alone, key=lambda case: case.reduction(baseline))
    reached = [case for case in alone if case.reduction(baseline) >= PUBLISHED]
    said = f"One user, against {BASELINES[baseline][1]}: up to {best.reduction(baseline):.1%} less ({best}); "
    if not reached:
        return f"{said}{PUBLISHED:.1%} nowhere."
    first = min(reached, key=lambda case: case.mbps)
    return f"{said}{PUBLISHED:.1%} in {len(reached) / len(alone):.0%} of the settings, from {first.mbps:g} Mbps on."


def _greatest_of_several(group: Sequence[UsersStudy]) -> str:
    """Return a sentence: how much MJOA-MU saves of several users' delays at most."""
    figures = {study.users: study.figures()[MJOA_MU] for study in group}
    said = []
    for key, what in (("greatest_reduction_of_total", "all together"), ("greatest_reduction_of_a_user", "one of them")):
        users = max(figures, key=lambda number: figures[number][key])
        said.append(f"up to {figures[users][key]:.1%} less for {what} ({users} users)")
    return f"Several users, {_rates(group[0])}, MJOA-MU against serial uploading at equal shares: {', '.join(said)}."
