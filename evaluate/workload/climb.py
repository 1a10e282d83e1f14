"""A better plan than given ones, by hill climbing in which all slots are known: a best known plan, not a policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.plan import Plan, plan_of
from dnnmig_env.simulation.plan_arrays import plan_arrays
from dnnmig_env.simulation.play import mean_delays_s
from evaluate.workload.constant_rules import Steps, fitting

ROUNDS, CANDIDATES = 12, 40
"""How often the best plan is changed, and in how many ways each time."""


def best_known_delay_s(packed: PackedScenarios, starts: Sequence[Plan], rng: np.random.Generator) -> float:
    """Return the least mean delay of some plans and of changes to the best of them: move, drop, add or send elsewhere.

    Args:
        packed: Packed scenarios of which there is just one.
        starts: The plans.
        rng: Source of randomness.
    """
    singles = [plan.singletons() for plan in starts]
    known_s = mean_delays_s(packed, plan_arrays([*starts, *singles]))
    best_s = float(known_s.min())
    best = singles[int(known_s.argmin()) % len(singles)]
    steps: Steps = [(upload.user, upload.layers[0], upload.server) for upload in best.uploads]
    for _ in range(ROUNDS):
        candidates = [fitting(packed, _changed(packed, steps, rng)) for _ in range(CANDIDATES)]
        delays_s = mean_delays_s(packed, plan_arrays([plan_of(candidate) for candidate in candidates]))
        if delays_s.min() < best_s:
            best_s, steps = float(delays_s.min()), candidates[int(delays_s.argmin())]
    return best_s


def _changed(packed: PackedScenarios, steps: Steps, rng: np.random.Generator) -> Steps:
    """Take one layer out of the plan, or find one outside, and put it anywhere, most often; or leave it out."""
    layers = [(u, int(v)) for u in range(int(packed.num_users[0])) for v in np.flatnonzero(packed.weight_bytes[0, u])]
    u, v = layers[rng.integers(len(layers))]
    rest = [step for step in steps if step[:2] != (u, v)]
    if rng.random() < 0.1:
        return rest
    same = [step[2] for step in steps if step[:2] == (u, v)]
    server = same[0] if same and rng.random() < 0.7 else int(rng.integers(packed.num_servers[0])) + 1
    rest.insert(int(rng.integers(len(rest) + 1)), (u, v, server))
    return rest
