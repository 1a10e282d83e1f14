"""Actions as numbers: what each action means and which are legal now. No other module knows how they are numbered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnnmig_env.arrays import Bools, Floats, Int8s
from dnnmig_env.compiling.jit import fill, jit_inlined, jit_without_refcounts
from dnnmig_env.simulation.moving.room import write_room
from dnnmig_env.simulation.moving.sources import first_source, is_idle, survey_lanes
from dnnmig_env.simulation.packed import PackedScenarios
from dnnmig_env.simulation.state import State


@dataclass(frozen=True)
class ActionLayout:
    """How actions are numbered: `(user * layers + layer) * servers + server - 1`; the last one is "stop".

    Attributes:
        users: Most users, U.
        layers: Most layers per network, L.
        servers: Most servers, S.
    """

    users: int
    layers: int
    servers: int

    @property
    def size(self) -> int:
        """Number of actions, U * L * S + 1."""
        return self.users * self.layers * self.servers + 1

    @property
    def stop(self) -> int:
        """The action "stop": nothing is uploaded until the next slot begins or, in the last slot, until the horizon."""
        return self.size - 1

    def encode(self, user: int, layer: int, server: int) -> int:
        """Return the action that chooses `server` (1..S) for a layer of a user."""
        return action_of(user, layer, server - 1, self.layers, self.servers)

    def decode(self, action: int) -> tuple[int, int, int] | None:
        """Return the (user, layer, server) of an action, the server being 1..S; None for "stop"."""
        if action == self.stop:
            return None
        user, layer, server = upload_of(int(action), self.layers, self.servers)
        return user, layer, server + 1

    def per_user_and_server(self, values: Floats) -> Floats:
        """Return each action's value, shape (N, A), given values per user and server, shape (N, U, S); "stop" has 0."""
        found = np.zeros((len(values), self.size))
        found[:, :-1] = values[:, :, None].repeat(self.layers, axis=2).reshape(len(values), -1)
        return found


class Decisions(NamedTuple):
    """What has been decided in B episodes, apart from the uploads."""

    two_phase: Bools  # (B,): whether layers are placed before they are uploaded
    decided: Bools  # (B, U, L): whether the layer's node has been decided (two-phase only)
    reserved_bytes: Floats  # (B, S): memory for layers that are placed but not uploaded yet
    done: Bools  # (B,): whether the episode is over
    illegal: Bools  # (B,): whether it ended by an illegal action


def new_decisions(rows: int, layout: ActionLayout, *, two_phase: bool) -> Decisions:
    """Return empty decisions for `rows` episodes."""
    return Decisions(
        two_phase=np.full(rows, two_phase),
        decided=np.zeros((rows, layout.users, layout.layers), np.bool_),
        reserved_bytes=np.zeros((rows, layout.servers)),
        done=np.zeros(rows, np.bool_),
        illegal=np.zeros(rows, np.bool_),
    )


@jit_without_refcounts
def action_of(u: int, v: int, s: int, layers: int, servers: int) -> int:
    """Return the action that chooses server `s` (0..S - 1) for layer `v` of user `u`, among L layers and S servers."""
    return (u * layers + v) * servers + s


@jit_without_refcounts
def upload_of(action: int, layers: int, servers: int) -> tuple[int, int, int]:
    """Return user, layer and server (0..S - 1) of an action that is not "stop"."""
    return action // (layers * servers), action // servers % layers, action % servers


@jit_inlined
def by_upload(mask: Int8s, layers: int, servers: int) -> Int8s:
    """Return a view, shape (U, L, S), of the U * L * S uploads with which a mask of actions begins."""
    uploads = mask.shape[0] // (layers * servers) * layers * servers
    return mask[:uploads].reshape((-1, layers, servers))


@jit_without_refcounts
def pending_layer(packed: PackedScenarios, b: int, state: State, decisions: Decisions, i: int) -> int:
    """Return `user * L + layer` of the layer to be placed next, or -1 if the next decision is an upload."""
    if not decisions.two_phase[i]:
        return -1
    layers = decisions.decided.shape[2]
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, state.slot[i], u] > 0.0:
            for v in range(packed.num_layers[b, u]):
                if packed.weight_bytes[b, u, v] > 0.0 and not decisions.decided[i, u, v]:
                    return int(u * layers + v)
    return -1


@jit_without_refcounts
def write_mask(packed: PackedScenarios, b: int, state: State, decisions: Decisions, i: int, mask: Int8s) -> int:
    """Write the mask of legal actions of row `i` (1 = legal) and return how many are legal besides "stop".

    While no lane is idle, nothing else is legal, and there is nothing to decide. When something is, what was found of
    lanes and room (`survey_lanes`, `write_room`) stays in the state, for those who observe it or carry out a decision.
    "Stop" is always legal. Sending a layer to a server is legal if the user is present, the layer fits into the
    server's memory (where weights may move, after what nobody needs there is dropped), and the lane of the node from
    which it would come first is idle (`moving.sources`). Where weights do not move, that node is the device, and the
    layer must be on no server and on its way to none; where they do, it must not be on this server or on its way there.
    With two phases, the layer must be placed on that server, where memory is reserved for it. Placing a layer on a
    server is legal if its weights fit there beside those already placed; "stop" then places it on the device.

    Args:
        packed: The scenarios.
        b: The scenario.
        state: The state.
        decisions: The decisions.
        i: The row.
        mask: Receives the mask, shape (U * L * S + 1,).
    """
    layers, servers = decisions.decided.shape[2], decisions.reserved_bytes.shape[1]
    fill(mask, 0)
    mask[mask.shape[0] - 1] = 1
    legal = 0
    if not survey_lanes(packed, b, state, i):
        return 0
    write_room(packed, b, state, i)
    num_servers = packed.num_servers[b]
    pending = pending_layer(packed, b, state, decisions, i)
    if pending >= 0:
        u, v = pending // layers, pending % layers
        for server in range(num_servers):
            left = state.memory_left_bytes[i, server] - decisions.reserved_bytes[i, server]
            if packed.weight_bytes[b, u, v] <= left:
                mask[action_of(u, v, server, layers, servers)] = 1
                legal += 1
        return legal
    for u in range(packed.num_users[b]):
        if packed.query_rate_hz[b, state.slot[i], u] > 0.0:
            if packed.moves[b]:
                legal += _mark_moves(packed, b, state, decisions, i, u, mask)
            elif is_idle(packed, b, state, i, u, 0):
                legal += _mark_uploads(packed, b, state, decisions, i, u, mask)
    return legal


@jit_without_refcounts
def _mark_uploads(
    packed: PackedScenarios, b: int, state: State, decisions: Decisions, i: int, u: int, mask: Int8s
) -> int:
    """Mark the legal uploads of a present user whose lane is idle, where weights do not move; return their number.

    None of the user's layers is on its way then: all of them come from its device, by this lane.
    """
    layers, servers, legal = decisions.decided.shape[2], decisions.reserved_bytes.shape[1], 0
    two_phase, num_servers = decisions.two_phase[i], packed.num_servers[b]
    # Compiled code looks up anew, after each number that is written to the mask, what has no name here.
    weight_bytes, room_bytes = packed.weight_bytes[b, u], state.room_bytes[i]
    usable, node, rates = state.usable[i, u], state.node[i, u], packed.up_bytes_per_s[b, state.slot[i], u]
    for v in range(packed.num_layers[b, u]):
        if weight_bytes[v] == 0.0 or usable[v] or (two_phase and node[v] == 0):
            continue
        first = action_of(u, v, 0, layers, servers)
        for s in range(num_servers):
            fits = node[v] == s + 1 if two_phase else weight_bytes[v] <= room_bytes[s]
            if fits and rates[s] > 0.0:
                mask[first + s] = 1
                legal += 1
    return legal


@jit_without_refcounts
def _mark_moves(
    packed: PackedScenarios, b: int, state: State, decisions: Decisions, i: int, u: int, mask: Int8s
) -> int:
    """Mark the legal transfers of a present user's layers, where weights may move, and return how many there are."""
    layers, servers, legal = decisions.decided.shape[2], decisions.reserved_bytes.shape[1], 0
    two_phase, num_servers = decisions.two_phase[i], packed.num_servers[b]
    weight_bytes, room_bytes = packed.weight_bytes[b, u], state.room_bytes[i]
    node, rates = state.node[i, u], packed.up_bytes_per_s[b, state.slot[i], u]
    device_is_idle = is_idle(packed, b, state, i, u, 0)
    for v in range(packed.num_layers[b, u]):
        if weight_bytes[v] == 0.0 or (two_phase and node[v] == 0):
            continue
        held, is_held = state.held[i, u, v], False
        for s in range(num_servers):
            is_held = is_held or held[s] > 0
        first = action_of(u, v, 0, layers, servers)
        for s in range(num_servers):
            if weight_bytes[v] > room_bytes[s] or (two_phase and node[v] != s + 1):
                continue
            if is_held:
                source = first_source(packed, b, state, i, u, v, s + 1)
                comes = source >= 0 and is_idle(packed, b, state, i, u, source)
            else:
                comes = device_is_idle and held[s] == 0 and rates[s] > 0.0
            if comes:
                mask[first + s] = 1
                legal += 1
    return legal
