from __future__ import annotations

import numpy as np
import pytest

from dnnmig_env.networks.layer_graph import Layer, LayerGraph
from evaluate.truth.simulator.choice import everything_available
from tests import oracle
from tests.strategies import random_case


@pytest.mark.parametrize("seed", range(60))
def test_available_layers_are_those_of_the_oracle(seed: int) -> None:
    scenario, plan = random_case(seed)
    for user in range(len(scenario.users)):
        arrived = {v: int(s) for v, s in enumerate(np.asarray(scenario.users[user].uploaded)) if s > 0}
        for upload in plan.uploads:
            if upload.user == user:
                arrived.update(dict.fromkeys(upload.layers, upload.server))
            expected = oracle.everything_available(scenario, user, arrived)
            assert everything_available(scenario.users[user].graph, arrived) == tuple(expected.values())


def test_a_weightless_layer_follows_its_latest_predecessor_that_is_on_a_server() -> None:
    layers = [Layer(name, 0.0, 1, 0, (-1,)) for name in ("a", "b", "c")] + [Layer("join", 0.0, 0, 0, (0, 1, 2))]
    graph = LayerGraph("three", 0, tuple(layers))
    assert everything_available(graph, {0: 1, 1: 2}) == (1, 2, 0, 2)
    assert everything_available(graph, {0: 2, 2: 1}) == (2, 0, 1, 1)
    assert everything_available(graph, {}) == (0, 0, 0, 0)
