"""Draws a plan, the picture in the README: which layers are uploaded when and where, and how fast queries become.

From the repository's root: python examples/draw_plan.py docs/pictures/plan.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from agents.planners import planner
from dnnmig_env.families.registry import make_generator
from dnnmig_env.simulation.simulator import simulate
from dnnmig_env.simulation.viewer import describe, draw


def main(picture: Path) -> None:
    """Plan for four users of the family `multi-user` by joint efficiency, draw what happens, and print it as text."""
    scenario = make_generator("multi-user", num_users=(4, 4)).draw(np.random.default_rng(4), 1).scenario(0)
    timeline = simulate(scenario, planner("joint-efficiency")(scenario, np.random.default_rng(0)))
    picture.parent.mkdir(parents=True, exist_ok=True)
    draw(timeline).savefig(picture)
    print(describe(timeline))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path, help="file to write, such as plan.png")
    main(parser.parse_args().picture)
