"""The figures of replayed uploads as tables, and by how much efficiency beats IONN at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluate.papers.ionn.measured_profiles import ASSUMED_SERVER_MS, MeasuredNetwork
from evaluate.papers.ionn.replay import METHODS, Replay

HEADINGS = ("network", "Mbps", *METHODS)
"""Headings of both tables."""

QUERIES, DELAY = "queries finished (partitions)", "time-average query delay [ms]"
"""Titles of the two tables."""


@dataclass(frozen=True)
class Improvement:
    """The network and rate at which efficiency beats one form of IONN by most, in one figure.

    Attributes:
        over: The form of IONN, a name in `METHODS`.
        figure: `queries_finished` or `time_average_delay_ms`.
        network: Name of the network.
        mbps: The rate.
        efficiency: The figure of efficiency.
        ionn: The figure of IONN.
        share: What efficiency gains, as a share of IONN's figure: more queries finished, or less delay. It is negative
            if efficiency gains nowhere.
    """

    over: str
    figure: str
    network: str
    mbps: float
    efficiency: float
    ionn: float
    share: float

    def __str__(self) -> str:
        what = "more queries finished" if self.figure == "queries_finished" else "less time-average delay"
        return (
            f"efficiency over {self.over}: up to {self.share:.1%} {what} "
            f"({self.network} at {self.mbps:g} Mbps: {self.efficiency:.4g} against {self.ionn:.4g})"
        )


def tables(replays: Sequence[Replay]) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of each table by its title: one row per network and rate, under `HEADINGS`."""
    rows: dict[str, list[tuple[str, ...]]] = {QUERIES: [], DELAY: []}
    for (network, mbps), by_method in _by_case(replays).items():
        queries = [f"{one.queries_finished} ({len(one.partitions)})" for one in by_method.values()]
        delays = [f"{1e3 * one.timeline.mean_delay_s:.1f}" for one in by_method.values()]
        rows[QUERIES].append((network, f"{mbps:g}", *queries))
        rows[DELAY].append((network, f"{mbps:g}", *delays))
    return rows


def greatest_improvements(replays: Sequence[Replay]) -> list[Improvement]:
    """Return where efficiency gains most over each form of IONN, in queries finished and in time-average delay."""
    found = []
    for over in ("ionn-0.5", "ionn-0.8"):
        more, less = [], []
        for case, by_method in _by_case(replays).items():
            one, other = by_method["efficiency"], by_method[over]
            queries = (one.queries_finished, other.queries_finished)
            delays = (1e3 * one.timeline.mean_delay_s, 1e3 * other.timeline.mean_delay_s)
            more.append(Improvement(over, "queries_finished", *case, *queries, queries[0] / queries[1] - 1.0))
            less.append(Improvement(over, "time_average_delay_ms", *case, *delays, 1.0 - delays[0] / delays[1]))
        found += [max(figure, key=lambda improvement: improvement.share) for figure in (more, less)]
    return found


def assumptions(networks: Sequence[MeasuredNetwork]) -> list[str]:
    """Return a sentence for each network whose server times were not measured."""
    return [
        f"{network.graph.name} has no measured server times: {ASSUMED_SERVER_MS:g} ms per layer assumed."
        for network in networks
        if network.server_is_assumed
    ]


def _by_case(replays: Sequence[Replay]) -> Mapping[tuple[str, float], dict[str, Replay]]:
    """Return the replays by network and rate, then by method."""
    cases: dict[tuple[str, float], dict[str, Replay]] = {}
    for one in replays:
        cases.setdefault((one.network, one.mbps), {})[one.method] = one
    return cases
