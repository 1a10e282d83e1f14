"""Reserved shares: each user has its own part of the channel and of every server, so users do not slow each other.

This is the second of two rules for contention, that of MJOA-MU (Yang et al., Computer Networks 2023), where a
controller hands out communication and computing resources. By the first rule, which holds unless shares are given, all
uploads share one channel and queries slow each other down by their load.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from dnnmig_env.arrays import Bools, Floats
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.plan import Plan

ROUNDING = 1e-9
"""By how much the shares of all users together may exceed 1."""


@dataclass(frozen=True, eq=False)
class Shares:
    """Which part of the channel and of the servers each user has; checked when made, and its arrays are then read-only.

    Attributes:
        bandwidth: Each user's share of the rates between its device and the servers, shape (U,). The share holds in
            both directions, for weights and for tensors of queries: a user with a band of its own sends and receives in
            it. Latencies and the links between servers are not shared out.
        compute: Each user's share of every server's speed, shape (U, S). The user's layers take `execution_s / share`
            there. A user with a share of 0, of either kind, cannot use the server at all.

    Raises:
        ValueError: If a share is not in 0 to 1, the shares of all users exceed 1, or a shape is wrong.
    """

    bandwidth: ArrayLike
    compute: ArrayLike

    def __post_init__(self) -> None:
        for name in ("bandwidth", "compute"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        shapes = np.shape(self.bandwidth), np.shape(self.compute)
        if list(map(len, shapes)) != [1, 2] or shapes[0] != shapes[1][:1]:
            raise ValueError(
                f"bandwidth and compute have the shapes {shapes[0]} and {shapes[1]}; give (U,) and (U, S)."
            )

    @property
    def usable(self) -> Bools:
        """Whether each user can use each server, having a share of it and of the channel, shape (U, S)."""
        return np.asarray((np.asarray(self.compute) > 0) & (np.asarray(self.bandwidth) > 0)[:, None])


def equal_shares(users: int, servers: int) -> Shares:
    """Return shares that give every user the same part of the channel and of each server."""
    return Shares(np.full(users, 1 / users), np.full((users, servers), 1 / users))


def everything_for(user: int, users: int, servers: int) -> Shares:
    """Return shares that give the channel and all servers to one user."""
    alone = np.arange(users) == user
    return Shares(alone, np.tile(alone[:, None], (1, servers)))


def check_shares(scenario: Scenario, plan: Plan, shares: Shares) -> None:
    """Check that a plan can be carried out under shares.

    Raises:
        ValueError: If the shares are for another number of users or servers, or an upload's user has no share of the
            channel or of the server.
    """
    there, given = (len(scenario.users), len(scenario.servers)), shares.usable.shape
    if given != there:
        raise ValueError(
            f"shares are for {given[0]} users and {given[1]} servers; give them for {there[0]} and {there[1]}."
        )
    for index, upload in enumerate(plan.uploads):
        if not shares.usable[upload.user, upload.server - 1]:
            raise ValueError(
                f"upload {index} ({upload}): user {upload.user} has no share of the channel or of server "
                f"{upload.server}; leave the upload out or give it one."
            )


def own_scenario(scenario: Scenario, shares: Shares, user: int) -> Scenario:
    """Return the scenario of one user on its own, at its shares of the rates and of the servers' speeds.

    The other users are left out, as they do not slow it down. The uplink is read as in the scenario of all: under
    `priority`, as MJOA-MU has it, a user's weights give way to its own data in its part of the channel. Memory has no
    limit here, because what fits is checked for all users together. Nothing counts as uploaded to a server that the
    user cannot use. A user that is never present counts as present all the time with nothing uploaded, as a scenario
    must have queries; they run on its device.

    Args:
        scenario: The scenario of all users.
        shares: The shares of all users.
        user: Index of the user, which is user 0 of the result.
    """
    row, links, usable = scenario.users[user], scenario.links, shares.usable[user]
    # No scenario may have a server of speed 0, so a server that the user cannot use keeps its speed and is not used.
    bandwidth = np.where(usable, np.asarray(shares.bandwidth)[user], 1.0)
    compute = np.where(usable, np.asarray(shares.compute)[user], 1.0)
    here, uploaded = _is_ever_present(scenario, user), np.asarray(row.uploaded)
    own = replace(
        row,
        query_rate_hz=row.query_rate_hz if here else 1.0,
        profile_s=scenario.execution_s[user] / np.append(1.0, compute),
        uploaded=np.where(here & np.append(True, usable)[uploaded], uploaded, 0),
    )
    own_links = replace(
        links,
        up_bytes_per_s=_of(user, links.up_bytes_per_s) * bandwidth,
        down_bytes_per_s=_of(user, links.down_bytes_per_s) * bandwidth,
        up_latency_s=_of(user, links.up_latency_s),
        down_latency_s=_of(user, links.down_latency_s),
        home=None,
    )
    servers = tuple(replace(server, memory_bytes=math.inf) for server in scenario.servers)
    return replace(scenario, users=(own,), servers=servers, links=own_links, mobility=None)


def own_plan(scenario: Scenario, plan: Plan, user: int) -> Plan:
    """Return the part of a plan that is for one user, as user 0; it is empty for a user that is never present."""
    if not _is_ever_present(scenario, user):
        return Plan()
    return Plan(tuple(replace(upload, user=0) for upload in plan.uploads if upload.user == user))


def _of(user: int, per_user: ArrayLike | None) -> Floats:
    """Return one user's part of rates or latencies, shape (T, 1, S)."""
    return np.asarray(per_user)[:, [user]]


def _is_ever_present(scenario: Scenario, user: int) -> bool:
    return bool(np.any(np.asarray(scenario.users[user].query_rate_hz) > 0))


def _checked(name: str, given: ArrayLike) -> Floats:
    shares = np.array(given, np.float64)
    wrong = ~((shares >= 0) & (shares <= 1))
    if wrong.any():
        raise ValueError(f"{name} contains {shares[wrong][0]}; every share lies between 0 and 1.")
    together = shares.sum(axis=0).max(initial=0.0)
    if together > 1 + ROUNDING:
        raise ValueError(f"{name} is {shares.tolist()}, {together} for all users together; they have at most 1.")
    shares.flags.writeable = False
    return shares
