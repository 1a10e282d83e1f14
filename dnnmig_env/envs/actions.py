"""Decisions as numbers: what an action index means and which actions are legal now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnnmig_env.compiling.jit import fill, uncounted
from dnnmig_env.simulation.packed import Bools, Floats, Ints, Problem, Small
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
        """The action that uploads nothing: until the next slot, or for good in the last one."""
        return self.size - 1

    def encode(self, user: int, layer: int, server: int) -> int:
        """Return the action that chooses `server` (1..S) for a layer of a user."""
        return (user * self.layers + layer) * self.servers + server - 1

    def decode(self, action: int) -> tuple[int, int, int] | None:
        """Return (user, layer, server 1..S) of an action, None for "stop"."""
        if action == self.stop:
            return None
        rest, server = divmod(int(action), self.servers)
        return rest // self.layers, rest % self.layers, server + 1


class Decisions(NamedTuple):
    """What has been decided in B episodes, K = U * L uploads at most."""

    two_phase: Bools  # (B,): layers are placed before they are uploaded
    decided: Bools  # (B, U, L): the layer's node is decided (two-phase only)
    reserved_bytes: Floats  # (B, S): memory of layers placed but not yet uploaded
    done: Bools  # (B,): the episode is over
    illegal: Bools  # (B,): it ended by an illegal action
    num_uploads: Ints  # (B,)
    upload_user: Small  # (B, K)
    upload_layer: Ints  # (B, K)
    upload_server: Small  # (B, K)
    upload_from_s: Floats  # (B, K): when the upload was decided


def new_decisions(rows: int, layout: ActionLayout, *, two_phase: bool) -> Decisions:
    """Return empty decisions for `rows` episodes."""
    most = layout.users * layout.layers
    return Decisions(
        two_phase=np.full(rows, two_phase),
        decided=np.zeros((rows, layout.users, layout.layers), np.bool_),
        reserved_bytes=np.zeros((rows, layout.servers)),
        done=np.zeros(rows, np.bool_),
        illegal=np.zeros(rows, np.bool_),
        num_uploads=np.zeros(rows, np.int64),
        upload_user=np.zeros((rows, most), np.int8),
        upload_layer=np.zeros((rows, most), np.int64),
        upload_server=np.zeros((rows, most), np.int8),
        upload_from_s=np.zeros((rows, most)),
    )


@uncounted
def pending_layer(p: Problem, b: int, s: State, d: Decisions, i: int) -> int:
    """Return `user * L + layer` of the layer to be placed next, or -1 when the next decision is an upload."""
    if not d.two_phase[i]:
        return -1
    layers = d.decided.shape[2]
    for u in range(p.num_users[b]):
        if p.query_rate_hz[b, s.slot[i], u] > 0.0:
            for v in range(p.num_layers[b, u]):
                if p.weight_bytes[b, u, v] > 0.0 and not d.decided[i, u, v]:
                    return int(u * layers + v)
    return -1


@uncounted
def write_mask(p: Problem, b: int, s: State, d: Decisions, i: int, mask: Small) -> int:
    """Write the legal actions of row `i` (1 = legal, "stop" included) and return the number besides "stop".

    Uploading a layer to a server is legal when the user is present and has a connection to it, the layer's weights are
    on no server yet, and they fit into its memory; in two phases, when the layer was placed there. Placing a layer is
    legal where its weights fit beside those already placed; "stop" then places it on the device.

    Args:
        p: The problem.
        b: The scenario.
        s: The state.
        d: The decisions.
        i: The row.
        mask: Receives the mask, shape (U * L * S + 1,).
    """
    layers, servers = d.decided.shape[2], d.reserved_bytes.shape[1]
    fill(mask, 0)
    mask[mask.shape[0] - 1] = 1
    legal = 0
    slot, num_servers = s.slot[i], p.num_servers[b]
    pending = pending_layer(p, b, s, d, i)
    if pending >= 0:
        u, v = pending // layers, pending % layers
        for server in range(num_servers):
            left = s.memory_left_bytes[i, server] - d.reserved_bytes[i, server]
            if p.weight_bytes[b, u, v] <= left:
                mask[pending * servers + server] = 1
                legal += 1
        return legal
    for u in range(p.num_users[b]):
        if p.query_rate_hz[b, slot, u] == 0.0:
            continue
        for v in range(p.num_layers[b, u]):
            weight = p.weight_bytes[b, u, v]
            if weight == 0.0 or s.usable[i, u, v] or (d.two_phase[i] and s.node[i, u, v] == 0):
                continue
            for server in range(num_servers):
                placed_here = s.node[i, u, v] == server + 1
                fits = placed_here if d.two_phase[i] else weight <= s.memory_left_bytes[i, server]
                if fits and p.up_bytes_per_s[b, slot, u, server] > 0.0:
                    mask[(u * layers + v) * servers + server] = 1
                    legal += 1
    return legal
