"""Pictures and text of a timeline: what they show, and that nothing imports a window system."""

import itertools
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from dnnmig_env.scenarios.node import Node, Tier
from dnnmig_env.scenarios.scenario import Links, Scenario, User
from dnnmig_env.simulation.plan import Plan, Upload, plan_of
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.lane_bars import RADIO, WIRE, Lane, lane_bars, lanes_in
from dnnmig_env.simulation.timelines.panels import COLOURS
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.viewer import FRAME_INCHES, _figure, describe, draw, frame, to_rgb
from tests import hand_made, oracle
from tests.hand_made import two_servers
from tests.strategies import random_case, random_moving_case

CHAIN = LayerGraph("net", 500_000, (Layer("a", 0, 1_000_000, 100_000, (-1,)), Layer("b", 0, 3_000_000, 100_000, (0,))))
PHONE, EDGE = Node("phone", Tier.DEVICE, 1e9, 1e9), Node("edge", Tier.EDGE, 1e9, 1e9)
PROFILE = [[1.0, 0.1, 0.1], [1.0, 0.2, 0.2]]
ANN, BOB = User("ann", CHAIN, PHONE, profile_s=PROFILE), User("bob", CHAIN, PHONE, profile_s=PROFILE)
TOY = Scenario((ANN, BOB), (EDGE, replace(EDGE, name="cloud")), Links(1e6), horizon_s=5.0, uplink="independent")
TIMELINE = simulate(TOY, plan_of([(0, 0, 1), (1, 0, 2), (0, 1, 1)]))


def _frame_figure(timeline: Timeline) -> Any:
    return _figure(timeline, FRAME_INCHES, 4)


def test_the_channel_shows_every_upload_on_its_servers_row() -> None:
    channel: Any = draw(TIMELINE).axes[0]
    assert [label.get_text() for label in channel.get_yticklabels()] == ["edge", "cloud"]
    bars = [(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in channel.patches]
    np.testing.assert_allclose(bars, [(0, 1, 0), (1, 1, 1), (2, 3, 0)])
    assert {text.get_text() for text in channel.texts} == {"a", "b"}


def test_an_upload_cut_off_is_drawn_to_the_horizon_and_one_never_begun_not_at_all() -> None:
    timeline = simulate(replace(TOY, horizon_s=1.5), plan_of([(0, 0, 1), (1, 0, 2), (0, 1, 1)]))
    channel: Any = draw(timeline).axes[0]
    bars = [(bar.get_x(), bar.get_width(), bar.get_hatch()) for bar in channel.patches]
    assert bars == [(0.0, 1.0, None), (1.0, 0.5, "////")]


def test_the_curves_are_the_delays_and_stop_while_a_user_is_absent() -> None:
    figure: Any = draw(TIMELINE)
    for user, line in enumerate(figure.axes[1].lines[:4:2]):
        np.testing.assert_array_equal(line.get_ydata()[:-1], TIMELINE.event_delay_s[:, user])
        np.testing.assert_array_equal(line.get_xdata()[:-1], TIMELINE.event_time_s)
        assert line.get_color() == COLOURS[user]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ann (net)", "bob (net)"]
    away = replace(TOY, users=(ANN, replace(BOB, query_rate_hz=[1.0, 0.0])), slot_starts_s=(0.0, 2.0))
    delays = draw(simulate(away, Plan()))
    delays_s: Any = delays.axes[1].lines[3].get_ydata()
    assert math.isnan(delays_s[-1])
    assert delays_s[0] == 2.0


def test_pixels() -> None:
    figure = draw(TIMELINE)
    pixels = to_rgb(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert pixels.dtype == np.uint8
    assert pixels.shape == (int(height), int(width), 3)
    assert pixels.flags.writeable  # a copy of its own
    wanted = [tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in COLOURS[:2]]
    for colour in wanted:
        assert np.sum(np.all(pixels == colour, axis=2)) > 500  # bars and curves of both users are there
    np.testing.assert_array_equal(to_rgb(draw(TIMELINE)), pixels)


def scenario_of(users: int, servers: int, name: str = "user") -> Scenario:
    """Return a scenario with many users and servers, which have long names."""
    profile = np.ones((2, servers + 1))
    return Scenario(
        tuple(
            User(f"{name}-{user}", replace(CHAIN, name=f"{name}-net"), PHONE, profile_s=profile)
            for user in range(users)
        ),
        tuple(replace(EDGE, name=f"{name}-server-{server}") for server in range(servers)),
        Links(1e6),
        horizon_s=5.0,
    )


SIZES = [(1, 1, "a"), (6, 3, "x" * 24), (8, 2, "user"), (40, 60, "user"), (5, 2, "x" * 150)]


@pytest.mark.parametrize(("users", "servers", "name"), SIZES)
def test_every_frame_has_the_same_size(users: int, servers: int, name: str) -> None:
    pixels = frame(simulate(scenario_of(users, servers, name), plan_of([(0, 0, 1)])))
    assert pixels.shape == (704, 990, 3)
    assert pixels.std() > 5


@pytest.mark.parametrize("drawn", [draw, _frame_figure])
@pytest.mark.parametrize(("users", "servers", "name"), SIZES)
def test_nothing_is_cut_off_and_nothing_lies_upon_another(users: int, servers: int, name: str, drawn: Any) -> None:
    figure = drawn(simulate(scenario_of(users, servers, name), plan_of([(0, 0, 1)])))
    to_rgb(figure)
    width, height = figure.bbox.size
    channel, delays = figure.axes
    headline, legend = figure.texts[0], figure.legends[0]
    boxes = [each.get_window_extent() for each in (headline, legend)] + [
        each.get_tightbbox() for each in (channel, delays)
    ]
    for box in boxes:
        assert 0 <= box.x0 <= box.x1 <= width
        assert 0 <= box.y0 <= box.y1 <= height
    top, bottom, upper, lower = boxes
    assert bottom.y1 <= lower.y0 <= lower.y1 <= upper.y0 <= upper.y1 <= top.y0
    labels = [label.get_window_extent() for label in channel.get_yticklabels()]
    assert all(later.y1 <= sooner.y0 for sooner, later in itertools.pairwise(labels))


def test_a_frame_says_how_many_users_its_legend_leaves_out() -> None:
    figure = _frame_figure(simulate(scenario_of(40, 2), Plan()))
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[:2] == ["user-0 (user-net)", "user-1 (user-net)"]
    assert texts[-1] == f"and {40 - len(texts) + 1} more users"
    texts = [text.get_text() for text in draw(simulate(scenario_of(40, 2), Plan())).legends[0].get_texts()]
    assert len(texts) == 40  # a figure has room for all


def test_anything_can_be_drawn_and_described() -> None:
    for seed in range(12):
        timeline = simulate(*random_case(seed))
        assert to_rgb(draw(timeline)).std() > 0
        text = describe(timeline)
        for user in timeline.scenario.users:
            assert user.name in text


def test_a_timeline_in_words() -> None:
    assert describe(simulate(replace(TOY, users=(ANN,), links=Links(1e6)), Plan((Upload(0, 2, (0, 1)),)))) == "\n".join(
        [
            "mean query delay 1.78 s (device only 2.00 s), 4.0 MB uploaded in 4.00 s",
            "",
            "user  network  device only  mean delay  final delay  settled after  cold start  queries",
            "ann   net      2.00 s       1.78 s      900.0 ms     4.00 s         4.90 s      3.0",
            "",
            "upload  user  server  sent    start   end     layers",
            "0       ann   cloud   4.0 MB  0.0 ms  4.00 s  a, b",
        ]
    )
    assert describe(simulate(TOY, Plan())).splitlines()[0].endswith("(device only 2.00 s), nothing uploaded")
    cut = describe(simulate(replace(TOY, horizon_s=1.5), plan_of([(0, 0, 1), (1, 0, 2), (0, 1, 1)])))
    assert "1.5 MB uploaded, not all by the horizon of 1.50 s" in cut
    assert re.search(r"1 +bob +cloud +500\.0 kB +1\.00 s +never +a\n", cut)
    assert re.search(r"2 +ann +edge +0\.0 kB +never +never +b$", cut)


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import dnnmig_env.simulation.viewer", "matplotlib"),
        (
            "from tests.strategies import random_case; from dnnmig_env.simulation.simulator import simulate;"
            "from dnnmig_env.simulation.viewer import draw, to_rgb; to_rgb(draw(simulate(*random_case(1))))",
            "matplotlib.pyplot",
        ),
    ],
)
def test_plotting_is_imported_when_drawing_and_without_windows(code: str, module: str) -> None:
    command = [sys.executable, "-c", f"import sys; {code}; sys.exit({module!r} in sys.modules)"]
    assert subprocess.run(command, check=False, cwd=Path(__file__).resolve().parents[3]).returncode == 0


def walkers() -> Timeline:
    """Return what happens when Ann goes from cell 1 to cell 2 at 2 s, where Bob sends; all at 1 MB/s.

    Ann's 5 MB: 2 in cell 1, then she waits for Bob's 6 MB until 6 s, and sends 3 MB in cell 2 until 9 s. Then she sends
    them to server 1 as well, of which 3 MB get through by the horizon. Cyd sends 1 MB in cell 1 from 2 to 3 s.
    """
    users = [
        hand_made.user("ann", [5]),
        hand_made.user("bob", [6]),
        hand_made.user("cyd", [1], query_rate_hz=[0.0, 1.0]),
    ]
    scenario = two_servers(
        users,
        home=[[1, 2, 1], [2, 2, 1]],
        slot_starts_s=(0.0, 2.0),
        horizon_s=12.0,
        uplink="independent",
        moves=True,
    )
    plan = Plan((Upload(0, 2, (0,)), Upload(1, 2, (0,)), Upload(2, 1, (0,)), Upload(0, 1, (0,), not_before_s=9.0)))
    return simulate(scenario, plan)


def test_every_lane_has_a_row_and_who_waits_has_no_bar() -> None:
    bars = lane_bars(walkers())
    found = [(*bar.lane, bar.start_s, bar.stop_s, bar.user, bar.server, bar.arrives) for bar in bars]
    assert sorted(found) == [
        (1, 0, 0.0, 2.0, 0, 2, True),
        (1, 0, 2.0, 3.0, 2, 1, True),
        (2, 0, 0.0, 6.0, 1, 2, True),
        (2, 0, 6.0, 9.0, 0, 2, True),
        (2, 0, 9.0, 12.0, 0, 1, False),
    ]
    channel: Any = draw(walkers()).axes[0]
    assert [label.get_text() for label in channel.get_yticklabels()] == ["s1 radio", "s2 radio"]
    drawn = [(bar.get_x(), bar.get_width(), round(bar.get_y() + 0.37), bar.get_hatch()) for bar in channel.patches]
    assert sorted(drawn, key=lambda bar: (bar[2], bar[0])) == [
        (0.0, 2.0, 0, None),
        (2.0, 1.0, 0, None),
        (0.0, 6.0, 1, None),
        (6.0, 3.0, 1, None),
        (9.0, 3.0, 1, "////"),
    ]
    assert "layer0 > s2" in [text.get_text() for text in channel.texts]


def test_in_no_lane_do_bars_lie_upon_each_other_and_all_that_is_sent_is_in_one() -> None:
    wires = waiting = 0
    for seed in range(60):
        timeline = simulate(*random_moving_case(seed))
        bars = lane_bars(timeline)
        for lane in lanes_in(bars):
            in_lane = sorted((bar.start_s, bar.stop_s) for bar in bars if bar.lane == lane)
            assert all(sooner[1] <= later[0] for sooner, later in itertools.pairwise(in_lane))
            wires += lane.kind
        for sent in oracle.simulate(timeline.scenario, timeline.plan).sent:
            if sent.size_bytes > 0 and sent.until_s > sent.from_s:
                lane = Lane(sent.lane[1], RADIO if sent.lane[0] == "uplink" else WIRE)
                key = lane, sent.transfer.user, sent.transfer.layer, sent.transfer.server
                assert any(
                    (bar.lane, bar.user, bar.layer, bar.server) == key
                    and bar.start_s <= sent.from_s + 1e-9
                    and sent.until_s <= bar.stop_s + 1e-9
                    for bar in bars
                )
        in_flight_s = sum(
            each.stop_s - each.start_s for one in timeline.uploads for each in one.transfers if each.source >= 0
        )
        waiting += sum(bar.stop_s - bar.start_s for bar in bars) < in_flight_s - 1e-6
        if seed % 6 == 0:  # pixels take longer than all else
            assert to_rgb(draw(timeline)).std() > 0
    assert wires > 10
    assert waiting >= 1


def test_lanes_in_words() -> None:
    text = describe(walkers())
    assert text.splitlines()[0].endswith("15.0 MB by radio and 0.0 kB by wire")  # 5 + 6 + 1 + 3
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    assert [row[:4] for row in rows] == [
        ["0", "ann", "device", "s2"],
        ["1", "bob", "device", "s2"],
        ["2", "cyd", "device", "s1"],
        ["3", "ann", "device", "s1"],
    ]
    scenario = two_servers([hand_made.user("ann", [1], uploaded=[1])], wire_mb_per_s=2.0, moves=True, horizon_s=4.0)
    timeline = simulate(scenario, plan_of([(0, 0, 2)]))
    assert describe(timeline).splitlines()[-1].split()[:4] == ["0", "ann", "s1", "s2"]
    channel: Any = draw(timeline).axes[0]
    assert [label.get_text() for label in channel.get_yticklabels()] == ["s1 wire"]
