"""`python -m evaluate show`: pictures of what policies do in one scenario, and an animation where users move."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dnnmig_env.__main__ import main as problem
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.file import load_scenario
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_file import load_plan
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.timelines.panels import user_colour
from evaluate.__main__ import main
from evaluate.compare.rollout import Arena
from evaluate.show import animation, plots
from evaluate.show.plots import delays_png, mean_delays_s, uploads_png
from tests.strategies import random_case, random_moving_case

FILE = str(Path(__file__).parents[3] / "examples" / "one_phone.yaml")


def test_an_episode_on_the_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["--family", "mobile", "--seed", "2", "--policies", "joint-efficiency@forecast,random", "--frames", "3"]
    assert main(["show", *words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "mobile: 1 scenario, seed 2" in printed and "joint-efficiency@forecast" in printed
    assert {path.name for path in out.iterdir()} == {
        "config.json",
        "delays.png",
        "map.gif",
        "plans",
        "scenarios",
        "uploads.png",
    }
    with Image.open(out / "map.gif") as movie:
        assert (movie.format, movie.n_frames) == ("GIF", 3)  # type: ignore[attr-defined]
    for name in ("delays.png", "uploads.png"):
        with Image.open(out / name) as picture:
            assert picture.format == "PNG"
    for policy in ("joint-efficiency@forecast", "random"):
        files = ["--scenario", str(out / "scenarios" / "0.json"), "--plan", str(out / "plans" / policy / "0.json")]
        assert problem(["simulate", *files]) == 0
    assert json.loads((out / "config.json").read_text())["config"]["frames"] == 3
    assert main(["show", *words, "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_actions_are_replayed_once_per_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed, plans = [], Arena.plans

    def noted(self: Arena, actions: Any) -> Any:
        for plan in plans(self, actions):
            replayed.append(plan)
            yield plan

    monkeypatch.setattr(Arena, "plans", noted)
    policies = ["front-to-back", "joint-efficiency"]
    assert main(["show", "--scenario-file", FILE, "--policies", ",".join(policies), "--out", str(tmp_path)]) == 0
    assert len(replayed) == 2
    for policy, plan in zip(policies, replayed, strict=True):
        saved = load_plan(tmp_path / "plans" / policy / "0.json", load_scenario(Path(FILE)))
        assert (saved.plan, saved.policy) == (plan, policy)


def test_a_scenario_file_in_which_nobody_moves_has_no_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["show", "--scenario-file", FILE, "--policies", "front-to-back", "--out", str(out)]) == 0
    assert "no map.gif: the scenario does not say where users are" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"config.json", "delays.png", "plans", "uploads.png"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--policies", "random,device-only,front-to-back,ionn"],
            "--policies has 4 names; the pictures have room",
        ),
        (["--policies", "random", "--frames", "-1"], "--frames is -1; give 0 to 300"),
        (["--policies", "random", "--frames", "1000"], "--frames is 1000; give 0 to 300"),
        (["--policies", "random", "--scenario-file", FILE, "--seed", "1"], "--seed says how to draw scenarios"),
        (["--policies", "random", "--family", "citi"], "did you mean 'city'"),
        (["--policies", "rndom"], "unknown planner 'rndom'"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *arguments, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("case", [random_case, random_moving_case])
def test_the_mean_over_time_is_the_mean_delay(case: Any) -> None:
    for seed in range(10):
        timeline = simulate(*case(seed))
        delays_s, device_s = mean_delays_s(timeline)
        lasting_s = np.diff(np.append(timeline.event_time_s, timeline.scenario.horizon_s))
        rates = np.array([np.asarray(user.query_rate_hz)[timeline.event_slot] for user in timeline.scenario.users])
        queries = rates.sum(axis=0) * lasting_s
        np.testing.assert_array_equal(np.isnan(delays_s), rates.sum(axis=0) == 0)
        assert np.nansum(delays_s * queries) / queries.sum() == pytest.approx(timeline.mean_delay_s)
        assert np.nansum(device_s * queries) / queries.sum() == pytest.approx(timeline.mean_device_delay_s)


def test_nothing_is_cut_off_and_every_axis_has_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    png = plots._png
    monkeypatch.setattr(plots, "_png", lambda figure: (figures.append(figure), png(figure))[1])
    scenario = scenarios("multi-user", 1, seed=1, num_users=10)[0]
    users = tuple(replace(user, name=f"{user.name}-{'x' * 30}") for user in scenario.users)
    scenario = replace(scenario, users=users)
    for given in (scenario, scenarios("mobile", 1, seed=1)[0]):
        timeline = simulate(given, Plan())
        for draw in (uploads_png, delays_png):
            with Image.open(io.BytesIO(draw("a title", {"one": timeline, "two$" * 20: timeline}))) as picture:
                assert picture.size[0] == 1210
    for figure in figures:
        width, height = figure.bbox.size
        for axes in (axes for axes in figure.axes if axes.get_visible()):
            box: Any = axes.get_tightbbox()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        legend = figure.legends[0].get_window_extent()
        assert legend.x0 >= 0 and legend.y0 >= 0 and legend.x1 <= width
        assert min(axes.get_tightbbox().y0 for axes in figure.axes if axes.get_visible()) >= legend.y1  # type: ignore[union-attr]
        labels = {axes.get_xlabel() for axes in figure.axes} | {axes.get_ylabel() for axes in figure.axes}
        assert "time (s)" in labels and labels <= {"time (s)", "query delay (s)", "server", "lane", ""}
        assert figure.axes[0].get_shared_x_axes().joined(figure.axes[0], figure.axes[1])


def test_each_user_has_the_delays_of_each_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    scenario, plan = random_moving_case(4)
    timelines = {"one": simulate(scenario, plan), "two": simulate(scenario, Plan())}
    delays_png("title", timelines)
    for user in range(len(scenario.users)):
        axes = figures[0].axes[user + 1]
        assert axes.get_title(loc="left").startswith(f"{user}: {scenario.users[user].name} (")
        for place, timeline in enumerate(timelines.values()):
            shown = np.where(timeline.present[:, user], timeline.event_delay_s[:, user], np.nan)
            np.testing.assert_array_equal(axes.lines[2 * place + 1].get_ydata()[:-1], shown)


def test_one_user_has_one_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(plots, "_png", lambda figure: figures.append(figure) or b"")
    timeline = simulate(scenarios("single", 1, seed=3)[0], Plan())
    delays_png("title", {"one": timeline})
    (axes,) = figures[0].axes
    assert axes.get_title(loc="left").startswith("0: ")
    assert axes.get_xlabel() == "time (s)"
    assert axes.get_ylabel() == "query delay (s)"
    np.testing.assert_array_equal(axes.lines[1].get_ydata()[:-1], timeline.event_delay_s[:, 0])


def test_a_crowd_is_named_as_far_as_there_is_room_and_in_colours_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Any] = []
    pixels = animation.to_rgb
    monkeypatch.setattr(animation, "to_rgb", lambda figure: (figures.append(figure), pixels(figure))[1])
    scenario = scenarios("mobile", 1, seed=1, num_users=30, networks="mobilenet_v2")[0]
    timeline = simulate(scenario, Plan())
    with Image.open(io.BytesIO(animation.map_gif("title", {"one": timeline}, 1))) as movie:
        assert movie.size[0] == round(4.6 * 90)
        colours = {colour for _, colour in movie.convert("RGB").getcolors(10**6) or []}
    here = np.flatnonzero(timeline.present[-1])
    for user in here.tolist():  # all run on their devices, so that each has a rim and a number of its colour
        name = user_colour(user)
        assert tuple(int(name[k : k + 2], 16) for k in (1, 3, 5)) in colours
    (figure,) = figures
    texts = [*figure.texts, *(axes.title for axes in figure.axes), *(axes._left_title for axes in figure.axes)]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
    assert "and 7 more" in figure.texts[0].get_text().replace("\xa0", " ")
