"""Front to back: upload the layers of a placement in topological order, the users taking turns.

This is what sending the model file as it is would do. It is near the best order for most convolutional networks, whose
early layers have many FLOPs and few bytes. Every layer is a partition of its own. Users take turns layer by layer, so
that nobody waits for somebody else's whole network. O(U L).
"""

from __future__ import annotations

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import movable_layers, reachable_servers
from agents.planners.turns import in_turns
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan, plan_of


def front_to_back(scenario: Scenario, placement: Placement, rng: np.random.Generator) -> Plan:
    """Return the plan that uploads a placement front to back, the users taking turns.

    Args:
        scenario: The scenario.
        placement: Server of each layer, one array per user.
        rng: Not used.
    """
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    return plan_of(
        (user, layer, int(placement[user][layer]))
        for user, layer in in_turns([np.flatnonzero(row).tolist() for row in movable])
        if placement[user][layer] > 0 and reachable[user, placement[user][layer] - 1]
    )
