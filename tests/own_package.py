"""Modules of somebody else's, for one test alone: in a folder that Python finds, or registered by entry points."""

from __future__ import annotations

import itertools
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import pytest

_numbers = itertools.count()

PLANS = """
    from dataclasses import dataclass

    import numpy as np

    from dnnmig_env.simulation.plan import Plan, plan_of


    def nothing(scenario, rng):
        return Plan()


    def first_layer(scenario, rng):
        graph, held = scenario.users[0].graph, scenario.users[0].uploaded
        return plan_of([(0, layer, 1) for layer in range(len(graph)) if graph.movable[layer] and not held[layer]][:1])


    @dataclass(frozen=True)
    class Several:
        count: int = 1
        server: int = 1

        def __call__(self, scenario, rng):
            graph = scenario.users[0].graph
            movable = [layer for layer in range(len(graph)) if graph.movable[layer]]
            return plan_of([(0, layer, self.server) for layer in movable[: self.count]])


    class Stops:
        def __init__(self, env, seed=None):
            self.env, self.seed = env, seed

        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return np.full(len(observation["action_mask"]), self.env.stop_action), state


    def takes_three(scenario, rng, more):
        return Plan()


    def returns_a_list(scenario, rng):
        return []


    class NoPlanner:
        pass


    class Demanding:
        def __init__(self, env, more):
            pass

        def predict(self, observation):
            return None


    class NeedsArguments:
        def __init__(self, more):
            pass

        def __call__(self, scenario, rng):
            return Plan()


    number = 3
"""
"""Planners and policies, and what is none."""


def write_module(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str = PLANS, place: str = "") -> str:
    """Write a module that Python finds, and return its name, which no other test has.

    With a place, such as "package.module", it lies in that package.
    """
    name = f"own_{next(_numbers)}_" + (place or "module")
    file = folder.joinpath(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    monkeypatch.syspath_prepend(str(folder))
    return name


def register(monkeypatch: pytest.MonkeyPatch, group: str, **references: str) -> None:
    """Let distributions seem installed that register objects in a group of entry points."""
    real = metadata.entry_points
    given = [metadata.EntryPoint(name.replace("_", "-"), value, group) for name, value in references.items()]

    def entry_points(**wanted: str) -> metadata.EntryPoints:
        return metadata.EntryPoints([*real(**wanted), *(metadata.EntryPoints(given).select(**wanted))])

    monkeypatch.setattr(metadata, "entry_points", entry_points)
