"""Taking observations apart: the facts that a policy network looks at, of present users alone.

Observations have room for more users than are present: three times as many in `city`. What is worked out for each user
is worked out for the present ones alone, N of them in a batch of B rows. An axis of N users takes the place of the axes
of rows and users, and `Parts.row` says in which row each user is. In `city` that makes the network six times as fast,
learning included (64 rows, one core, 29 November 2026).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dnnmig_env.envs.facts.lanes import TRANSFER_FEATURES
from dnnmig_env.envs.facts.layout import LINK_FEATURES, SERVER_FEATURES, TIME_FEATURES, USER_FEATURES, FactsLayout
from dnnmig_env.envs.facts.network import LAYER_FEATURES
from dnnmig_env.envs.features import names, positions

RADIO, WIRE = ("exists", "log_left", "waits"), ("exists", "log_left")
"""What is looked at of the transfer by radio of a user, and of that on the wire of a server."""

TIME, USER, SERVER = positions(TIME_FEATURES), positions(USER_FEATURES), positions(SERVER_FEATURES)
LINK, LAYER = positions(LINK_FEATURES), positions(LAYER_FEATURES)
"""The position of each feature among those of its part."""
CELL = len(LINK_FEATURES)
"""Position of the feature `home` among those of links, where there are several lanes."""
ROOM = len(SERVER_FEATURES) + len(WIRE)
"""Position of the feature `log_room` among those of servers, where there are several lanes."""


class Parts(NamedTuple):
    """What is looked at in a batch of B observations, N users in all; `dnnmig_env.envs.facts` names the features.

    Where there are several lanes, servers have three features more (the wire's transfer, and room), users three (the
    radio transfer), and links one (the cell).

    Attributes:
        row: Number of the row in which each user is, shape (N,).
        user: Its number there, shape (N,).
        time: Shape (B, 4).
        servers: Shape (B, S, 6 or 9).
        users: Shape (N, 10 or 13).
        links: Shape (N, S, 6 or 7).
        lines: Rates between servers, feature `log_rate`, shape (B, S, S).
        layers: Shape (N, L, 13).
        executions: Shape (N, L, S).
        there: 1 if the layer's weights are, or will be, on the server, else 0, shape (N, L, S).
    """

    row: Tensor
    user: Tensor
    time: Tensor
    servers: Tensor
    users: Tensor
    links: Tensor
    lines: Tensor
    layers: Tensor
    executions: Tensor
    there: Tensor


def split(observation: Tensor, layout: FactsLayout) -> Parts:
    """Take a batch of flat observations apart, shape (B, D)."""

    def part(name: str) -> Tensor:
        taken: Tensor = observation[:, layout.slices[name]].unflatten(1, layout.shapes[name])
        return taken

    time, servers, users = part("time"), part("servers"), part("users")
    at = row, user = torch.unbind(torch.nonzero(users[..., USER.present] > 0), dim=1)
    users, links, layers = users[at], part("links")[at], part("layers")[at]
    executions, lines = part("executions")[at].squeeze(-1), part("lines")[..., 0]
    if not layout.lanes:
        there = whereabouts(layers, layout.servers)
        return Parts(row, user, time, servers, users, links, lines, layers, executions, there)
    radio, wires = part("transfers").split([layout.users, layout.servers], dim=1)
    feature = names(TRANSFER_FEATURES).index
    servers = torch.cat([servers, wires[..., [feature(name) for name in WIRE]], part("rooms")], dim=-1)
    users = torch.cat([users, radio[at][:, [feature(name) for name in RADIO]]], dim=-1)
    there = (part("copies")[at].squeeze(-1) != 0).to(layers.dtype)
    links = torch.cat([links, part("cells")[at]], dim=-1)
    return Parts(row, user, time, servers, users, links, lines, layers, executions, there)


def whereabouts(layers: Tensor, servers: int) -> Tensor:
    """Return on which of S servers each layer's weights are, or will be, as 0 or 1, from the features of layers.

    Shape (..., L, S), for features of shape (..., L, 13). Weights are on one server at most.
    """
    node = torch.round(layers[..., LAYER.node] * servers).unsqueeze(-1)
    return (node == torch.arange(1, servers + 1, dtype=node.dtype, device=node.device)).to(layers.dtype)


def neighbours(there: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether the layer before, and the one after, is on each server, shape (N, L, S) each.

    `there` is that of `Parts`.
    """
    return functional.pad(there[:, :-1], (0, 0, 1, 0)), functional.pad(there[:, 1:], (0, 0, 0, 1))
