"""Lets time pass on the maps of several policies, side by side, as a GIF."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dnnmig_env.simulation.timelines.panels import user_colour, user_label
from dnnmig_env.simulation.timelines.timeline import Timeline
from dnnmig_env.simulation.viewer import to_rgb
from evaluate.compare.plots import drawable
from evaluate.show.town import TownPanel

if TYPE_CHECKING:
    from PIL.Image import Image

PANEL_INCHES, DOTS_PER_INCH = 4.6, 90
FRAMES_PER_S = 6
MOST_NAMED = 24
"""Most users whose names are written below the maps."""
GREYS, TINTS = 32, (1.0, 0.75, 0.5, 0.25)
"""How many greys a picture has, and with how much of its colour it shows what belongs to a user."""

_LINE_INCHES, _CHARACTER_INCHES = 0.14, 0.063  # of the text below the maps


def map_gif(title: str, timelines: Mapping[str, Timeline], frames: int) -> bytes:
    """Return an animated GIF picture.

    Args:
        title: What to write above.
        timelines: What happened in the same scenario under each policy.
        frames: Number of frames, each for an equal part of the horizon.

    Raises:
        ValueError: If the scenario does not say where users are.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    scenario = next(iter(timelines.values())).scenario
    times_s = scenario.horizon_s * np.arange(1, frames + 1) / frames
    width = PANEL_INCHES * len(timelines)
    labels = [user_label(scenario, user) for user in range(len(scenario.users))]
    key = _key(labels, scenario.horizon_s / frames, int((width - 0.2) / _CHARACTER_INCHES))
    below_inches = 0.15 + _LINE_INCHES * len(key)
    height = below_inches + 1.2 * PANEL_INCHES
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    panels = []
    for place, (name, timeline) in enumerate(timelines.items()):
        left, bottom, top = place * PANEL_INCHES + 0.55, below_inches + 0.45, height - 0.75
        box = (left / width, bottom / height, (PANEL_INCHES - 0.65) / width, (top - bottom) / height)
        panels.append(TownPanel(figure.add_axes(box), name, timeline, times_s))
    figure.text(0.1 / width, below_inches / height, "\n".join(map(drawable, key)), fontsize=7, va="top")
    headline = figure.suptitle("", fontsize=10, y=1 - 0.08 / height, va="top")
    # All frames have the same few colours: found anew for each one, they would make the picture twice as large.
    palette, pictures = _palette(len(labels)), []
    for frame, at_s in enumerate(times_s):
        for panel in panels:
            panel.draw(frame)
        headline.set_text(f"{drawable(title)}: {at_s:.1f} s of {scenario.horizon_s:.4g} s")
        pictures.append(Image.fromarray(to_rgb(figure)).quantize(palette=palette, dither=Image.Dither.NONE))
    found = io.BytesIO()
    pictures[0].save(
        found, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / FRAMES_PER_S), loop=0
    )
    return found.getvalue()


def _palette(users: int) -> Image:
    """Return a picture whose palette has greys and the colours of users, and tints of these."""
    from PIL import Image

    colours = [[round(255 * grey / (GREYS - 1))] * 3 for grey in range(GREYS)]
    for name in dict.fromkeys(user_colour(user) for user in range(users)):
        full = [int(name[k : k + 2], 16) for k in (1, 3, 5)]
        colours += [[round(255 + tint * (part - 255)) for part in full] for tint in TINTS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in colours for part in colour])
    return palette


def _key(labels: Sequence[str], step_s: float, characters: int) -> list[str]:
    """Return the lines below the maps, which say what all means and who the users are."""
    names = [f"{user}: {label}" for user, label in enumerate(labels)]
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"and {len(names) - MOST_NAMED + 1} more"]
    paragraphs = [
        "numbers: users, hollow while they run on their device alone; dotted: to the server of their cell",
        "squares: servers, with the share of each user's weights that they hold (a full box: all)",
        f"arrows: weights sent in the last {step_s:.3g} s, by radio (solid) or wire (dashed, with the user's number)",
        ", ".join(name.replace(" ", "\xa0") for name in names),  # no line ends within a name
    ]
    return [line for each in paragraphs for line in textwrap.wrap(each, characters)]
