"""The map: where users are, what servers hold, what is on its way, and what a panel says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.node import Tier
from dnnmig_env.scenarios.scenario import Mobility, Scenario
from dnnmig_env.simulation.plan import Plan, Upload
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.panels import user_colour
from evaluate.show.town import (
    Arrow,
    TownPanel,
    arrows,
    has_nearest_cells,
    held_shares,
    server_positions_m,
    user_positions_m,
)
from tests.hand_made import walk

PLAN = Plan((Upload(0, 2, (0,)), Upload(1, 1, (0,)), Upload(2, 2, (0,))))
"""Ann's first layer goes from server 1 to 2 by wire until 1 s; Bob's to 1 until 1 s; Cyd's to 2 from 4 to 5 s."""


def town() -> Scenario:
    """Return `walk` on a map of 100 m, on which Ann goes from server 1 at (20, 50) to server 2 at (80, 50)."""
    positions = [[[30, 50], [20, 60], [50, 50]], [[70, 50], [50, 50], [90, 50]], [[76, 50], [50, 50], [80, 20]]]
    mobility = Mobility(positions, np.zeros((3, 3, 2)), [[20, 50], [80, 50]], area_m=100.0)
    return replace(walk(), mobility=mobility)


def panel(frames: int, plan: Plan = PLAN) -> tuple[Any, Any]:
    figure = Figure(figsize=(5, 5))
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    times_s = 10.0 * np.arange(1, frames + 1) / frames
    return TownPanel(axes, "somebody", simulate(town(), plan), times_s), axes


def test_users_go_straight_from_slot_to_slot_and_are_nowhere_while_absent() -> None:
    found = user_positions_m(town(), np.array([0.0, 2.0, 4.0, 5.5, 8.0, 10.0]))
    np.testing.assert_allclose(found[:, 0], [[30, 50], [50, 50], [70, 50], [73, 50], [76, 50], [76, 50]])
    np.testing.assert_allclose(found[:2, 1], [[20, 60], [20, 60]])  # where Bob goes once he has left is not known
    assert np.isnan(found[2:, 1]).all() and np.isnan(found[:2, 2]).all()
    np.testing.assert_allclose(found[2:4, 2], [[90, 50], [85, 35]])


def test_clouds_are_above_the_map() -> None:
    servers = (town().servers[0], replace(town().servers[1], tier=Tier.CLOUD))
    places_m = server_positions_m(replace(town(), servers=servers))
    np.testing.assert_allclose(places_m[0], [20, 50])
    assert places_m[1, 0] == 50 and places_m[1, 1] > 100


def test_cells_are_drawn_where_everybody_is_in_that_of_the_nearest_edge() -> None:
    assert has_nearest_cells(town())
    mobility: Any = town().mobility
    assert not has_nearest_cells(replace(town(), mobility=replace(mobility, server_positions_m=[[80, 50], [20, 50]])))
    assert not has_nearest_cells(replace(town(), links=replace(town().links, home=None)))
    for family in ("mobile", "city"):
        assert has_nearest_cells(scenarios(family, 1, seed=1)[0])


def test_shares_are_those_of_bytes() -> None:
    held = np.zeros((2, 3, 2, 2), np.bool_)
    held[0, 0, 0, 0] = held[1, 0, :, 1] = held[1, 2, 0, 0] = True
    shares = held_shares(town(), held)
    assert shares[0].tolist() == [[2 / 6, 0], [0, 0], [0, 0]]
    assert shares[1].tolist() == [[0, 1], [0, 0], [1, 0]]


def test_arrows_are_what_was_on_its_way_since_the_frame_before() -> None:
    timeline = simulate(town(), PLAN)
    assert arrows(timeline, 0.0, 0.5) == [Arrow(0, 1, 2), Arrow(1, 0, 1)]
    assert arrows(timeline, 0.9, 3.0) == [Arrow(0, 1, 2), Arrow(1, 0, 1)]
    assert arrows(timeline, 1.0, 3.9) == []
    assert arrows(timeline, 3.9, 4.0) == arrows(timeline, 4.2, 4.4) == [Arrow(2, 0, 2)]


def test_a_panel_shows_who_is_there_and_who_runs_on_a_device() -> None:
    shown, axes = panel(20)  # every half second
    shown.draw(8)  # 4.5 s: Bob has left, Cyd's layer is on its way, and one of Ann's two layers is on a server
    circles = {text.get_text(): text.get_bbox_patch() for text in axes.texts if text.get_bbox_patch() is not None}
    assert set(circles) == {"0", "2"}
    fills = {name: patch.get_facecolor()[:3] for name, patch in circles.items()}
    assert fills["2"] == (1.0, 1.0, 1.0)
    assert [round(255 * part) for part in fills["0"]] == [int(user_colour(0)[k : k + 2], 16) for k in (1, 3, 5)]
    # Ann's queries take 1 s, as Cyd's do, each 1 per second.
    assert axes.get_title(loc="left") == "somebody\nquery delay 1 s; 1 of 2 users on their device alone"
    shown.draw(10)  # 5.5 s
    assert axes.get_title(loc="left").endswith("query delay 0.5 s; 0 of 2 users on their device alone")


def test_a_frame_takes_the_place_of_the_one_before() -> None:
    shown, axes = panel(20)
    shown.draw(8)
    before = len(axes.get_children())
    for frame in (0, 19, 8):
        shown.draw(frame)
    assert len(axes.get_children()) == before


def test_bars_are_as_high_as_the_share_that_is_held() -> None:
    shown, axes = panel(10)
    shown.draw(9)
    heights = [bar.get_height() for bar in axes.patches if type(bar).__name__ == "Rectangle"]
    # On each server a box, then bars: Ann's 2 of 6 MB and Bob's on server 1, Ann's and Cyd's on server 2.
    np.testing.assert_allclose(heights, [9, 3, 9, 9, 3, 9])


def test_a_scenario_without_places_has_no_map() -> None:
    with pytest.raises(ValueError, match=r"mobility is None; a map needs"):
        user_positions_m(walk(), np.array([0.0]))
