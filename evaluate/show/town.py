"""The map of one policy's episode: users and their cells, what servers hold, and which weights are on their way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Mobility, Scenario
from dnnmig_env.simulation.timelines.holdings import held_at
from dnnmig_env.simulation.timelines.panels import user_colour
from dnnmig_env.simulation.timelines.timeline import Timeline
from evaluate.compare.plots import drawable, short_name

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

BAR, FULL, GAP = 0.022, 0.09, 0.022
"""Width of a bar, height of a full one, and distance of the bars from their server, in sides of the map."""
SKY = 0.13
"""How far above the map servers without a place are drawn, in sides of the map."""
ARC = 0.18
"""How far the arrows of wires are bent, as a share of their length, so that two ways are beside each other."""
GRID = 240
"""Points along each side of the map for which the nearest edge is found, to draw where cells end."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """Weights of a user that were on their way: from its device (0) or a server 1..S, to a server 1..S."""

    user: int
    source: int
    server: int


class TownPanel:
    """One policy's episode on the map, frame by frame.

    Args:
        axes: Where to draw.
        name: The policy.
        timeline: What happened.
        times_s: The time of each frame, shape (F,).

    Raises:
        ValueError: If the scenario does not say where users are.
    """

    def __init__(self, axes: Axes, name: str, timeline: Timeline, times_s: Floats) -> None:
        scenario = timeline.scenario
        self._axes, self._name, self._timeline, self._times_s = axes, short_name(name), timeline, times_s
        self._users_m = user_positions_m(scenario, times_s)
        self._servers_m = server_positions_m(scenario)
        self._share = held_shares(scenario, held_at(timeline, times_s.tolist()))
        self._side_m = _mobility(scenario).area_m
        self._drawn: list[Artist] = []
        self._draw_ground()

    def draw(self, frame: int) -> None:
        """Draw a frame in place of the one before it."""
        for artist in self._drawn:
            artist.remove()
        self._drawn = []
        at_s = float(self._times_s[frame])
        event = int(np.searchsorted(self._timeline.event_time_s, at_s, side="right")) - 1
        runs = self._timeline.event_assignment[event].any(axis=1)
        here = np.isfinite(self._users_m[frame, :, 0])
        self._draw_homes(frame, at_s)
        for arrow in arrows(self._timeline, float(self._times_s[frame - 1]) if frame else 0.0, at_s):
            self._draw_arrow(arrow, frame)
        for server in range(len(self._servers_m)):
            self._draw_bars(self._share[frame, :, server], self._servers_m[server])
        for user in np.flatnonzero(here).tolist():
            self._draw_user(user, self._users_m[frame, user], on_device=not runs[user])
        self._axes.set_title(f"{self._name}\n{self._summary(event, here, runs)}", fontsize=9, loc="left")

    def _summary(self, event: int, here: Bools, runs: Bools) -> str:
        if not here.any():
            return "nobody is there"
        rates = np.array(
            [np.asarray(user.query_rate_hz)[self._timeline.event_slot[event]] for user in self._timeline.scenario.users]
        )
        mean_s = float(rates @ self._timeline.event_delay_s[event] / rates.sum())
        alone = int((here & ~runs).sum())
        return f"query delay {mean_s:.3g} s; {alone} of {int(here.sum())} users on their device alone"

    def _draw_ground(self) -> None:
        axes, side_m, scenario = self._axes, self._side_m, self._timeline.scenario
        axes.set_aspect("equal")
        in_the_sky = any(server.tier == Tier.CLOUD for server in scenario.servers)
        axes.set_xlim(-0.02 * side_m, 1.02 * side_m)
        axes.set_ylim(-0.02 * side_m, (1.02 + (SKY + FULL) * in_the_sky) * side_m)
        axes.set_xlabel("x (m)", fontsize=8)
        axes.set_ylabel("y (m)", fontsize=8)
        axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= side_m])
        axes.tick_params(labelsize=7)
        axes.spines[:].set_visible(False)  # the map has borders of its own
        axes.plot([0, side_m, side_m, 0, 0], [0, 0, side_m, side_m, 0], color="0.6", linewidth=0.8, zorder=0)
        if has_nearest_cells(scenario):
            self._draw_borders()
        for server, (x, y) in zip(scenario.servers, self._servers_m, strict=True):
            axes.plot(x, y, "s", color="black", markersize=5, zorder=5)
            name = drawable(server.name if len(server.name) <= 12 else f"{server.name[:9]}...")
            axes.text(x, y - 0.018 * side_m, name, fontsize=6, ha="center", va="top", zorder=5)

    def _draw_borders(self) -> None:
        line = np.linspace(0.0, self._side_m, GRID)
        edges = [number for number, server in enumerate(self._timeline.scenario.servers) if server.tier != Tier.CLOUD]
        x, y = np.meshgrid(line, line)
        places_m = self._servers_m[edges]
        nearest = ((x[..., None] - places_m[:, 0]) ** 2 + (y[..., None] - places_m[:, 1]) ** 2).argmin(axis=-1)
        for place in range(len(edges)):
            if 0 < (nearest == place).sum() < nearest.size:
                inside = (nearest == place).astype(float)
                self._axes.contour(line, line, inside, levels=[0.5], colors="0.75", linewidths=0.8, zorder=0)

    def _draw_homes(self, frame: int, at_s: float) -> None:
        scenario = self._timeline.scenario
        slot = _slots(scenario, np.array([at_s]))[0]
        for user, home in enumerate(np.asarray(scenario.links.home)[slot].tolist()):
            if home and np.isfinite(self._users_m[frame, user, 0]):
                ends = np.stack([self._users_m[frame, user], self._servers_m[home - 1]])
                self._drawn += self._axes.plot(*ends.T, color="0.55", linestyle=":", linewidth=0.8, zorder=1)

    def _draw_arrow(self, arrow: Arrow, frame: int) -> None:
        from matplotlib.patches import FancyArrowPatch

        start = self._servers_m[arrow.source - 1] if arrow.source else self._users_m[frame, arrow.user]
        end = self._servers_m[arrow.server - 1]
        if not np.isfinite(start).all():
            return
        bend = ARC if arrow.source else 0.0
        colour = user_colour(arrow.user)
        patch = FancyArrowPatch(
            tuple(start),
            tuple(end),
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle="-|>",
            mutation_scale=11,
            color=colour,
            linewidth=1.6,
            linestyle=(0, (3, 1.5)) if arrow.source else "-",
            shrinkA=4,
            shrinkB=4,
            zorder=3,
        )
        self._drawn.append(self._axes.add_patch(patch))
        if arrow.source:  # whose weights they are, in the middle of the arc
            step = end - start
            x, y = (start + end) / 2 + bend / 2 * np.array([step[1], -step[0]])
            self._drawn.append(self._number(x, y, arrow.user, colour, "white"))

    def _draw_bars(self, shares: Floats, place_m: Floats) -> None:
        from matplotlib.patches import Rectangle

        users = np.flatnonzero(shares > 0).tolist()
        if not users:
            return
        side_m = self._side_m
        width = BAR * side_m
        left = float(np.clip(place_m[0] - width * len(users) / 2, 0.0, max(0.0, side_m - width * len(users))))
        bottom = place_m[1] + GAP * side_m
        if place_m[1] <= side_m < bottom + FULL * side_m:
            bottom = place_m[1] - (GAP + 0.03 + FULL) * side_m
        box: dict[str, Any] = {"linewidth": 0.6, "zorder": 4}
        frame = Rectangle((left, bottom), width * len(users), FULL * side_m, facecolor="white", edgecolor="0.4", **box)
        self._drawn.append(self._axes.add_patch(frame))
        for place, user in enumerate(users):
            x, height = left + place * width, FULL * side_m * float(shares[user])
            bar = Rectangle((x, bottom), width, height, facecolor=user_colour(user), edgecolor="white", **box)
            self._drawn.append(self._axes.add_patch(bar))
            middle = bottom + FULL * side_m / 2
            colour = "white" if shares[user] > 0.6 else "black"
            text = self._axes.text(x + width / 2, middle, str(user), fontsize=5.5, color=colour, zorder=5)
            text.set(horizontalalignment="center", verticalalignment="center")
            self._drawn.append(text)

    def _draw_user(self, user: int, place_m: Floats, *, on_device: bool) -> None:
        colours = ("white", user_colour(user)) if on_device else (user_colour(user), "white")
        self._drawn.append(self._number(place_m[0], place_m[1], user, *colours, zorder=7))

    def _number(self, x: float, y: float, user: int, fill: str, colour: str, zorder: int = 6) -> Artist:
        circle = {"boxstyle": "circle,pad=0.25", "facecolor": fill, "edgecolor": user_colour(user), "linewidth": 1.3}
        how: dict[str, Any] = {"ha": "center", "va": "center", "zorder": zorder, "color": colour, "bbox": circle}
        return self._axes.text(x, y, str(user), fontsize=6.5, weight="bold", **how)


def arrows(timeline: Timeline, after_s: float, until_s: float) -> list[Arrow]:
    """Return what was on its way at some time after `after_s` and before or at `until_s`, each way once, in order."""
    found = {
        Arrow(upload.user, transfer.source, upload.server)
        for upload in timeline.uploads
        for transfer in upload.transfers
        if transfer.start_s <= until_s and transfer.stop_s > after_s
    }
    return sorted(found, key=lambda arrow: (arrow.user, arrow.source, arrow.server))


def held_shares(scenario: Scenario, held: Bools) -> Floats:
    """Return which share of the bytes of each user's weights that can move each server holds, shape (F, U, S).

    Args:
        scenario: The scenario.
        held: Which servers hold each layer at F times, shape (F, U, L, S).
    """
    shares = np.zeros((len(held), held.shape[1], held.shape[3]))
    for user, row in enumerate(scenario.users):
        weight_bytes = row.graph.weight_bytes * row.graph.movable
        total = weight_bytes.sum()
        if total > 0:
            shares[:, user] = np.einsum("fls,l->fs", held[:, user, : len(row.graph)], weight_bytes) / total
    return shares


def user_positions_m(scenario: Scenario, times_s: Floats) -> Floats:
    """Return where each user is at some times, shape (F, U, 2); NaN while it is absent.

    Between the starts of two slots users go straight on, as scenarios say where they are at these times.
    """
    positions_m = np.asarray(_mobility(scenario).user_positions_m)
    starts_s = np.append(np.asarray(scenario.slot_starts_s), scenario.horizon_s)
    present = np.array([np.asarray(user.query_rate_hz) > 0 for user in scenario.users]).T
    slots = _slots(scenario, times_s)
    following = np.minimum(slots + 1, len(positions_m) - 1)
    part = (times_s - starts_s[slots]) / (starts_s[slots + 1] - starts_s[slots])
    stays = part[:, None] * present[following]
    places_m: Floats = positions_m[slots] + stays[..., None] * (positions_m[following] - positions_m[slots])
    places_m[~present[slots]] = math.nan
    return places_m


def server_positions_m(scenario: Scenario) -> Floats:
    """Return where each server is drawn, shape (S, 2): those in the cloud have no place and are above the map."""
    mobility = _mobility(scenario)
    places_m = np.array(mobility.server_positions_m, dtype=np.float64)
    clouds = [number for number, server in enumerate(scenario.servers) if server.tier == Tier.CLOUD]
    for place, number in enumerate(clouds):
        places_m[number] = mobility.area_m * (place + 1) / (len(clouds) + 1), mobility.area_m * (1 + SKY - FULL / 2)
    return places_m


def has_nearest_cells(scenario: Scenario) -> bool:
    """Return whether there are cells, and every user who is present is in that of the nearest edge."""
    home = np.asarray(scenario.links.home)
    if not home.all():
        return False
    mobility = _mobility(scenario)
    apart_m = np.asarray(mobility.user_positions_m)[:, :, None] - np.asarray(mobility.server_positions_m)
    square = (apart_m**2).sum(axis=-1)
    square[..., [server.tier == Tier.CLOUD for server in scenario.servers]] = np.inf
    present = np.array([np.asarray(user.query_rate_hz) > 0 for user in scenario.users]).T
    return bool((square.argmin(axis=-1) + 1 == home)[present].all())


def _slots(scenario: Scenario, times_s: Floats) -> Any:
    """Return the slot in which each time lies; the horizon is in the last one."""
    return np.searchsorted(np.asarray(scenario.slot_starts_s), times_s, side="right") - 1


def _mobility(scenario: Scenario) -> Mobility:
    if scenario.mobility is None:
        raise ValueError("mobility is None; a map needs a scenario that says where users are.")
    return scenario.mobility
