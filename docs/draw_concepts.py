"""Draws the pictures of docs/concepts: one phone uploads ResNet-18 in different orders and to different servers.

From the repository's root: python docs/draw_concepts.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#e69f00", "#009e73", "0.55"


def main() -> None:
    """Draw all pictures, and print their names."""
    sys.path.insert(0, str(ROOT))
    for name, drawn in (("upload", upload()), ("order", placement_and_order()), ("score", score())):
        path = PICTURES / f"{name}.png"
        drawn.savefig(path, dpi=110, metadata={"Software": None})
        print(path.relative_to(ROOT))


def upload() -> Any:
    """Return the picture of one plan: layers on the uplink above, and below how long a query takes meanwhile."""
    timeline = _played(_phone(), [(layer,) for layer in range(12)], 1)
    figure = _figure(9.0, 4.8)
    lane, delay = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3.2))
    for index, one in enumerate(timeline.uploads):
        colour = BLUE if index % 2 == 0 else GREEN
        lane.broken_barh([(one.start_s, one.end_s - one.start_s)], (0, 1), color=colour, edgecolor="white")
        if one.end_s - one.start_s > 0.5:
            lane.text((one.start_s + one.end_s) / 2, 0.5, f"{index + 1}", color="white", ha="center", va="center")
    lane.set(yticks=[], title="the uplink: layers 1 to 12 of ResNet-18, one after another")
    _curve(delay, timeline, BLUE, "")
    delay.axhline(timeline.device_delay_s[0], color=GREY, linestyle=":")
    delay.text(13, timeline.device_delay_s[0] - 0.045, "on the phone alone", color="0.3")
    arrival_s = timeline.uploads[7].end_s
    for axes in (lane, delay):
        axes.axvline(arrival_s, color=ORANGE, linewidth=1.2)
    note = "layer 8 has arrived:\nfrom now on queries use it"
    _arrow(delay, note, (arrival_s, timeline.delay_s(arrival_s)[0]), (arrival_s + 1.2, 0.46))
    note = "all layers are there:\nthe edge does everything"
    _arrow(delay, note, (timeline.uploads[-1].end_s, timeline.delay_s(20.0)[0]), (13.6, 0.3))
    _label(delay, "a query that starts at this time takes")
    return figure


def placement_and_order() -> Any:
    """Return the picture of the two decisions: three orders of one placement, and three placements."""
    phone = _phone()
    figure = _figure(9.0, 4.2)
    orders, places = figure.subplots(1, 2, sharey=True)
    front = _played(phone, [(layer,) for layer in range(12)], 1)
    _curve(orders, front, BLUE, "front to back, layer by layer")
    _curve(orders, _played(phone, [(layer,) for layer in reversed(range(12))], 1), ORANGE, "back to front", "--")
    _curve(orders, _played(phone, [tuple(range(12))], 1), GREEN, "all at once, usable at the end", "-.")
    _label(orders, "one placement (all to the edge), three orders")
    half = [(layer,) for layer in range(6)]
    _curve(places, front, BLUE, "all to the edge")
    _curve(places, _played(phone, half, 1), ORANGE, "first half to the edge, rest on the phone", "--")
    _curve(places, _played(phone, [(layer,) for layer in range(12)], 2), GREEN, "all to the cloud", "-.")
    _label(places, "three placements, front to back")
    for axes in (orders, places):
        axes.set_ylim(0, 1.05)
        axes.legend(frameon=False, loc="upper right")
    places.set_ylabel("")
    return figure


def score() -> Any:
    """Return the picture of the score: the area under the curve, and the line at its mean height."""
    timeline = _played(_phone(), [(layer,) for layer in range(12)], 1)
    figure = _figure(9.0, 3.6)
    axes = figure.subplots()
    times, delays = _steps(timeline)
    axes.fill_between(times, delays, step="post", color=BLUE, alpha=0.25, linewidth=0)
    _curve(axes, timeline, BLUE, "delay of a query that starts at this time")
    axes.axhline(timeline.mean_delay_s, color=ORANGE, linestyle="--", label="J: the mean height of the shaded area")
    axes.axhline(timeline.device_delay_s[0], color=GREY, linestyle=":", label="J if nothing is uploaded")
    _label(axes, "")
    axes.set_ylim(0, 0.82)
    axes.legend(frameon=False, loc=(0.5, 0.5))
    return figure


def _phone() -> Any:
    from dnnmig_env.scenarios.file import load_scenario

    return load_scenario(ROOT / "examples" / "one_phone.yaml")


def _played(scenario: Any, partitions: list[tuple[int, ...]], server: int) -> Any:
    from dnnmig_env.simulation.plan import Plan, Upload
    from dnnmig_env.simulation.simulator import simulate

    return simulate(scenario, Plan(tuple(Upload(0, server, layers) for layers in partitions)))


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _steps(timeline: Any) -> tuple[list[float], list[float]]:
    times = [*timeline.event_time_s, timeline.scenario.horizon_s]
    return times, [*timeline.event_delay_s[:, 0], timeline.event_delay_s[-1, 0]]


def _curve(axes: Any, timeline: Any, colour: str, label: str, pattern: str = "-") -> None:
    times, delays = _steps(timeline)
    axes.step(times, delays, where="post", color=colour, linestyle=pattern, linewidth=2, label=label)


def _label(axes: Any, title: str) -> None:
    axes.set(xlabel="time (s)", ylabel="delay of a query (s)", xlim=(0, 20), title=title)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)


def _arrow(axes: Any, text: str, tip: tuple[float, float], at: tuple[float, float]) -> None:
    axes.annotate(text, tip, at, arrowprops={"arrowstyle": "->", "color": "0.3"}, color="0.2")


if __name__ == "__main__":
    main()
