"""Reward = negative delay, in seconds or in units of the device-only delay, optionally shaped by a potential."""

from __future__ import annotations

from typing import Literal, get_args

from dnnmig_env.compiling.jit import uncounted
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import Problem
from dnnmig_env.simulation.state import State

RewardKind = Literal["delay", "shaped", "reference"]
"""`delay`: the query-weighted delay accrued until the next decision, negative; the return is -J.
`shaped`: the same plus the change of a potential, so that an upload is credited at once with all it saves.
`reference`: what the decision saves if the rest of a reference plan follows (see `agents.candidates.reference_plan`); the return is
J of that plan less the episode's."""

RewardScale = Literal["seconds", "device-only"]
"""`seconds`: rewards in seconds per query. `device-only`: divided by the scenario's device-only J."""


def check_reward(kind: str, scale: str) -> None:
    """Raise a ValueError for an unknown kind or scale of reward."""
    for argument, value, known in (("reward", kind, get_args(RewardKind)), ("scale", scale, get_args(RewardScale))):
        if value not in known:
            raise ValueError(f"{argument} is {value!r}; choose one of {', '.join(known)}.")


@uncounted
def potential_s(p: Problem, b: int, s: State, i: int) -> float:
    """Return the potential of a state: minus the mean delay still to come if the present delays went on to the horizon.

    Shaping adds potential(next) - potential(now), with 0 at the end (Ng et al., ICML 1999, discount 1), so the
    return of an episode changes by -potential(start) alone: it becomes the delay saved against never uploading.
    """
    rate_of_cost = 0.0
    for u in range(p.num_users[b]):
        rate_of_cost += p.query_rate_hz[b, s.slot[i], u] * s.delay_s[i, u]
    return float(-rate_of_cost * (horizon_s(p, b) - s.time_s[i]) / s.queries[i])


@uncounted
def device_only_cost_s(p: Problem, b: int, s: State, i: int, from_s: float) -> float:
    """Return the integral of query rate x device-only delay from a time to the horizon, over users."""
    cost = 0.0
    for slot in range(p.num_slots[b]):
        length_s = p.slot_edges_s[b, slot + 1] - max(from_s, p.slot_edges_s[b, slot])
        if length_s > 0.0:
            for u in range(p.num_users[b]):
                cost += p.query_rate_hz[b, slot, u] * s.device_delay_s[i, u] * length_s
    return cost
