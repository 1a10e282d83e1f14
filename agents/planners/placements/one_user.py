"""Each user alone: users choose one after another, each the server and the layers on it that make its queries fastest.

Many placement rules know one device and one server. For several users and servers (a reconstruction: the papers say
nothing of them) users choose in index order. A rule offers each user candidates for every server that it reaches. The
user takes the candidate of least delay with nobody else at work, among those that fit the memory which users before it
have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from agents.planners.protocol import Placement
from agents.planners.slot_zero import memory_left_bytes, movable_layers, reachable_servers, slot_zero_packed
from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.scenarios.scenario import Scenario
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.play import migration_delay_s


@dataclass(frozen=True, eq=False)
class Alone:
    """One user and one server, with nobody else at work.

    Attributes:
        packed: The packed scenario, with one slot, in which only this user raises queries.
        user: Index of the user.
        server: The server, 1..S.
        held: Server that holds each layer already (0 = none), shape (L,).
        movable: Layers that may be uploaded, shape (L,).
        weight_bytes: Shape (L,).
        left_bytes: Memory left on the server.
    """

    packed: PackedScenarios
    user: int
    server: int
    held: Int8s
    movable: Bools
    weight_bytes: Floats
    left_bytes: float

    def fits(self, layers: Bools) -> bool:
        """Return whether the server has room for these layers, shape (L,)."""
        return bool(self.weight_bytes[layers].sum() <= self.left_bytes)


Candidates = Callable[[Alone], Iterable[Bools]]
"""Returns, for a user and a server, sets of movable layers that might go there, shape (L,) each."""


def choose_in_turn(scenario: Scenario, candidates: Candidates) -> Placement:
    """Let every present user choose the candidate with the least migration delay for itself alone.

    Candidates that do not fit the server's memory are passed over. On a tie the earlier candidate is taken. A user
    whose device beats every candidate places nothing.

    Args:
        scenario: The scenario.
        candidates: The rule that offers candidates.
    """
    packed = slot_zero_packed(scenario)
    movable, reachable = movable_layers(scenario), reachable_servers(scenario)
    left_bytes = memory_left_bytes(scenario)
    placement = [np.array(user.uploaded, np.int8) for user in scenario.users]
    for user_index in np.flatnonzero(movable.any(axis=1)).tolist():
        held, count = placement[user_index], len(placement[user_index])
        packed_alone = packed._replace(query_rate_hz=np.zeros_like(packed.query_rate_hz))
        packed_alone.query_rate_hz[0, 0, user_index] = 1.0
        least_s = _delay_s(packed_alone, user_index, held)
        for server in (np.flatnonzero(reachable[user_index]) + 1).tolist():
            weight_bytes, room_bytes = packed.weight_bytes[0, user_index, :count], float(left_bytes[server - 1])
            alone = Alone(packed_alone, user_index, server, held, movable[user_index, :count], weight_bytes, room_bytes)
            for layers in candidates(alone):
                if alone.fits(layers):
                    candidate = np.where(layers, server, held).astype(np.int8)
                    delay_s = _delay_s(packed_alone, user_index, candidate)
                    if delay_s < least_s:
                        least_s, placement[user_index] = delay_s, candidate
        moved = placement[user_index] != held
        if moved.any():
            left_bytes[placement[user_index][moved][0] - 1] -= packed.weight_bytes[0, user_index, :count][moved].sum()
    return tuple(placement)


def _delay_s(packed: PackedScenarios, user: int, placement: Int8s) -> float:
    nodes = np.zeros(packed.weight_bytes.shape[1:], np.int8)
    nodes[user, : len(placement)] = placement
    delay_s: float = migration_delay_s(packed, 0, 0, nodes, np.empty(len(nodes)))
    return delay_s
