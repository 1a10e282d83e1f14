"""The panels of pictures: colours that tell users apart, and rows that several timelines share."""

from __future__ import annotations

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dnnmig_env.simulation.plan import plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.lane_bars import RADIO, WIRE, Lane
from dnnmig_env.simulation.timelines.panels import COLOURS, draw_uploads, row_names, used_lanes, user_colour
from tests.hand_made import walk


def luminance(colour: str) -> float:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_users_have_colours_of_their_own() -> None:
    assert [user_colour(user) for user in range(8)] == list(COLOURS)
    assert len({user_colour(user) for user in range(24)}) == 24
    assert user_colour(24) == user_colour(0)
    for user in range(8):  # those who share a hue differ when it is printed in grey
        greys = [luminance(user_colour(user + 8 * shade)) for shade in range(3)]
        assert greys[0] - greys[1] > 30 and greys[1] - greys[2] > 12


def test_timelines_share_rows_and_each_bar_is_in_its_own() -> None:
    by_radio = simulate(walk(), plan_of([(1, 0, 1)]))
    by_wire = simulate(walk(), plan_of([(0, 0, 2), (2, 0, 2)]))
    lanes = used_lanes([by_wire, by_radio])
    assert lanes == [Lane(1, RADIO), Lane(1, WIRE), Lane(2, RADIO)]
    assert row_names(walk(), lanes) == ["s1 radio", "s1 wire", "s2 radio"]
    rows = []
    for timeline in (by_radio, by_wire):
        figure = Figure()
        FigureCanvasAgg(figure)
        axes: Any = figure.subplots()
        axes.set_xlim(0, 10)
        draw_uploads(axes, timeline, lanes)
        assert [label.get_text() for label in axes.get_yticklabels()] == row_names(walk(), lanes)
        rows.append(sorted((round(bar.get_y() + 0.37), bar.get_x()) for bar in axes.patches))
    assert rows == [[(0, 0.0)], [(1, 0.0), (2, 4.0)]]
