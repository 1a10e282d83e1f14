"""Neurosurgeon: the best single cut, the front layers on the device and the rest on one server.

Kang et al., "Neurosurgeon: Collaborative Intelligence Between the Cloud and Mobile Edge", ASPLOS 2017. Of a chain of L
layers, the first i stay on the device and the tensor between them and the rest is sent:

    delay(i) = sum_{v <= i} device_s(v) + output(i) / up + latency + sum_{v > i} server_s(v) + result / down + latency
    cut = the i of least delay, from 0 (all on the server) to L (all on the device)

The paper predicts the seconds per layer by regression; here they are known. A network that is no chain is cut after
every prefix of its topological order, and the kernel says what all tensors that cross such a cut cost. A cut whose
layers do not fit the server's memory is no candidate. Several users and servers are a reconstruction, see
`agents.planners.placements.one_user`.

O(U S L (L + E)) for L layers and E links between them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from agents.planners.placements.one_user import Alone, choose_in_turn
from agents.planners.protocol import Placement
from dnnmig_env.arrays import Bools
from dnnmig_env.scenarios.scenario import Scenario


def neurosurgeon(scenario: Scenario, rng: np.random.Generator) -> Placement:
    """Place for each user, in index order, all layers behind its best cut on the server that is best for it.

    Args:
        scenario: The scenario.
        rng: Not used.
    """
    return choose_in_turn(scenario, _cuts)


def _cuts(alone: Alone) -> Iterator[Bools]:
    """Yield the layers behind every cut, the fewest first."""
    layers = np.zeros(len(alone.movable), np.bool_)
    for layer in np.flatnonzero(alone.movable)[::-1]:
        layers[layer] = True
        yield layers.copy()
