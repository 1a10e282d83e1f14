"""What an uploaded run of layers would be worth, worked out from observations before the network looks at them.

The network scores one layer at a time, but what a layer is worth depends on those that go with it: a query gains little
from one layer on a server, as its input and output travel, and much from the whole network there. Adding up over layers
is what small networks learn slowly, so a few sums and ratios are given to them. Each is a plain formula of facts.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from agents.policy_networks.parts import CELL, LAYER, LINK, ROOM, SERVER, TIME, USER, Parts
from dnnmig_env.envs.facts.layout import FactsLayout

LAYER_SUMS = 7
"""Number of features that `look_ahead` adds to each layer."""
PAIR_SUMS, BY_WIRE = 14, 2
"""Number of features that `look_ahead` adds to each pair of user and server; with several lanes `BY_WIRE` more."""
GEOMETRY = 5
"""Number of features of `geometry`."""

_LN_10 = math.log(10.0)
_LEAST_SHARE, _LEAST_MB = 1e-4, 1e-3
_NO_RATE = -20.0
"""ln of MB/s of a server that is only padding."""
_MOST = 3.0
"""Delays are cut off at this multiple of the device-only delay."""


class Outlook(NamedTuple):
    """What follows from an observation of N users.

    Attributes:
        layer_efficiency: The layer's term of the logarithmic efficiency, shape (N, L, 1).
        pair_efficiency: The pair's term, shape (N, S, 1).
        seconds: Seconds of each layer on each server by the device-only delay, at most 1, shape (N, L, S).
        layers: Features of each layer, shape (N, L, LAYER_SUMS).
        pairs: Features of each user and server, shape (N, S, PAIR_SUMS, or BY_WIRE more).
    """

    layer_efficiency: Tensor
    pair_efficiency: Tensor
    seconds: Tensor
    layers: Tensor
    pairs: Tensor


def look_ahead(parts: Parts, layout: FactsLayout) -> Outlook:
    """Return what follows from the facts."""
    layers, links, users = parts.layers, parts.links, parts.users
    exists, remaining = layers[..., LAYER.exists], layers[..., LAYER.remaining]
    share, in_use = layers[..., LAYER.execution_share], layers[..., LAYER.in_use]
    device = _ln(users[..., USER.log_device_delay], -0.5, 2.0)  # ln of seconds, (N,)
    is_server = parts.servers[..., SERVER.exists][parts.row] > 0  # not padding
    up = torch.where(is_server, _ln(links[..., LINK.log_up_rate], 0.5, 2.0), _NO_RATE)  # ln of MB/s, (N, S)
    down = torch.where(is_server, _ln(links[..., LINK.log_down_rate], 0.5, 2.0), _NO_RATE)
    queries = users[..., USER.query_share].clamp(min=_LEAST_SHARE).log()

    weight = _ln(layers[..., LAYER.log_weight], 0.0, 3.0)  # ln of MB
    layer_efficiency = share.clamp(min=_LEAST_SHARE).log() - weight
    tau = torch.exp(-_ln(links[..., LINK.log_speedup], 1.0, 2.0))
    pair_efficiency = (1.0 - tau).clamp(min=_LEAST_SHARE).log() + up + (queries + device).unsqueeze(1)

    megabytes = torch.exp(weight) * layers[..., LAYER.movable]
    absent = 1.0 - parts.there if layout.lanes else remaining.unsqueeze(-1)
    missing = (megabytes.unsqueeze(-1) * absent).sum(1)  # MB that would have to go to each server, (N, S) or (N, 1)
    every = megabytes.sum(1, keepdim=True).clamp(min=_LEAST_MB)
    left = megabytes * remaining
    all_left = left.sum(1, keepdim=True).clamp(min=_LEAST_MB)

    seconds = torch.exp(_ln(parts.executions, -3.0, 3.0) - device[:, None, None]) * exists.unsqueeze(-1)
    read = _bytes_by_delay(layers[..., LAYER.log_input], device)
    written = _bytes_by_delay(layers[..., LAYER.log_output], device)
    sending = (read[:, :1] * torch.exp(-up)).clamp(max=_MOST)
    returned = (written * layers[..., LAYER.returns]).sum(1, keepdim=True)
    receiving = (returned * torch.exp(-down)).clamp(max=_MOST)
    computing = seconds.sum(1) * (1.0 + links[..., LINK.load_of_others])
    there = (computing + sending + receiving + links[..., LINK.latency_ratio]).clamp(max=_MOST)
    saved = users[..., USER.delay_ratio, None] - there
    upload = missing.clamp(min=_LEAST_MB).log() - up  # ln of seconds
    efficiency = saved.clamp(min=1e-3).log() + (device + queries).unsqueeze(1) - upload
    best = torch.full_like(parts.time[:, 0], -100.0).scatter_reduce(0, parts.row, efficiency.amax(1), "amax")

    free = parts.servers[..., ROOM if layout.lanes else SERVER.log_memory_left]
    room = torch.where(free > -1.0, _ln(free, 2.0, 3.0), -5.0)[parts.row] - missing.clamp(min=_LEAST_MB).log()
    horizon = _ln(parts.time[:, TIME.log_horizon_left], 1.0, 2.0)[parts.row]
    pairs = [
        there,
        there - there.amin(1, keepdim=True),
        saved.clamp(-2.0, 1.0),
        0.2 * (upload - horizon.unsqueeze(1)),
        (0.3 * room).clamp(-1.0, 1.0),
        (room > 0).to(room.dtype),
        0.1 * efficiency,
        0.2 * (efficiency - best[parts.row].unsqueeze(1)).clamp(min=-8.0),
        computing.clamp(max=2.0),
        sending,
        (missing / every).expand_as(there),
    ]
    on_server = torch.matmul(
        parts.there.transpose(-1, -2), torch.stack([share, share * in_use, megabytes / every], dim=-1)
    )
    if layout.lanes:
        pairs += _by_wire(parts, megabytes, every)
    fastest_up, fastest_down = torch.exp(-up.amax(1, keepdim=True)), torch.exp(-down.amax(1, keepdim=True))
    of_layer = [
        (0.2 * layer_efficiency) * exists,
        share.cumsum(1),
        left.cumsum(1) / all_left,
        left / all_left,
        (read * fastest_up).clamp(max=_MOST),
        (written * fastest_down).clamp(max=_MOST),
        parts.there.amax(-1),
    ]
    return Outlook(
        layer_efficiency.unsqueeze(-1),
        pair_efficiency.unsqueeze(-1),
        seconds.clamp(max=1.0),
        torch.stack(of_layer, dim=-1),
        torch.cat([torch.stack(pairs, dim=-1), on_server], dim=-1),
    )


def where_users_are(parts: Parts) -> tuple[Tensor, Tensor, Tensor]:
    """Return courses of users, places of servers and home cells, as `geometry` takes them."""
    courses = parts.users[:, [USER.position_x, USER.position_y, USER.velocity_x, USER.velocity_y]]
    places = parts.servers[..., [SERVER.position_x, SERVER.position_y]][parts.row]
    return courses, places, parts.links[..., CELL]


def geometry(courses: Tensor, places: Tensor, home: Tensor) -> list[Tensor]:
    """Return where each user is going, as `GEOMETRY` features of shape (N, S); it is taken to go straight on.

    These are its distance from each server in sides of the area, how fast it approaches, by ten per slot, the distance
    at which it will pass the server, how soon it comes to the server's cell (1 now, 1/2 in ten slots, 0 never), and
    whether that is the next cell. A cell is where no other server is nearer.

    Args:
        courses: Position and velocity, features of users, shape (N, 4).
        places: Positions of the servers, shape (N, S, 2).
        home: 1 for the cell in which the user is, else 0, shape (N, S).
    """
    own, velocity = courses[:, None, :2], courses[:, None, 2:]
    way = places - own
    square = way.square().sum(-1)
    distance = square.sqrt()
    speed = velocity.square().sum(-1).sqrt()
    along = (way * velocity).sum(-1)
    approach = along / distance.clamp(min=1e-3)
    passing = (square - (along / speed.clamp(min=1e-3)).clamp(min=0.0).square()).clamp(min=0.0).sqrt()
    nearer = along - (home * along).sum(1, keepdim=True)  # than to the home server, half its square per ten slots
    left = 0.5 * (square - (home * square).sum(1, keepdim=True)).clamp(min=0.0)
    comes = (nearer > 1e-6) & (places != 0).any(-1) & (home.sum(1, keepdim=True) > 0)
    soon = torch.where(comes, nearer / (nearer + left).clamp(min=1e-6), 0.0)
    following = comes & (soon == soon.amax(1, keepdim=True))
    return [distance, approach, passing, soon, following.to(soon.dtype)]


def _by_wire(parts: Parts, megabytes: Tensor, every: Tensor) -> list[Tensor]:
    """Return what could be sent to each server by wire, from the server that has most of what it lacks, (N, S) each.

    That is the share of the user's weights, and the logarithm of the seconds that they would travel, 0 for nothing.

    Args:
        parts: The facts.
        megabytes: Weights that can be moved, shape (N, L).
        every: Their sum, shape (N, 1).
    """
    held = (parts.there * megabytes.unsqueeze(-1)).transpose(1, 2)
    # MB that one server has and another lacks, (N, S, S)
    most, source = torch.matmul(held, 1.0 - parts.there).max(1)
    servers = torch.arange(most.shape[1], device=most.device)
    rate = _ln(parts.lines[parts.row.unsqueeze(1), source, servers], 0.5, 2.0)
    seconds = torch.where(most > _LEAST_MB, most.clamp(min=_LEAST_MB).log() - rate, 0.0)
    return [most / every, 0.2 * seconds]


def _ln(feature: Tensor, middle: float, width: float) -> Tensor:
    """Return the natural logarithm behind a feature that is a scaled decimal one."""
    return _LN_10 * (middle + width * feature)


def _bytes_by_delay(feature: Tensor, device: Tensor) -> Tensor:
    """Return MB of a tensor by the device-only delay in seconds, 0 for one without bytes, shape (N, L)."""
    return torch.where(feature > -1.0, torch.exp(_ln(feature, -0.5, 2.0) - device.unsqueeze(1)), 0.0)
