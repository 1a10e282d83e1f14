"""Cells, wires and weights that move: the compiled simulation against the slow and obvious one, ties included."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import Limits, pack
from dnnmig_env.simulation.plan import Plan
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from dnnmig_env.simulation.simulator import simulate
from tests.agreement import agree
from tests.strategies import moving_cases, random_moving_case

MANY = settings(max_examples=150)


@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_agrees_with_the_reference(first: int) -> None:
    for seed in range(first, first + 250):
        agree(*random_moving_case(seed))


@pytest.mark.slow
def test_agrees_with_the_reference_at_length() -> None:
    for seed in range(20_000, 40_000):
        agree(*random_moving_case(seed))


@MANY
@given(moving_cases())
def test_agrees_with_the_reference_where_much_happens_at_the_same_time(case: tuple[Scenario, Plan]) -> None:
    agree(*case)
