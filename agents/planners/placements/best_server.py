"""Best server: each user's whole network goes to the one server on which its queries would be fastest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.planners.placements.one_user import Alone, choose_in_turn
from agents.planners.protocol import Placement
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario


def best_server(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place each user's layers on the server with the least migration delay for that user alone.

    Users choose in index order, each with the memory that those before it have left. Layers that do not fit stay on the
    device; front ones are fitted in first. A user whose device beats every server places nothing. O(U S L).

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    return choose_in_turn(scenario, _all_that_fits)


def _all_that_fits(alone: Alone) -> Iterator[Bools]:
    """Yield all movable layers that fit the server's memory, front ones first."""
    layers, left_bytes = np.zeros(len(alone.movable), np.bool_), alone.left_bytes
    for layer in np.flatnonzero(alone.movable):
        if alone.weight_bytes[layer] <= left_bytes:
            layers[layer] = True
            left_bytes -= alone.weight_bytes[layer]
    yield layers
