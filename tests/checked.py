"""Scenarios that were made without being checked (`dnnmig_env.scenarios.scenario.derived`) are checked here."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from dnnmig_env.scenarios.scenario import Links, Mobility, Scenario, User


def assert_checked(scenario: Scenario) -> None:
    """Assert that a scenario passes all checks, and that they change nothing in it, types of arrays included."""
    _assert_same(scenario, replace(scenario), "scenario")


def _assert_same(one: Any, other: Any, where: str) -> None:
    if isinstance(one, (Scenario, User, Links, Mobility)) and is_dataclass(one):
        for field in fields(one):
            _assert_same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, tuple):
        for index, (this, that) in enumerate(zip(one, other, strict=True)):
            _assert_same(this, that, f"{where}[{index}]")
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, err_msg=where, strict=True)
    else:
        assert one == other, where
