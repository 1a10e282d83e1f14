"""The small Gantt chart, and the marks by which users are told apart without colours."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.panels import COLOURS
from dnnmig_env.simulation.timelines.user_marks import SHAPES, Span, mark_bars, mark_lines
from dnnmig_env.simulation.viewer import draw
from tests import hand_made
from tests.hand_made import two_servers
from tests.strategies import random_moving_case
from train.gantt import gantt

USERS = [hand_made.user("ann", [5]), hand_made.user("bob", [6], query_rate_hz=[0.0, 1.0])]
SCENARIO = two_servers(USERS, slot_starts_s=(0.0, 4.0), horizon_s=12.0, uplink="independent")


def marks_of(axes: Any) -> list[tuple[float, float, str]]:
    """Return place and shape of each mark."""
    marked = [line for line in axes.lines if line.get_marker() not in (None, "None", "")]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_marker()) for line in marked]


@pytest.mark.parametrize("users", [1, 40])
def test_every_chart_has_the_same_size_and_shows_bars(users: int) -> None:
    named = [replace(USERS[0], name=f"user-{user}") for user in range(users)]
    pixels = gantt(simulate(two_servers(named, horizon_s=12.0), plan_of([(0, 0, 1)])))
    assert pixels.shape == (286, 572, 3)
    blue = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    assert np.sum(np.all(pixels == blue, axis=2)) > 500


def test_lanes_are_drawn_too() -> None:
    assert gantt(simulate(*random_moving_case(3))).shape == (286, 572, 3)


def test_a_mark_stands_upon_the_line_of_its_user_while_that_is_there() -> None:
    timeline = simulate(SCENARIO, plan_of([(0, 0, 1)]))
    axes = Figure().subplots()
    mark_lines(axes, timeline, COLOURS[:2])
    (ann_s, ann_delay_s, ann), (bob_s, bob_delay_s, bob) = marks_of(axes)
    assert (ann_s, bob_s) == (3.0, 9.0)  # a quarter and three quarters of 12 s
    assert (ann, bob) == (SHAPES[0], SHAPES[1])
    for user, at_s, delay_s in ((0, ann_s, ann_delay_s), (1, bob_s, bob_delay_s)):
        event = np.flatnonzero(timeline.event_time_s <= at_s)[-1]
        assert delay_s == timeline.event_delay_s[event, user]
    late = replace(SCENARIO, users=(USERS[1], USERS[0]))  # Bob's mark would be at 3 s, but he comes at 4 s
    axes = Figure().subplots()
    mark_lines(axes, simulate(late, Plan()), COLOURS[:2])
    assert marks_of(axes)[0][0] == 4.0


def test_the_widest_of_the_bars_that_follow_each_other_is_marked_once() -> None:
    axes = Figure().subplots()
    bars = [
        Span(0, 0.0, 1.0, 1),
        Span(0, 1.0, 5.0, 1),
        Span(0, 5.0, 5.5, 0),
        Span(1, 0.0, 8.0, 0),
        Span(1, 20.0, 23.0, 0),
    ]
    mark_bars(axes, bars, pixels_per_s=4.0)  # a mark takes 3 s: half a second is too little, 15 s later is another bar
    assert marks_of(axes) == [(2.5, 0, SHAPES[1]), (1.5, 1, SHAPES[0]), (21.5, 1, SHAPES[0])]


def test_pictures_show_the_same_marks_on_bars_and_lines() -> None:
    figure: Any = draw(simulate(SCENARIO, plan_of([(0, 0, 1)])))
    on_bars, on_lines = (marks_of(axes) for axes in figure.axes)
    assert [shape for _, _, shape in on_bars] == [SHAPES[0]]
    assert [shape for _, _, shape in on_lines] == [SHAPES[0], SHAPES[1]]
