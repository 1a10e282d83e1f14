"""Planners of somebody else's: functions, objects and classes, by reference or as registered, and what they return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.planners import planner
from dnnmig_env.families.registry import scenarios
from dnnmig_env.simulation.plan import Plan, plan_of
from tests.own_package import PLANS, register, write_module

(TOY,) = scenarios("toy", 1, seed=0)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    return write_module(monkeypatch, tmp_path, PLANS, place="package.module")


def plan(name: str) -> Plan:
    return planner(name)(TOY, np.random.default_rng(0))


def test_a_function_a_class_and_parameters(module: str) -> None:
    layers = np.flatnonzero(TOY.users[0].graph.movable).tolist()
    assert len(layers) >= 2
    assert plan(f"{module}:nothing") == Plan()
    assert plan(f"{module}:first_layer") == plan_of([(0, layers[0], 1)])
    assert plan(f"{module}:Several") == plan_of([(0, layers[0], 1)])
    assert plan(f"{module}:Several:count=2:server=2") == plan_of([(0, layer, 2) for layer in layers[:2]])


def test_a_registered_planner_has_its_name_and_parameters(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "dnnmig.planners", their_planner=f"{module}:Several", device_only=f"{module}:Several")
    assert plan("their-planner:count=2") == plan(f"{module}:Several:count=2")
    assert plan("device-only") == Plan(), "a name of this project means what it always means"
    with pytest.raises(
        ValueError, match=r"did you mean 'their-planner'\? .*exact, their-planner, device-only, all-to-K"
    ):
        planner("their-planer")


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("takes_three", "takes (scenario, rng, more); a planner takes (scenario, rng) and returns a plan."),
        ("number", "is an object of class int, which does not serve here; give a function (scenario, rng) -> plan"),
        ("NoPlanner", "is a class, which does not serve here"),
        ("Stops", "is a class, which does not serve here"),
        ("NeedsArguments", "cannot be made without arguments (TypeError"),
        ("Several:depth=2", "has no parameter 'depth'; its parameters are count, server, written"),
        ("Several:count=x", "count is 'x'; give a whole number"),
        ("nothing:count=1", "it has no parameters: leave out ':count=1'"),
        ("absent", "has no 'absent'"),
    ],
)
def test_what_is_no_planner_is_refused(attribute: str, message: str, module: str) -> None:
    with pytest.raises(ValueError) as error:
        planner(f"{module}:{attribute}")
    assert message in str(error.value)
    assert module in str(error.value)


def test_a_parameter_without_a_value_is_not_taken_for_a_module() -> None:
    with pytest.raises(ValueError, match="exact:tolerance is ''; give a number"):
        planner("exact:tolerance")


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("returns_a_list", "has returned a list; return a dnnmig_env.simulation.plan.Plan"),
        ("Several:server=9", "has returned a plan that cannot be carried out: upload 0 (Upload(user=0, server=9"),
    ],
)
def test_what_it_returns_is_checked(attribute: str, message: str, module: str) -> None:
    with pytest.raises(ValueError) as error:
        plan(f"{module}:{attribute}")
    assert message in str(error.value)
    assert module in str(error.value)
