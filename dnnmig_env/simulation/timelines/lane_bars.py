"""Which transfer is in which lane when: the bars of a picture with one row per radio cell and wire."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.timelines.upload_interval import Transfer, UploadInterval
from dnnmig_env.simulation.timelines.user_marks import MARK_PIXELS, Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_PIXELS = 1.5
"""Width of the narrowest bar."""

RADIO, WIRE = 0, 1
"""Kinds of lanes: the radio of a cell, and the wire of a server."""


class Lane(NamedTuple):
    """A lane; lanes are drawn in the order of their servers."""

    server: int
    """The server in whose cell, or by whose wire, weights are sent, 1..S; 0 = the one radio channel of all users."""
    kind: int

    def name(self, scenario: Scenario, most: int) -> str:
        """Return the lane's name of at most `most` characters for the server's name."""
        if self.server == 0:
            return "radio"
        server = shortened(scenario.servers[self.server - 1].name, most)
        return f"{server} {'radio' if self.kind == RADIO else 'wire'}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A transfer that is sent in a lane for a time.

    Attributes:
        lane: The lane.
        start_s: When it begins to be sent there.
        stop_s: When it no longer is.
        user: The user whose layer it is.
        layer: The layer.
        server: Server to which it goes, 1..S.
        arrives: Whether its last byte arrives by the horizon.
    """

    lane: Lane
    start_s: float
    stop_s: float
    user: int
    layer: int
    server: int
    arrives: bool


def lane_bars(timeline: Timeline) -> list[Bar]:
    """Return the bars of all lanes; what waits in a lane behind another transfer has none meanwhile."""
    joined = [
        (*stay, upload, transfer)
        for upload in timeline.uploads
        for transfer in upload.transfers
        if transfer.start_s < math.inf
        for stay in _stays(timeline.scenario, upload, transfer)
    ]
    # Users who come into a cell join its lane before anything starts there, in the order of their indices.
    joined.sort(key=lambda stay: (stay[1], stay[1] == stay[4].start_s, stay[3].user))
    bars, free_s = [], dict.fromkeys({stay[0] for stay in joined}, 0.0)
    for lane, join_s, leave_s, upload, transfer in joined:
        start_s = max(join_s, free_s[lane])
        if start_s < leave_s:
            bars.append(Bar(lane, start_s, leave_s, upload.user, transfer.layer, upload.server, transfer.arrives))
        free_s[lane] = max(free_s[lane], leave_s)
    return bars


def lanes_in(bars: Sequence[Bar]) -> list[Lane]:
    """Return the lanes that are used, in the order of their rows."""
    return sorted({bar.lane for bar in bars})


def lane_names(scenario: Scenario, lanes: Sequence[Lane], most: int) -> list[str]:
    """Return the names of the rows, of at most `most` characters; "-" if there is no lane."""
    return [lane.name(scenario, most - len(" radio")) for lane in lanes] or ["-"]


def add_bar(
    axes: Axes, row: int, start_s: float, width_s: float, colour: str, *, arrives: bool, line: float = 0.4
) -> None:
    """Draw a bar in a row; what never arrives is hatched. `line` is the width of its edge in points."""
    from matplotlib.patches import Rectangle

    bar = Rectangle(
        (start_s, row - 0.37),
        width_s,
        0.74,
        facecolor=colour,
        alpha=1.0 if arrives else 0.45,
        hatch=None if arrives else "////",
        edgecolor="white",
        linewidth=line,
    )
    axes.add_patch(bar)


def shortened(text: str, most: int) -> str:
    """Return a text of at most `most` characters, with dots for what is left out at its end."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def draw_lanes(axes: Axes, timeline: Timeline, colour: Callable[[int], str], lanes: Sequence[Lane]) -> None:
    """Draw each transfer in its lane, in the colour of its user; what never arrives is hatched.

    Args:
        axes: Where to draw.
        timeline: What happened.
        colour: The colour of each user.
        lanes: The lanes in the order of their rows, among them all that are used.
    """
    scenario, bars = timeline.scenario, lane_bars(timeline)
    rows = {lane: row for row, lane in enumerate(lanes)}
    pixels_per_s, spans = axes.get_window_extent().width / scenario.horizon_s, []
    for bar in bars:
        width_s, row = bar.stop_s - bar.start_s, rows[bar.lane]
        line = 0.4 if width_s * pixels_per_s > 2 * LEAST_PIXELS else 0.0
        shown_s = max(width_s, LEAST_PIXELS / pixels_per_s)
        add_bar(axes, row, bar.start_s, shown_s, colour(bar.user), arrives=bar.arrives, line=line)
        spans.append(Span(row, bar.start_s, bar.stop_s, bar.user))
        layer = scenario.users[bar.user].graph.layers[bar.layer].name
        first, server = layer.split("..")[0], scenario.servers[bar.server - 1].name  # a merged layer names both ends
        for text in (f"{layer} > {server}", f"{first} > {server}", first):
            if len(text) * 6.5 + 2 * MARK_PIXELS < width_s * pixels_per_s:
                shade = "white" if bar.arrives else "0.2"
                axes.text(
                    bar.start_s + width_s / 2,
                    row,
                    text,
                    color=shade,
                    fontsize=6,
                    ha="center",
                    va="center",
                    clip_on=True,
                )
                break
    title = "weights in each radio cell and on each wire: layer > server; hatched: never arrives"
    axes.set_title(title, fontsize=9, loc="left", color="0.3", y=1.0)


def sources_of(scenario: Scenario, upload: UploadInterval) -> str:
    """Return in words who sends the layers of a partition: once if it is the same for all, else one name per layer."""
    names = ["device", *(server.name for server in scenario.servers), "-"]
    sources = [names[transfer.source] for transfer in upload.transfers]
    return sources[0] if len(set(sources)) == 1 else ", ".join(sources)


def _stays(scenario: Scenario, upload: UploadInterval, transfer: Transfer) -> Iterator[tuple[Lane, float, float]]:
    """Yield lane, start and end of each stay of a transfer in a lane; by radio it goes from cell to cell."""
    if transfer.source > 0:
        yield Lane(transfer.source, WIRE), transfer.start_s, transfer.stop_s
        return
    home = np.asarray(scenario.links.home)[:, upload.user]
    starts_s = np.asarray(scenario.slot_starts_s)
    first = int(np.searchsorted(starts_s, transfer.start_s, side="right")) - 1
    begun_s = transfer.start_s
    for slot in range(first + 1, len(starts_s)):
        if starts_s[slot] >= transfer.stop_s:
            break
        if home[slot] != home[first]:
            yield Lane(int(home[first]), RADIO), begun_s, float(starts_s[slot])
            begun_s, first = float(starts_s[slot]), slot
    yield Lane(int(home[first]), RADIO), begun_s, transfer.stop_s
