"""Rewards: the negative delay, in seconds or in units of the device-only delay, optionally shaped by a potential."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from dnnmig_env.compiling.jit import jit_without_refcounts
from dnnmig_env.envs.observer import MakeRewarder
from dnnmig_env.simulation.dynamics import horizon_s
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State

RewardKind = Literal["delay", "shaped"]
"""`delay`: minus the query-weighted delay accrued until the next decision; the return is -J.
`shaped`: the same plus the change of a potential, so that an upload is credited at once with all that it saves."""

RewardScale = Literal["seconds", "device-only"]
"""`seconds`: rewards are in seconds per query. `device-only`: they are divided by the scenario's device-only J."""


class Rules(NamedTuple):
    """How the compiled step pays rewards, in a form for compiled code."""

    pays: bool  # whether it pays at all; if not, a rewarder does
    shaped: bool  # whether the change of the potential is added
    in_device_only_units: bool  # whether rewards are divided by the device-only J


def reward_rules(reward: str | MakeRewarder, scale: str) -> tuple[Rules, MakeRewarder | None]:
    """Return the rules of the compiled step and, if a rewarder pays instead of it, the function that makes that.

    Raises:
        ValueError: If the reward or the scale is unknown.
    """
    for argument, value, known in (("reward", reward, get_args(RewardKind)), ("scale", scale, get_args(RewardScale))):
        if isinstance(value, str) and value not in known:
            raise ValueError(f"{argument} is {value!r}; choose one of {', '.join(known)}.")
    make = None if isinstance(reward, str) else reward
    return Rules(make is None, reward == "shaped", scale == "device-only"), make


@jit_without_refcounts
def potential_s(packed: PackedScenarios, b: int, state: State, i: int) -> float:
    """Return the potential of a state: minus what J would still grow by if the present delays lasted to the horizon.

    Shaping adds potential(next) - potential(now) to each reward, with 0 at the end (Ng et al., ICML 1999, discount 1).
    So the return of an episode changes only by -potential(start), and becomes the delay saved against never uploading.
    """
    rate_of_cost = 0.0
    for u in range(packed.num_users[b]):
        rate_of_cost += packed.query_rate_hz[b, state.slot[i], u] * state.delay_s[i, u]
    return float(-rate_of_cost * (horizon_s(packed, b) - state.time_s[i]) / state.expected_queries[i])


@jit_without_refcounts
def device_only_cost_s(packed: PackedScenarios, b: int, state: State, i: int, from_s: float) -> float:
    """Return the integral of query rate x device-only delay from a time to the horizon, summed over users."""
    cost = 0.0
    for slot in range(packed.num_slots[b]):
        length_s = packed.slot_edges_s[b, slot + 1] - max(from_s, packed.slot_edges_s[b, slot])
        if length_s > 0.0:
            for u in range(packed.num_users[b]):
                cost += packed.query_rate_hz[b, slot, u] * state.device_delay_s[i, u] * length_s
    return cost
