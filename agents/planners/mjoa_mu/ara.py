"""ARA: hand out shares of the channel and the servers for the least cold-start delay of all users together (MJOA-MU).

Yang et al., Computer Networks 2023, allocate communication and computing resources to heterogeneous users of one
server. The abstract says no more; this is a reconstruction:

    shares proportional to demand: seconds of the whole channel, seconds of the whole server
    repeat, by turns for the channel and each server:
        move one step of share from the user who loses least by it to the one who gains most, if that is a gain
        halve the step when nothing was gained by any move
    until the step is less than the finest

What a user loses or gains is measured with its layers placed anew by PBT-DP under the changed shares. With several
servers (the paper has one), each user takes the one where its cold-start delay is least when everybody has an equal
share of everything. If a server's memory is too small for all users on it, each of them gets a part in proportion to
its weights, so that users stay independent.

A move takes at most 2 U runs of PBT-DP; the results for users whose shares have not changed are remembered.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from agents.planners.mjoa_mu.pbt_dp import best_placement, best_server_placement
from agents.planners.protocol import Placement
from agents.planners.slot_zero import (
    memory_left_bytes,
    movable_layers,
    present_users,
    reachable_servers,
    slot_zero_packed,
)
from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.reserved.shares import Shares, own_scenario

FIRST_STEP = 0.25
"""Step of share that is moved at first."""

GAIN = 1e-6
"""Least share of all users' delay that a move has to gain to be made."""

USE_S = 1e-9
"""Seconds added to a user's demand for the channel and for each server on which it has a layer, so that it gets a share
of them however fast they are."""


@dataclass(frozen=True, eq=False)
class Allocation:
    """What ARA decides.

    Attributes:
        shares: The shares; absent users have none.
        placement: Server of each layer, one array per user.
        delay_s: Cold-start delay of each user under its shares, shape (U,); NaN for those without a share.
    """

    shares: Shares
    placement: Placement
    delay_s: Floats


@dataclass(frozen=True, eq=False)
class _User:
    """A user who takes part: its server, the layers that it may upload there, and its part of the memory."""

    index: int
    server: int
    movable: Bools
    left_bytes: float


@dataclass(frozen=True, eq=False)
class _Market:
    """The users who take part, and what each makes of the shares that have been tried so far."""

    scenario: Scenario
    users: tuple[_User, ...]
    beam: int
    serial: bool
    known: dict[tuple[int, tuple[float, ...]], tuple[Int8s, float]] = field(default_factory=dict)

    def answer(self, place: int, share: Floats) -> tuple[Int8s, float]:
        """Return a user's best placement and delay for its share of the channel and of each server, shape (1 + S,)."""
        key = place, tuple(share.tolist())
        if key not in self.known:
            user = self.users[place]
            packed = _packed_alone(self.scenario, user.index, share[0], share[1:])
            self.known[key] = best_placement(
                packed, user.server, user.movable, user.left_bytes, serial=self.serial, beam=self.beam
            )
        return self.known[key]

    def delay_s(self, place: int, share: Floats) -> float:
        """Return a user's least delay with its shares."""
        return self.answer(place, share)[1]


def allocate(scenario: Scenario, *, finest: float = 1 / 128, beam: int = 64, serial: bool = False) -> Allocation:
    """Hand out shares and place the layers of all users who are present and reach a server.

    Args:
        scenario: The scenario; slot 0's rates count.
        finest: Smallest step of share that is moved; with 1 or more none is, and the shares stay proportional to
            demand.
        beam: Nodes of PBT-DP's tree to keep at each level.
        serial: Upload serially (the baseline) instead of while layers execute.
    """
    market = _Market(scenario, _seated(scenario, beam, serial), beam, serial)
    share = _proportional(scenario, market.users)  # (users who take part, 1 + S)
    step = FIRST_STEP
    while step >= finest:
        gains = [_move(market, share, resource, step) for resource in range(share.shape[1])]
        if not any(gains):
            step /= 2
    return _allocation(market, share)


def _seated(scenario: Scenario, beam: int, serial: bool) -> tuple[_User, ...]:
    """Return the users who take part, each with the server where its delay is least at equal shares."""
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    left_bytes = memory_left_bytes(scenario)
    present = [user for user in present_users(scenario) if reachable[user].any()]
    layers = {user: movable[user, : len(scenario.users[user].graph)] for user in present}
    servers = {}
    for user in present:
        packed = _packed_alone(scenario, user, 1 / len(present), np.full(len(left_bytes), 1 / len(present)))
        servers[user] = best_server_placement(
            packed, layers[user], reachable[user], left_bytes, serial=serial, beam=beam
        )[0]
    weights = {user: scenario.users[user].graph.weight_bytes[layers[user]].sum() for user in present}
    wanted = [
        sum(weights[user] for user in present if servers[user] == server) for server in range(1, len(left_bytes) + 1)
    ]
    room = np.minimum(1.0, left_bytes / np.maximum(wanted, 1.0))  # share of the wanted bytes for which there is room
    rooms = {
        user: weights[user] * room[servers[user] - 1] if room[servers[user] - 1] < 1 else np.inf for user in present
    }
    return tuple(_User(user, servers[user], layers[user], float(rooms[user])) for user in present)


def _proportional(scenario: Scenario, users: tuple[_User, ...]) -> Floats:
    """Return shares of the channel and each server in proportion to demand, shape (users, 1 + S)."""
    demand_s = np.zeros((len(users), 1 + len(scenario.servers)))
    for place, user in enumerate(users):
        row = scenario.users[user.index]
        rate = np.asarray(scenario.links.up_bytes_per_s)[0, user.index, user.server - 1]
        demand_s[place, 0] = (row.graph.weight_bytes[user.movable].sum() + row.graph.input_bytes) / rate + USE_S
        everything = np.where(user.movable, user.server, np.asarray(row.uploaded))
        seconds = np.take_along_axis(scenario.execution_s[user.index], everything[:, None], axis=1)[:, 0]
        for server in np.unique(everything[everything > 0]):
            demand_s[place, server] = seconds[everything == server].sum() + USE_S
    total_s = demand_s.sum(axis=0)
    return np.asarray(demand_s / np.where(total_s > 0, total_s, 1.0))


def _move(market: _Market, share: Floats, resource: int, step: float) -> bool:
    """Move one step of a resource between the two users where that gains most for all; return whether it gains."""
    held, change = share[:, resource], step * (np.arange(share.shape[1]) == resource)
    givers = np.flatnonzero(held > step).tolist()
    receivers = np.flatnonzero((held > 0) & (held + step <= 1)).tolist()
    now_s = [market.delay_s(place, own) for place, own in enumerate(share)]
    lost_s = {place: market.delay_s(place, share[place] - change) - now_s[place] for place in givers}
    gained_s = {place: now_s[place] - market.delay_s(place, share[place] + change) for place in receivers}
    best, pair = GAIN * sum(now_s), None
    for giver, receiver in itertools.product(givers, receivers):
        if giver != receiver and gained_s[receiver] - lost_s[giver] > best:
            best, pair = gained_s[receiver] - lost_s[giver], (giver, receiver)
    if pair is None:
        return False
    share[pair[0]] -= change
    share[pair[1]] += change
    return True


def _allocation(market: _Market, share: Floats) -> Allocation:
    scenario = market.scenario
    shares = np.zeros((len(scenario.users), share.shape[1]))
    placement, delay_s = [np.array(user.uploaded, np.int8) for user in scenario.users], np.full(len(shares), np.nan)
    for place, user in enumerate(market.users):
        shares[user.index] = share[place]
        placement[user.index], delay_s[user.index] = market.answer(place, share[place])
    return Allocation(Shares(shares[:, 0], shares[:, 1:]), tuple(placement), delay_s)


def _packed_alone(scenario: Scenario, user: int, bandwidth: float, compute: ArrayLike) -> PackedScenarios:
    """Return the packed scenario of one user with its shares, whatever the others have."""
    alone = np.arange(len(scenario.users)) == user
    shares = Shares(alone * bandwidth, alone[:, None] * np.asarray(compute))
    return slot_zero_packed(own_scenario(scenario, shares, user))
