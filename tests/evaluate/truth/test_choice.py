from __future__ import annotations

import numpy as np
import pytest

from evaluate.truth.choice import everything_available
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
