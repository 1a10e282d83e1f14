"""Exact placement: against every placement tried, and against searches where there are too many to try."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.planners.exact import placement as module
from agents.planners.exact.placement import exact_placement
from agents.planners.swarms.genetic import Genetic
from agents.planners.swarms.particles import placement_delay_s
from dnnmig_env.families.registry import scenarios
from dnnmig_env.scenarios.scenario import Scenario
from tests.agents.planners.hand_made import chain
from tests.agents.planners.possible import placements
from tests.agents.planners.random_scenarios import realistic, tiny
from tests.strategies import RandomChoices, Sizes, make_scenario

RNG = np.random.default_rng(0)


def least_s(scenario: Scenario) -> float:
    return min(placement_delay_s(scenario, placement) for placement in placements(scenario))


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_better_with_tight_memory_and_loaded_servers(seed: int) -> None:
    scenario = tiny(np.random.default_rng(seed), users=2, memory=bool(seed % 2))
    users = tuple(replace(user, query_rate_hz=np.asarray(user.query_rate_hz) * 10) for user in scenario.users)
    for given in (scenario, replace(scenario, users=users)):
        assert placement_delay_s(given, exact_placement(given, RNG)) == pytest.approx(least_s(given), rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_is_better_with_layers_uploaded_and_users_absent(seed: int) -> None:
    sizes = Sizes(users=3, layers=3, servers=2, outages=False)
    scenario = make_scenario(RandomChoices(np.random.default_rng(seed)), sizes)
    if any(np.asarray(user.query_rate_hz)[0] > 0 for user in scenario.users):
        assert placement_delay_s(scenario, exact_placement(scenario, RNG)) == pytest.approx(
            least_s(scenario), rel=1e-12
        )


def test_searches_never_find_better() -> None:
    for scenario in scenarios("multi-user", 8, seed=0, num_users=4, num_edges=2, max_layers=3):
        best_s = placement_delay_s(scenario, exact_placement(scenario, RNG))
        assert best_s <= placement_delay_s(scenario, Genetic()(scenario, np.random.default_rng(0))) * (1 + 1e-12)


def test_memory_that_holds_nothing_leaves_all_on_the_device() -> None:
    scenario = chain([2, 2], [0, 0], memory_mb=[2.0])
    full = replace(scenario, users=(replace(scenario.users[0], uploaded=[1, 0]),))
    assert exact_placement(full, RNG)[0].tolist() == [1, 0]


def test_too_many_placements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"user 0 has 4.3e\+09 placements of 16 layers; .* merge its network"):
        exact_placement(realistic(np.random.default_rng(1)), RNG)
    monkeypatch.setattr(module, "MOST_TOGETHER", 10)
    with pytest.raises(ValueError, match="not among 10 tried; merge networks to fewer layers"):
        exact_placement(tiny(np.random.default_rng(0), users=2), RNG)
